"""Embedded servers start, die, come back and leave nothing behind. No module needed here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis.crc import key_slot

from gearsql.embedded import Cluster
from gearsql.errors import InterfaceError, OperationalError

ORPHANS = """
import time
from gearsql.embedded import Cluster
cluster = Cluster(2, module=False)
print(cluster._home, *cluster.pids, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """A zombie is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_shard_is_a_plain_server() -> None:
    with Cluster(1, module=False) as server, server.client() as client:
        assert client.info("cluster")["cluster_enabled"] == 0
        assert client.set("a", 1)


def test_slots_are_spread_evenly(plain_shards: Cluster) -> None:
    with plain_shards.client() as client:
        slots = sorted(client.execute_command("CLUSTER SLOTS"))
    assert [(first, last) for first, last, *_ in slots] == [(0, 5460), (5461, 10921), (10922, 16383)]


def test_a_killed_shard_comes_back_on_its_port() -> None:
    with Cluster(3, module=False) as cluster:
        ports = cluster.ports
        cluster.kill(1)
        assert cluster.pids[1] is None
        cluster.restart(1)
        assert cluster.ports == ports
        with cluster.client(1) as client:
            assert client.ping()


def test_stop_ends_all_processes_and_removes_the_directory() -> None:
    cluster = Cluster(2, module=False)
    home, pids = cluster._home, cluster.pids
    assert home.exists()
    cluster.stop()
    cluster.stop()
    assert not any(alive(pid) for pid in pids if pid)
    assert not home.exists()


def test_servers_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    home, *pids = parent.stdout.readline().split()
    assert all(alive(int(pid)) for pid in pids)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while any(alive(int(pid)) for pid in pids) or Path(home).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_directory_keeps_the_data(tmp_path: Path) -> None:
    for expected in (None, b"kept"):
        with Cluster(1, module=False, directory=tmp_path) as server, server.client() as client:
            assert client.get("a") == expected
            client.set("a", "kept")


def test_a_server_that_dies_at_start_shows_its_log() -> None:
    with pytest.raises(OperationalError, match="died while starting") as caught:
        Cluster(1, module=False, config={"maxmemory": "nonsense"})
    assert "maxmemory" in str(caught.value)


def test_a_taken_port_is_said(plain_server: Cluster) -> None:
    port = plain_server.ports[0]
    with pytest.raises(OperationalError, match=f"^port {port} is taken by another program$"):
        Cluster(1, module=False, port=port)


def test_an_unknown_binary_is_named() -> None:
    with pytest.raises(InterfaceError, match="no-such-server"):
        Cluster(1, server="no-such-server", module=False)


def test_a_password_is_part_of_the_url() -> None:
    with Cluster(1, module=False, password="open sesame/") as server:
        assert ":open%20sesame%2F@" in server.url
        with server.client() as client:
            assert client.ping()


def test_a_replica_takes_the_place_of_a_killed_shard() -> None:
    with Cluster(3, module=False, replicas=1, node_timeout_ms=1000) as cluster:
        assert len(cluster.ports) == len(cluster.replica_ports) == 3
        with cluster.client(1) as primary:
            key = next(f"k{n}" for n in range(1000) if 5461 <= key_slot(b"k%d" % n) <= 10921)
            primary.set(key, "v")
            assert primary.wait(1, 1000) == 1
        cluster.kill(1)
        with cluster.client(4) as replica:
            deadline = time.monotonic() + 20
            while replica.role()[0] != b"master":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert replica.get(key) == b"v"
        cluster.restart(1)
        with cluster.client(1) as client:
            assert client.role()[0] == b"slave"
