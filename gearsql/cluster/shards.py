"""The shards as one client sees them: found once, one kept connection each."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

from redis.crc import key_slot

from gearsql.cluster.connection import Endpoint, ShardConnection
from gearsql.cluster.control import Control
from gearsql.cluster.topology import ALONE, Shard, by_slot, find_shards
from gearsql.errors import Error, InterfaceError, ShardUnreachableError, SlotsMovedError
from gearsql.plan.stages import AclMode, ReadFrom

REPLICA_SECONDS = 1.0
"""For a replica to answer; another one, or the primary, is asked instead."""


class Shards:
    """All shards behind a URL; one thread at a time asks."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        acl: AclMode = "error",
        read_from: ReadFrom = "primary",
    ) -> None:
        """Connect and find the shards; raises when they do not cover all slots.

        `timeout` is that of queries: no answer but that to a stage is waited for longer. `acl` says what
        keys do that the user may not read, `read_from` who runs stages.
        """
        self.read_from = read_from
        self._replicas: dict[tuple[str, int], ShardConnection] = {}
        # Who answers for a shard in its primary's place, or did so last.
        self._reading: dict[Shard, tuple[str, int]] = {}
        self.acl = acl
        self._endpoint = Endpoint(url, options or {}, timeout)
        self._connections: dict[Shard, ShardConnection] = {}
        self._silent: set[str] = set()
        self._turn = threading.Lock()
        self.control = Control()
        """The statement's that asks at the time."""
        self.all: tuple[Shard, ...] = ()
        self._by_slot: list[Shard] = []
        self.refresh()

    @contextmanager
    def serving(self, control: Control) -> Iterator[None]:
        """Let nothing be asked within the block once the statement is ended; another statement is refused."""
        # Two threads would take each other's replies.
        if not self._turn.acquire(blocking=False):
            raise InterfaceError(
                "the connection is at work on another statement",
                hint="each thread has a connection of its own",
            )
        before, self.control = self.control, control
        try:
            with control.stopping(self.close):
                yield
        finally:
            self.control = before
            self._turn.release()

    def refresh(self) -> None:
        """Find the shards anew; asks the URL's server, then those known before."""
        with closing(self._first_seed()) as seed:
            found = find_shards(seed, self._endpoint.host)
        for shard in set(self._connections) - set(found):
            self._connections.pop(shard).close()
        self.all = found
        self._by_slot = by_slot(found) if self.clustered else []
        self._silent -= {shard.name for shard in found}

    def require_still(self, waited_for: Collection[Shard]) -> None:
        """Raise SlotsMovedError if another server took one's place; asks servers that are not waited for.

        A replica that is waited for has to answer itself (ShardUnreachableError): nobody may take its place.
        """
        for shard in waited_for:
            if shard in self._reading:
                self.open_reader(shard).close()
        seed = self._seed(waited_for)
        if seed is None:
            return
        with closing(seed):
            found = {(shard.host, shard.port) for shard in find_shards(seed, self._endpoint.host)}
        for shard in waited_for:
            if (shard.host, shard.port) not in found:
                self._silent.add(shard.name)
                raise SlotsMovedError(f"another server took the place of {shard.name}")

    def has_replicas(self, name: str | None) -> bool:
        """Tell whether a replica may take the place of the shard of this name."""
        return any(shard.name == name and shard.replicas for shard in self.all)

    @property
    def clustered(self) -> bool:
        """Whether the servers are a cluster (of one shard, perhaps)."""
        return self.all != (ALONE,)

    def connection(self, shard: Shard) -> ShardConnection:
        """Return the kept connection to a shard, opened anew when it was lost."""
        self.control.require()
        kept = self._connections.get(shard)
        if kept is None or not kept.is_idle():
            if kept is not None:
                kept.close()
            kept = self._connections[shard] = self.open(shard)
        return kept

    def open(self, shard: Shard) -> ShardConnection:
        """Return a further connection to a shard; the caller closes it."""
        self.control.require()
        return (
            self._endpoint.open()
            if shard is ALONE or shard == ALONE
            else self._endpoint.open(shard.host, shard.port)
        )

    def replica(self, host: str, port: int) -> ShardConnection:
        """Return the kept connection to a replica; what hangs is given up soon."""
        kept = self._replicas.get((host, port))
        if kept is None or not kept.is_idle():
            if kept is not None:
                kept.close()
            kept = self._replicas[host, port] = self._endpoint.open(host, port, REPLICA_SECONDS)
        return kept

    def reads(self, shard: Shard, replica: ShardConnection | None) -> None:
        """Note which replica answers for a shard; None: the shard does so itself."""
        self._reading.pop(shard, None)
        for end, kept in self._replicas.items():
            if kept is replica:
                self._reading[shard] = end

    def reader(self, shard: Shard) -> ShardConnection:
        """Return the kept connection to whoever answers for a shard, or did so last."""
        end = self._reading.get(shard)
        return self.replica(*end) if end else self.connection(shard)

    def open_reader(self, shard: Shard) -> ShardConnection:
        """Return a further connection to whoever answers for a shard; the caller closes it."""
        end = self._reading.get(shard)
        return self._endpoint.open(*end, REPLICA_SECONDS) if end else self.open(shard)

    def stop_reading(self, shard: Shard) -> None:
        """Close the connection to the replica that answers for a shard, which ends its stage."""
        end = self._reading.get(shard)
        if end is not None and end in self._replicas:
            self._replicas[end].close()

    def reader_name(self, shard: Shard) -> str:
        """Return what connections to whoever answers for a shard are called."""
        host, port = self._reading.get(shard) or (shard.host, shard.port)
        return f"{host}:{port}" if port else self._endpoint.name

    def owner(self, key: bytes) -> ShardConnection:
        """Return the connection to the shard that serves `key`."""
        return self.connection(self.shard_of(key))

    def shard_of(self, key: bytes) -> Shard:
        """Return the shard that serves `key`."""
        return self._by_slot[key_slot(key)] if self._by_slot else ALONE

    def close(self) -> None:
        """Close all connections, which ends what runs on them; the next question opens new ones.

        Any thread may do so.
        """
        for connection in (*self._connections.values(), *self._replicas.values()):
            connection.close()
        self._connections.clear()
        self._replicas.clear()

    def _first_seed(self) -> ShardConnection:
        # To ask a stopped server again costs its whole time.
        if self._endpoint.name in self._silent and (seed := self._seed(())) is not None:
            return seed
        try:
            seed = self._endpoint.open()
        except ShardUnreachableError:
            if (seed := self._seed(())) is None:
                raise
            self._silent.add(self._endpoint.name)
        return seed

    def _seed(self, but: Collection[Shard]) -> ShardConnection | None:
        """Return a connection to a known shard, the first that can be reached."""
        for shard in self.all if self.clustered else ():
            if shard not in but and shard.name not in self._silent:
                with suppress(Error):
                    return self.open(shard)
        return None
