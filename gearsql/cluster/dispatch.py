"""Sends a shard stage to all shards at once and yields the Arrow batches of their answers as they come.

A query counts every slot exactly once: in a cluster each shard tells its slots before and after its stage, on
the stage's own connection, and the answer stands only if nothing moved and all slots are there once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.gather import gather
from gearsql.cluster.shards import Shards
from gearsql.cluster.slots import ASK_SLOTS, SlotAccount
from gearsql.cluster.status import flat
from gearsql.cluster.topology import Shard
from gearsql.cluster.wire import execute_words, stream_of
from gearsql.merge.arrival import empty_batch
from gearsql.plan.stages import ShardStage


@dataclass
class StageStats:
    """What the shards did, summed; microseconds are those of the slowest shard."""

    rows_scanned: int = 0
    keys_skipped: int = 0
    misfits: int = 0
    scan_us: int = 0
    locked_us: int = 0
    hook_nulls: int = 0
    hook_us: int = 0

    def add(self, told: dict[str, Any]) -> None:
        """Add one shard's."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), int(told.get(field.name, 0))
            together = max(mine, theirs) if field.name.endswith("_us") else mine + theirs
            setattr(self, field.name, together)


def dispatch(
    shards: Shards,
    stage: ShardStage,
    stats: StageStats,
    stage_id: str,
    timeout: float | None = None,
    session: str = "",
) -> Iterator[pa.RecordBatch]:
    """Run `stage` on every shard and yield batches; each shard yields at least one, which may be empty.

    `session` names the one that its hooks run in (wire.py). Raises the first shard's error after ending the
    others, SlotsNotCoveredError after the last batch.
    """
    account = SlotAccount() if shards.clustered else None

    def read(_: Shard, connection: ShardConnection) -> Iterator[pa.RecordBatch]:
        connection.send(*([ASK_SLOTS] if account else []), execute_words(stage_id, stage, session))
        if account is not None:
            account.opens(connection.name, connection.read())
        yield from _batches(_StageAnswer(connection, stage_id, stats))
        if account is not None:
            account.closes(connection.name, connection.ask(*ASK_SLOTS))

    yield from gather(shards, read, timeout)
    if account is not None:
        account.check()


def new_stage_id() -> str:
    """Return an id that no other stage has, for GEARSQL.CANCEL and STATUS; the shards of a query share it."""
    return uuid.uuid4().hex


class _StageAnswer:
    """The frames of one shard; runs on the shard's thread."""

    def __init__(self, connection: ShardConnection, stage_id: str, stats: StageStats) -> None:
        self._connection = connection
        self._stage_id = stage_id
        self._stats = stats
        self._waiting = True

    def next_frame(self) -> bytes | None:
        """Read a frame and ask for the next one at once, so that the shard works while we decode."""
        if not self._waiting:
            return None
        frame, more, told = self._connection.read()
        self._waiting = bool(more)
        if self._waiting:
            self._connection.send(("GEARSQL.FETCH", self._stage_id))
        else:
            self._stats.add(flat(told))
        return bytes(frame)


def _batches(answer: _StageAnswer) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(stream_of(answer.next_frame)) as stream:
        empty = True
        for batch in stream:
            empty = False
            yield batch
        if empty:
            yield empty_batch(stream.schema)
    # What follows the end-of-stream marker has to be read off the connection, too.
    while answer.next_frame() is not None:
        pass
