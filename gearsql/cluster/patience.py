"""How often a query runs again when shards die, move their slots or change places under it, and for how long.

A query only reads, and hands out nothing before its merge is done: running it again is always safe.
"""

from __future__ import annotations

import time

from gearsql.cluster.control import Control
from gearsql.cluster.shards import Shards
from gearsql.errors import (
    Error,
    KeyChangedError,
    ServerLoadingError,
    ShardUnreachableError,
    SlotsMovedError,
    SlotsNotCoveredError,
    TableShrankError,
)

SETTLE_SECONDS = 10.0
"""For slots that move, if the query has no timeout of its own."""
FAILOVER_SECONDS = 30.0
"""For a replica to take a dead primary's place; cluster-node-timeout is 15 s by default."""
GOSSIP_SECONDS = 3.0
"""For the servers to tell each other what has moved already, whatever the query's timeout."""

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25


class Patience:
    """One query's: its deadline, and how long it has waited."""

    def __init__(self, control: Control | None = None) -> None:
        """`control` is the query's, which knows its time."""
        self.control = control or Control()
        self._pause = FIRST_PAUSE
        self._since: dict[float, float] = {}
        self._lost = 0

    def left(self) -> float | None:
        """Return the seconds until the query's time is up; None: it has no limit."""
        return self.control.left()

    @property
    def trouble(self) -> Error | None:
        """What keeps the query from its end, if anything does."""
        return self.control.trouble

    @trouble.setter
    def trouble(self, error: Error) -> None:
        self.control.trouble = error

    def settles(self) -> bool:
        """Wait a little for slots that move; False when it has been long enough."""
        return self._waits(SETTLE_SECONDS)

    def heard(self) -> bool:
        """Wait a little until the servers have told each other; False when they had the time."""
        return self._waits(GOSSIP_SECONDS, firm=True)

    def goes_on(self) -> None:
        """Some of the slots that were waited for came to rest: what is left may be new."""
        self._since.pop(GOSSIP_SECONDS, None)

    def _waits(self, seconds: float, *, firm: bool = False) -> bool:
        """Wait, longer each time. The limit counts from the first time, and gives way to the query's own."""
        now = time.monotonic()
        waited = now - self._since.setdefault(seconds, now)
        left = self.left()
        if left is not None and left < self._pause:
            return False
        if (left is None or firm) and waited > seconds:
            return False
        self.control.sleep(self._pause)
        self._pause = min(self._pause * 1.5, LONGEST_PAUSE)
        return True

    def recover(self, shards: Shards, error: Error) -> None:
        """Find the shards anew after `error`, so that the query can run again; raise it if that is no use."""
        self.trouble = error
        while self._allows(shards, error):
            try:
                shards.refresh()
                return
            except (SlotsNotCoveredError, ShardUnreachableError) as again:
                error = again
        raise error

    def _allows(self, shards: Shards, error: Error) -> bool:
        if self.left() == 0.0:
            return False
        match error:
            case SlotsMovedError() | TableShrankError() | KeyChangedError() | ServerLoadingError():
                return self.settles()
            case SlotsNotCoveredError():
                return self.heard()
            case ShardUnreachableError(refused=True):
                return False
            case ShardUnreachableError():
                # The first time it may be the connection alone that was lost.
                self._lost += 1
                return self._lost == 1 or (shards.has_replicas(error.shard) and self._waits(FAILOVER_SECONDS))
            case _:
                return False
