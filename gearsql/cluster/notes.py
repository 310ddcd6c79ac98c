"""What a query did to rows that were not as declared, in sentences: counted, never hidden."""

from __future__ import annotations

from collections.abc import Sequence

from gearsql.cluster.stats import StageStats
from gearsql.plan.stages import Scan


def notes_of(stats: StageStats, scans: Sequence[Scan]) -> tuple[str, ...]:
    """Return a sentence for misfits that pass, for keys that are left out, and for a refused snapshot."""
    notes = []
    passes = {scan.on_error for scan in scans} - {"error"}
    if stats.misfits and passes == {"null"}:
        notes.append(f"{_count(stats.misfits, 'value')} did not fit the column's type and became NULL")
    elif stats.misfits and passes == {"skip"}:
        rows, were = _count(stats.misfits, "row"), _were(stats.misfits)
        notes.append(f"{rows} had a value that did not fit and {were} left out")
    elif stats.misfits:
        values = _count(stats.misfits, "value")
        notes.append(f"{values} did not fit: NULL, or their rows left out, as their tables say")
    if stats.keys_skipped:
        keys, were = _count(stats.keys_skipped, "key"), _were(stats.keys_skipped)
        types = dict.fromkeys(_TYPES.get(scan.type, scan.type) for scan in scans)
        notes.append(f"{keys} of another type than {' or '.join(types)} {were} left out")
    if stats.keys_withheld:
        keys, were = _count(stats.keys_withheld, "key"), _were(stats.keys_withheld)
        notes.append(f"{keys} that this user may not read {were} left out: the answer is over the others")
    for why in dict.fromkeys(shard.fallback for shard in stats.shards.values() if shard.fallback):
        where = [shard.shard for shard in stats.shards.values() if shard.fallback == why]
        notes.append(f"{', '.join(where)} read in slices, and took no snapshot: {why}")
    return (*notes, *sorted(set(stats.notes)), *hook_notes(stats))


_TYPES = {"json": "string", "zset": "sorted set"}


def hook_notes(stats: StageStats) -> tuple[str, ...]:
    """Return a sentence for the rows that a function with ON ERROR NULL failed for."""
    if not stats.hook_nulls:
        return ()
    return (f"a function failed for {_count(stats.hook_nulls, 'row')}: NULL, as its ON ERROR NULL says",)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
