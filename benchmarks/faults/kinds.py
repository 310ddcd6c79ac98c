"""The faults: each does its harm while clients ask, mends it, and returns."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import redis

from benchmarks.faults.scene import NODE_TIMEOUT_MS, Scene, held_slots, wait_until

FAILOVER_SECONDS = 20.0


@dataclass(frozen=True)
class Fault:
    """`harm` runs while clients ask; `keeps_rows`: what was written stays, so the writes are judged, too."""

    name: str
    harm: Callable[[Scene], None]
    keeps_rows: bool = True
    unknown_to: tuple[str, ...] = ()


def nothing(scene: Scene) -> None:
    """Cause no fault: what an undisturbed query takes."""
    time.sleep(2.0)


def kill_primary(scene: Scene) -> None:
    """Kill a primary; its replica takes over; it comes back as a replica."""
    victim = random.choice(scene.primaries())
    heir = scene.replica_of(victim)
    scene.cluster.kill(victim)
    _wait_until_primary(scene, heir)
    scene.cluster.restart(victim)


def kill_replica(scene: Scene) -> None:
    """Kill a replica and start it again."""
    victim = scene.replica_of(random.choice(scene.primaries()))
    scene.cluster.kill(victim)
    time.sleep(0.5)
    scene.cluster.restart(victim)


def stall_shortly(scene: Scene) -> None:
    """SIGSTOP a primary for less than the node timeout: nobody takes over."""
    victim = random.choice(scene.primaries())
    scene.cluster.pause(victim)
    time.sleep(NODE_TIMEOUT_MS / 1000 * 0.5)
    scene.cluster.resume(victim)
    time.sleep(1.0)


def stall_long(scene: Scene) -> None:
    """SIGSTOP a primary until its replica has taken over, then wake it: it believes itself a primary."""
    victim = random.choice(scene.primaries())
    heir = scene.replica_of(victim)
    scene.cluster.pause(victim)
    try:
        _wait_until_primary(scene, heir)
        time.sleep(random.uniform(0, 2))
    finally:
        scene.cluster.resume(victim)
    time.sleep(1.0)


def fail_over(scene: Scene) -> None:
    """Let a replica take over in an orderly way."""
    heir = scene.replica_of(random.choice(scene.primaries()))
    _take_over(scene, heir)
    time.sleep(0.5)


def _take_over(scene: Scene, heir: int) -> None:
    with scene.client(heir) as client:
        client.execute_command("CLUSTER", "FAILOVER")
    _wait_until_primary(scene, heir)


def _wait_until_primary(scene: Scene, server: int) -> None:
    def is_primary() -> bool:
        with scene.client(server) as client:
            return bool(client.role()[0] == b"master")

    wait_until(is_primary, "no replica took over", FAILOVER_SECONDS)


def reshard(scene: Scene) -> None:
    """Move 40 slots from one shard to another, key by key, and the same back in the next run."""
    source, target = random.sample(scene.primaries(), 2)
    slots = _slots(scene, source)
    for slot in random.sample(slots, 40):
        _move_slot(scene, slot, source, target)


def linger(scene: Scene) -> None:
    """Leave a slot half moved for two seconds, then move the rest."""
    source, target = random.sample(scene.primaries(), 2)
    slot = random.choice(_slots(scene, source))
    _move_slot(scene, slot, source, target, rests=2.0)


def _slots(scene: Scene, server: int) -> list[int]:
    with scene.client(server) as client, client.pipeline(transaction=False) as pipe:
        held = held_slots(scene.cluster, server)
        for slot in held:
            pipe.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
        # Slots with rows in them.
        return [slot for slot, keys in zip(held, pipe.execute(), strict=True) if keys]


def _move_slot(scene: Scene, slot: int, source: int, target: int, rests: float = 0.0) -> None:
    ids = {server: scene.node_id(server) for server in (source, target)}
    port = (*scene.cluster.ports, *scene.cluster.replica_ports)[target]
    with scene.client(source) as here, scene.client(target) as there:
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            here.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
            time.sleep(rests)
            rests = 0.0
        there.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        here.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        for server in scene.primaries():
            if server not in (source, target):
                with scene.client(server) as other:
                    other.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def migrate_atomically(scene: Scene) -> None:
    """Move 500 slots from one shard to another by Valkey's CLUSTER MIGRATESLOTS."""
    source, target = random.sample(scene.primaries(), 2)
    slots = sorted(_slots(scene, source))
    at = random.randrange(max(1, len(slots) - 500))
    run = [slots[at]]
    while len(run) < 500 and at + len(run) < len(slots) and slots[at + len(run)] == run[-1] + 1:
        run.append(slots[at + len(run)])
    words = ("SLOTSRANGE", run[0], run[-1], "NODE", scene.node_id(target))
    with scene.client(source) as client:
        client.execute_command("CLUSTER", "MIGRATESLOTS", *words)

        def is_over() -> bool:
            jobs = client.execute_command("CLUSTER", "GETSLOTMIGRATIONS")
            states = [dict(zip(job[::2], job[1::2], strict=True))[b"state"] for job in jobs]
            return all(state in (b"success", b"failed", b"cancelled") for state in states)

        wait_until(is_over, "the migration does not end", FAILOVER_SECONDS)


def cut_links(scene: Scene) -> None:
    """Close all clients' connections, three times."""
    for _ in range(3):
        time.sleep(0.3)
        for server in scene.primaries():
            with scene.client(server) as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def kill_client(scene: Scene) -> None:
    """Kill a client process in the middle of its query: the servers free what it had."""
    program = f"""
        import gearsql
        connection = gearsql.connect({scene.cluster.url!r})
        print("ready", flush=True)
        while True:
            connection.execute('SELECT n, _key FROM "row:*"').fetchall()
    """
    words = [sys.executable, "-c", textwrap.dedent(program)]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    client.stdout.readline()
    time.sleep(random.uniform(0.1, 0.5))
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    client.stdout.close()
    time.sleep(0.5)


def flush(scene: Scene) -> None:
    """FLUSHALL on every primary while queries read."""
    time.sleep(random.uniform(0.2, 0.6))
    clients = [scene.client(server) for server in scene.primaries()]
    for client in clients:
        client.ping()
    for client in clients:
        client.flushall()
    for client in clients:
        client.close()
    time.sleep(0.5)


def save(scene: Scene) -> None:
    """Begin BGSAVE and an AOF rewrite everywhere, again and again."""
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        for server in scene.primaries():
            with scene.client(server) as client:
                for command in ("BGSAVE", "BGREWRITEAOF"):
                    # One child at a time.
                    with suppress(redis.ResponseError):
                        client.execute_command(command)
        time.sleep(0.1)


def fill_memory(scene: Scene) -> None:
    """Set maxmemory below what is in use: writes are refused, queries go on."""
    _set_everywhere(scene, "maxmemory", 1)
    time.sleep(1.5)
    _set_everywhere(scene, "maxmemory", 0)


def _set_everywhere(scene: Scene, name: str, value: int) -> None:
    for server in scene.servers:
        with scene.client(server) as client:
            client.config_set(name, value)


def lose_module(scene: Scene) -> None:
    """Make a server a primary that came back without the module, then bring the module back."""
    victim = scene.replica_of(random.choice(scene.primaries()))
    scene.cluster.restart(victim, module=False)
    scene.wait_until_whole()
    _take_over(scene, victim)
    time.sleep(1.5)
    scene.cluster.kill(victim)
    wait_until(lambda: len(scene.primaries()) == 3, "no replica took over", FAILOVER_SECONDS)
    scene.cluster.restart(victim)


FAULTS = (
    Fault("no fault", nothing),
    Fault("kill -9 of a primary", kill_primary),
    Fault("kill -9 of a replica", kill_replica),
    Fault("SIGSTOP, short", stall_shortly),
    Fault("SIGSTOP until failover", stall_long),
    Fault("CLUSTER FAILOVER", fail_over),
    Fault("resharding by MIGRATE", reshard),
    Fault("a slot half moved", linger),
    Fault("CLUSTER MIGRATESLOTS", migrate_atomically, unknown_to=("valkey-8.1", "redis-8.2", "redis-7.0")),
    Fault("connections cut", cut_links),
    Fault("client killed", kill_client),
    Fault("FLUSHALL", flush, keeps_rows=False),
    Fault("BGSAVE, AOF rewrite", save),
    Fault("maxmemory reached", fill_memory),
    # Redis 7.0 does not even start without the module that its data were saved with.
    Fault("module missing", lose_module, unknown_to=("redis-7.0",)),
)
