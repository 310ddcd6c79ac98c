"""Real servers on loopback ports: one plain server, or a cluster with its slots spread evenly."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from gearsql.embedded.binary import server_binary
from gearsql.embedded.module_line import module_arguments
from gearsql.embedded.ports import free_ports
from gearsql.embedded.server import Config, PortTakenError, Server, ServerOptions, Tls
from gearsql.embedded.watchdog import Watchdog
from gearsql.errors import InterfaceError, OperationalError

SLOTS = 16_384
PORT_TRIES = 5
# A primary calls itself ok no sooner than 2 s after its start, whatever the settings say.
OK_SECONDS = 30.0


class Cluster:
    """`shards` real servers with the module loaded, ready when the constructor returns.

    They end with the `with` block, with stop(), at exit, and also when this process is killed.
    Without `directory` nothing touches the disk but logs in a temporary directory; with it, data is
    saved there at stop() and read again by the next Cluster of the same directory and ports.
    """

    def __init__(
        self,
        shards: int = 3,
        server: str | Path | None = None,
        module: bool | Sequence[bool] = True,
        directory: str | Path | None = None,
        *,
        port: int | None = None,
        config: Config | None = None,
        module_options: Mapping[str, str | int] | None = None,
        password: str | None = None,
        tls: Tls | None = None,
        debug: bool = False,
        node_timeout_ms: int = 5000,
        replicas: int = 0,
    ) -> None:
        """Start the servers.

        `server` is the path of another redis-server or valkey-server; `module` may say for each shard whether
        it loads the module; `port` is the first of consecutive ports; `config` are server settings,
        `module_options` further arguments of the module; `debug` allows the DEBUG command.

        Each shard gets `replicas` more servers that follow it; one of them takes its place when it dies.
        Methods that take a shard take a replica, too: after the shards come the first replica of each,
        then the second of each. Numbers stay with the servers, whichever is the primary at the time.
        """
        if shards < 1:
            raise InterfaceError(f"a cluster has at least one shard, not {shards}")
        if replicas and shards < 2:
            raise InterfaceError("a single server is no cluster, and has no replicas here")
        saving = {"save": "3600 1"} if directory else {}
        debugging = {"enable-debug-command": "yes"} if debug else {}
        settings = saving | debugging | dict(config or {})
        self._options = ServerOptions(
            server_binary(server), shards > 1, settings, password, tls, node_timeout_ms
        )
        self._shards = shards
        self._modules = _module_words(shards, module, module_options or {}) * (1 + replicas)
        self._home = Path(directory).resolve() if directory else Path(tempfile.mkdtemp(prefix="gearsql-"))
        self._keep = directory is not None
        self._owner = os.getpid()
        self._watchdog: Watchdog | None = Watchdog(None if self._keep else self._home)
        self._servers: list[Server] = []
        atexit.register(self.stop)
        try:
            self._start(port)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """URL of the first server; from it a client finds the others."""
        return self._servers[0].url

    @property
    def ports(self) -> tuple[int, ...]:
        """One port for each shard, in slot order."""
        return tuple(server.port for server in self._servers[: self._shards])

    @property
    def replica_ports(self) -> tuple[int, ...]:
        """The ports of the servers that started as replicas."""
        return tuple(server.port for server in self._servers[self._shards :])

    @property
    def pids(self) -> tuple[int | None, ...]:
        """One process id for each shard, then for each replica; None: it is not running."""
        return tuple(server.pid for server in self._servers)

    def log(self, shard: int) -> str:
        """Return what a shard has logged since its last start."""
        return self._servers[shard].log()

    def client(self, shard: int = 0) -> redis.Redis:
        """Return a client of one shard that follows no redirects; the caller closes it."""
        return self._servers[shard].client()

    def kill(self, shard: int) -> None:
        """End a shard by SIGKILL."""
        self._servers[shard].kill()
        self._watch()

    def pause(self, shard: int) -> None:
        """Stop a shard's process where it is (SIGSTOP): connections stay open, nothing is answered."""
        self._servers[shard].tell(signal.SIGSTOP)

    def resume(self, shard: int) -> None:
        """Let a paused shard go on."""
        self._servers[shard].tell(signal.SIGCONT)

    def terminate(self, shard: int) -> int | None:
        """End a shard by SIGTERM and return its exit code."""
        code = self._servers[shard].kill(signal.SIGTERM)
        self._watch()
        return code

    def restart(self, shard: int, module: bool = True) -> None:
        """Start a shard again (ending it first if needed) on its port, empty, and wait until all are well.

        One whose place a replica took meanwhile becomes that one's replica, and has its data again.
        `module` False leaves the module out this time.
        """
        server = self._servers[shard]
        server.kill()
        server.start(self._modules[shard] if module else [])
        self._watch()
        server.wait_until_up()
        self._wait_until_ok()

    def stop(self) -> None:
        """End all servers and remove the temporary directory; again is nothing."""
        if self._watchdog is None or os.getpid() != self._owner:
            return
        watchdog, self._watchdog = self._watchdog, None
        try:
            self._end_all(signal.SIGTERM)
        finally:
            watchdog.close()
            atexit.unregister(self.stop)
            if not self._keep:
                shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, port: int | None) -> None:
        for tries_left in reversed(range(PORT_TRIES)):
            try:
                self._launch(self._choose_ports(port))
                break
            except PortTakenError:
                self._end_all(signal.SIGKILL)
                if port is not None or not tries_left:
                    raise
        if self._options.clustered:
            self._join()
            self._wait_until_ok()

    def _choose_ports(self, port: int | None) -> list[int]:
        count = len(self._modules)
        return free_ports(count) if port is None else list(range(port, port + count))

    def _launch(self, ports: list[int]) -> None:
        self._servers = [
            Server(self._options, port, self._home / f"shard{i}") for i, port in enumerate(ports)
        ]
        for server, module in zip(self._servers, self._modules, strict=True):
            server.start(module)
            self._watch()
        for server in self._servers:
            server.wait_until_up()

    def _join(self) -> None:
        count = self._shards
        for i, server in enumerate(self._servers[:count]):
            with server.client() as client:
                if not _has_slots(client):
                    # Distinct epochs from the start, so no election of epochs delays the cluster.
                    client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
                    first, last = SLOTS * i // count, SLOTS * (i + 1) // count - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for server in self._servers:
            with server.client() as client:
                for port in (*self.ports, *self.replica_ports):
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        for i, server in enumerate(self._servers[count:]):
            primary = self._servers[i % count]
            self._wait_for(partial(_follows, server, primary))

    def _wait_until_ok(self) -> None:
        if self._options.clustered:
            self._wait_for(lambda: all(map(_is_ok, self._servers)))

    def _wait_for(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + OK_SECONDS
        while not true():
            if time.monotonic() > deadline:
                raise OperationalError(f"the embedded cluster was not ok within {OK_SECONDS:.0f} s")
            time.sleep(0.02)

    def _watch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.watch(pid for pid in self.pids if pid is not None)

    def _end_all(self, with_signal: signal.Signals) -> None:
        # Told all, then waited for; no threads, since at exit Python starts none.
        for server in self._servers:
            server.tell(with_signal)
            server.tell(signal.SIGCONT)
        for server in self._servers:
            server.wait()


def _module_words(
    shards: int, module: bool | Sequence[bool], options: Mapping[str, str | int]
) -> list[list[str]]:
    wanted = [module] * shards if isinstance(module, bool) else list(module)
    if len(wanted) != shards:
        raise InterfaceError(
            f"module= says {len(wanted)} times whether a shard loads it, for {shards} shards"
        )
    words = [str(word) for pair in options.items() for word in pair]
    return [[*module_arguments(), *words] if wants else [] for wants in wanted]


def _has_slots(client: redis.Redis) -> bool:
    return "cluster_slots_assigned:0" not in _cluster_info(client)


def _is_ok(server: Server) -> bool:
    if server.pid is None:
        return True  # Killed on purpose: the others are waited for.
    with server.client() as client:
        return "cluster_state:ok" in _cluster_info(client) and _is_synced(client)


def _is_synced(client: redis.Redis) -> bool:
    """Tell whether the server is a primary, or a replica that has its primary's data."""
    told = client.info("replication")
    return told["role"] == "master" or (
        told["master_link_status"] == "up" and not told["master_sync_in_progress"]
    )


def _follows(server: Server, primary: Server) -> bool:
    """Make `server` a replica; False: they have not met yet."""
    with server.client() as client, primary.client() as other:
        try:
            client.execute_command("CLUSTER", "REPLICATE", other.execute_command("CLUSTER", "MYID"))
        except redis.ResponseError:
            return False
        return True


def _cluster_info(client: redis.Redis) -> str:
    answer = client.execute_command("CLUSTER", "INFO")
    return answer.decode() if isinstance(answer, bytes) else str(answer)
