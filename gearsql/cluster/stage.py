"""Runs a plan's shard stage by the plan's reader: in the servers, or here over rows that travel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from gearsql.cluster.connection import ShardConnection, Word
from gearsql.cluster.dispatch import dispatch
from gearsql.cluster.gather import gather
from gearsql.cluster.patience import Patience
from gearsql.cluster.points import read_points
from gearsql.cluster.portable import read_rows
from gearsql.cluster.progress import Progress, reported
from gearsql.cluster.shards import Shards
from gearsql.cluster.stats import StageStats
from gearsql.cluster.topology import Shard
from gearsql.merge.arrival import Arrival
from gearsql.merge.hooks import Calling
from gearsql.merge.merger import Merger
from gearsql.plan.stages import GearsPlan, ScanMode


@dataclass(frozen=True)
class Stage:
    """One execution of a plan's shard stage; `stats` fills while it runs."""

    shards: Shards
    plan: GearsPlan
    stats: StageStats
    patience: Patience
    progress: Progress | None = None
    session: str = ""
    mode: ScanMode = "sliced"
    given: Sequence[Word] = ()

    @property
    def calling(self) -> Calling:
        """What its users' functions belong to that run in this client."""
        control = self.patience.control
        return Calling(control.id, self.stats.add_nulls, control.left, control.stopping)

    def batches(self, merger: Merger) -> Iterator[pa.RecordBatch]:
        """Yield what the stage ships, at least one batch; closing the iterator ends the stage everywhere."""
        measured = self.patience.control.measured
        joined = ", joined with what was sent" if self.given else ""
        tables = " and ".join(dict.fromkeys(scan.table for scan in self.plan.shard.scans))
        measured.stages.append((tables + joined, self.stats))
        match self.plan.reader:
            case "module":
                yield from self._in_servers()
            case "portable":
                yield from self._here(merger, self._read())
            case "point":
                yield from self._points(merger)
        measured.arrived = time.perf_counter()

    def _in_servers(self) -> Iterator[pa.RecordBatch]:
        with reported(self.shards, self.patience.control.id, self.progress, self.stats):
            shard, how = self.plan.shard, (self.patience, self.session, self.mode)
            yield from dispatch(self.shards, shard, self.stats, *how, self.given)

    def _here(self, merger: Merger, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with closing(Arrival(batches)) as rows, rows.faults():
            yield from merger.run_local(self.plan.shard, [rows.reader()], self.calling)

    def _points(self, merger: Merger) -> Iterator[pa.RecordBatch]:
        (scan,) = self.plan.shard.scans
        batches = read_points(self.shards, scan, self.stats, self.patience.left())
        if self.plan.direct is None:
            yield from self._here(merger, batches)
            return
        for batch in batches:
            columns = [batch.column(index) for index in self.plan.direct]
            yield pa.RecordBatch.from_arrays(columns, [f"s{index}" for index in range(len(columns))])

    def _read(self) -> Iterator[pa.RecordBatch]:
        (scan,) = self.plan.shard.scans
        total = sum(gather(self.shards, _count)) if self.progress else 0
        for batch in read_rows(self.shards, scan, self.stats, self.patience.left()):
            if self.progress:
                self.progress(min(self.stats.rows_scanned, total), total)
            yield batch


def _count(_: Shard, connection: ShardConnection) -> Iterator[int]:
    yield connection.ask("DBSIZE")
