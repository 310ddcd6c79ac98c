"""What a query did, in lines: the part of EXPLAIN ANALYZE that is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from gearsql.cluster.stats import ShardStats, StageStats


@dataclass
class Measured:
    """One run of a statement: its stages in their order, each with the name of its table."""

    began: float = field(default_factory=time.perf_counter)
    stages: list[tuple[str, StageStats]] = field(default_factory=list)
    arrived: float = 0.0
    """When the last batch came."""

    def lines(self, rows: int) -> Iterator[str]:
        """Yield what to print after the plan; the answer has `rows`."""
        ended = time.perf_counter()
        for number, (table, stats) in enumerate(self.stages, 1):
            yield ""
            yield f"measured{f', stage {number}' if len(self.stages) > 1 else ''}: {table}"
            yield from _grid([_HEAD, *map(_cells, stats.shards.values())])
            yield from _remarks(list(stats.shards.values()))
        yield ""
        if self.arrived:
            yield f"merge    {_ms(1e6 * (ended - self.arrived))} ms after the last batch"
        yield f"total    {_ms(1e6 * (ended - self.began))} ms, {_count(rows, 'row')}"


_HEAD = (
    *("shard", "keys", "rows", "shipped", "bytes"),
    *("queued ms", "scan ms", "locked ms", "slices", "longest ms", "stage ms", "mode"),
)


def _cells(shard: ShardStats) -> tuple[str, ...]:
    counts = (shard.keys_seen, shard.rows_scanned, shard.rows_shipped, shard.bytes_shipped)
    times = (shard.queued_us, shard.scan_us, shard.locked_us)
    slices = (f"{shard.slices:,}", _ms(shard.longest_us))
    name, mode = shard.shard, shard.mode or "portable"
    return (name, *(f"{count:,}" for count in counts), *map(_ms, times), *slices, _ms(shard.stage_us), mode)


def _grid(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *middle, last = row
        numbers = (cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))
        yield "  ".join(["", first.ljust(widths[0]), *numbers, last])


def _remarks(shards: Sequence[ShardStats]) -> Iterator[str]:
    if len(shards) > 1:
        slowest, middle = max(shards, key=_time), median(map(_time, shards))
        ratio = _time(slowest) / middle if middle else 1.0
        yield f"  skew   {ratio:.2f}: the slowest, {slowest.shard}, to the median of {_ms(middle)} ms"
    if hooks := sum(shard.hook_us for shard in shards):
        yield f"  hooks  {_ms(hooks)} ms, of all shards together"
    for shard in shards:
        if shard.pause_us:
            yield f"  pause  {_ms(shard.pause_us)} ms by the fork of {shard.shard}"
        if shard.fallback:
            yield f"  no snapshot of {shard.shard}: {shard.fallback}"


def _time(shard: ShardStats) -> int:
    return shard.stage_us


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1000:,.1f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
