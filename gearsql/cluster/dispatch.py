"""Sends a shard stage to all shards at once and yields the Arrow batches of their answers as they come.

A query counts every slot exactly once: in a cluster each shard is told which slots to count, and tells which
of them it could not, because they moved. Those are asked for again, wherever they are by then, and what the
shards ship adds up, since it is rows or partial states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from gearsql.cluster.connection import ShardConnection, Word
from gearsql.cluster.gather import gather
from gearsql.cluster.patience import Patience
from gearsql.cluster.replicas import alone, choose
from gearsql.cluster.shards import Shards
from gearsql.cluster.slots import ALL_SLOTS, ASK_SLOTS, SlotLedger, moved, parse_slots, slot_spans
from gearsql.cluster.stats import StageStats
from gearsql.cluster.status import flat, text
from gearsql.cluster.topology import Shard
from gearsql.cluster.wire import execute_words, stream_of
from gearsql.merge.arrival import empty_batch
from gearsql.plan.stages import ScanMode, ShardStage


def dispatch(
    shards: Shards,
    stage: ShardStage,
    stats: StageStats,
    patience: Patience | None = None,
    session: str = "",
    mode: ScanMode = "sliced",
    given: Sequence[Word] = (),
) -> Iterator[pa.RecordBatch]:
    """Run `stage` on every shard and yield batches; each shard yields at least one, which may be empty.

    `session` names the one that its hooks run in, `given` are words of relations (wire.py). Raises the first
    shard's error after ending the others, SlotsMovedError after the last batch.
    """
    patience = patience or Patience()

    def read(_: Shard, connection: ShardConnection) -> Iterator[pa.RecordBatch]:
        limits = patience.control.limits()
        words = execute_words(stage_id, stage, session, None, mode, shards.acl, limits, given=given)
        connection.send(words)
        yield from _batches(_StageAnswer(connection, stage_id, stats))

    stage_id = patience.control.new_stage_id()
    if shards.clustered:
        yield from _by_slots(shards, stage, stats, patience, session, mode, given)
    else:
        if shards.read_from != "primary":
            stats.notes.append(alone(shards))
        yield from gather(shards, read, patience.left())


def _by_slots(
    shards: Shards,
    stage: ShardStage,
    stats: StageStats,
    patience: Patience,
    session: str,
    mode: ScanMode,
    given: Sequence[Word],
) -> Iterator[pa.RecordBatch]:
    """Ask for all slots, then for those that were left, until none is."""
    # The answers of a whole query do not add up: it has to be split for more shards first.
    whole = len(shards.all) == 1
    left = ALL_SLOTS
    while left:
        ledger = SlotLedger(shards.all, left)
        stage_id = patience.control.new_stage_id()

        def read(
            shard: Shard,
            connection: ShardConnection,
            ledger: SlotLedger = ledger,
            stage_id: str = stage_id,
        ) -> Iterator[pa.RecordBatch]:
            slots = slot_spans(ledger.of[shard])
            limits = patience.control.limits()
            chosen = None
            if shards.read_from != "primary":
                chosen = choose(shards, shard, connection, ledger.of[shard], stage)
                stats.notes.append(chosen.note)
            asked, replica = (chosen.connection, chosen.replica) if chosen else (connection, False)
            what = (stage_id, stage, session, slots, mode, shards.acl, limits)
            asked.send(execute_words(*what, replica=replica, given=given))
            answer = _StageAnswer(asked, stage_id, stats)
            yield from _batches(answer)
            after = connection.ask(*ASK_SLOTS)
            if chosen:
                chosen.require_unmoved(after)
            ledger.closes(shard, parse_slots(answer.slots_left), after)

        yield from gather(shards, read, patience.left(), [shard for shard in shards.all if ledger.of[shard]])
        before, left = left, ledger.settle()
        if left != before:
            patience.goes_on()
        if left:
            patience.trouble = trouble = moved(left)
            waits = patience.settles if ledger.is_moving(left) else patience.heard
            if whole or not waits():
                raise trouble
            shards.refresh()


def ask_shard(
    shards: Shards, shard: Shard, stage: ShardStage, timeout: float | None = None, session: str = ""
) -> list[pa.RecordBatch]:
    """Return what a stage ships from one shard, or from its replica that read last, whatever the slots."""
    stage_id = shards.control.new_stage_id()

    def read(_: Shard, connection: ShardConnection) -> Iterator[pa.RecordBatch]:
        reader = shards.reader(shard)
        reader.send(execute_words(stage_id, stage, session, replica=reader is not connection))
        yield from _batches(_StageAnswer(reader, stage_id, StageStats()))

    return list(gather(shards, read, timeout, [shard]))


class _StageAnswer:
    """The frames of one shard; runs on the shard's thread."""

    def __init__(self, connection: ShardConnection, stage_id: str, stats: StageStats) -> None:
        self._connection = connection
        self._stage_id = stage_id
        self.stats = stats.of(connection.name)
        self._ended = stats.ended
        self._waiting = True
        self.slots_left = ""

    def next_frame(self) -> bytes | None:
        """Read a frame and ask for the next one at once, so that the shard works while we decode."""
        if not self._waiting:
            return None
        frame, more, told = self._connection.read()
        self._waiting = bool(more)
        self.stats.bytes_shipped += len(frame)
        if self._waiting:
            self._connection.send(("GEARSQL.FETCH", self._stage_id))
        else:
            stats = flat(told)
            self.stats.add(stats)
            self.slots_left = text(stats["slots_left"])
            self._ended.add(self.stats.shard)
        return bytes(frame)


def _batches(answer: _StageAnswer) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(stream_of(answer.next_frame)) as stream:
        empty = True
        for batch in stream:
            empty = False
            answer.stats.rows_shipped += batch.num_rows
            yield batch
        if empty:
            yield empty_batch(stream.schema)
    # What follows the end-of-stream marker has to be read off the connection, too.
    while answer.next_frame() is not None:
        pass
