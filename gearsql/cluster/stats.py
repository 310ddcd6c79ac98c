"""What the shards did in one stage: each for itself, and summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from gearsql.cluster.status import text


@dataclass
class ShardStats:
    """One shard's part; a stage that asks it several times (slots that moved) adds up.

    `rows_shipped` and `bytes_shipped` are counted here, as they come; the rest is what the shard tells.
    `locked_us` is the time that its main thread could not work, in so many `slices`; the longest took
    `longest_us`. `stage_us` is the whole of the stage
    there, `queued_us` its wait for a worker.
    """

    shard: str
    keys_seen: int = 0
    rows_scanned: int = 0
    keys_skipped: int = 0
    keys_withheld: int = 0
    misfits: int = 0
    rows_shipped: int = 0
    bytes_shipped: int = 0
    scan_us: int = 0
    locked_us: int = 0
    slices: int = 0
    longest_us: int = 0
    pause_us: int = 0
    stage_us: int = 0
    queued_us: int = 0
    hook_nulls: int = 0
    hook_us: int = 0
    mode: str = ""
    fallback: str = ""

    def add(self, told: Mapping[str, Any]) -> None:
        """Add what the shard tells with a stage's last frame; what it does not tell stays."""
        for known in fields(self):
            if known.name == "shard" or known.name not in told:
                continue
            if known.type == "str":
                setattr(self, known.name, text(told[known.name]))
            elif known.name == "longest_us":
                self.longest_us = max(self.longest_us, int(told[known.name]))
            else:
                setattr(self, known.name, getattr(self, known.name) + int(told[known.name]))


@dataclass
class StageStats:
    """What one stage did everywhere; fills while it runs, from several threads, each at its own shard."""

    shards: dict[str, ShardStats] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """The shards that have said all."""
    notes: list[str] = field(default_factory=list)
    """What is to be said of who was asked."""
    nulls_here: int = 0
    """Rows that ON ERROR NULL made NULL in this client."""

    def of(self, shard: str) -> ShardStats:
        """Return a shard's, new if need be."""
        return self.shards.setdefault(shard, ShardStats(shard))

    def add_nulls(self, rows: int) -> None:
        """Add rows that ON ERROR NULL made NULL in this client."""
        self.nulls_here += rows

    def sum(self, name: str) -> int:
        """Return the sum of a number over all shards."""
        return sum(getattr(shard, name) for shard in list(self.shards.values()))

    @property
    def rows_scanned(self) -> int:
        """Rows that the readers read."""
        return self.sum("rows_scanned")

    @property
    def keys_skipped(self) -> int:
        """Keys of another type than the table's."""
        return self.sum("keys_skipped")

    @property
    def keys_withheld(self) -> int:
        """Keys that the user may not read."""
        return self.sum("keys_withheld")

    @property
    def misfits(self) -> int:
        """Values that did not fit their column's type."""
        return self.sum("misfits")

    @property
    def hook_nulls(self) -> int:
        """Rows that ON ERROR NULL made NULL."""
        return self.sum("hook_nulls") + self.nulls_here
