"""Parts of one table that share its scan: a shard reads the rows once, and answers each part over them.

What a part ships is a row as it would be, packed: a list of one STRUCT in a column of the part's own, NULL
in the other parts' rows. A NULL takes a few bytes, so hardly more is shipped than by scans of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gearsql.catalog.types import has_enum
from gearsql.plan.keys import narrowed
from gearsql.plan.rewrite import RELATION
from gearsql.plan.split import split
from gearsql.plan.stages import GearsPlan, PartPlan, Scan, ShardStage, SharedPlan
from gearsql.sql.bound import Part, ResultColumn

KEPT, ROW = "kept_rows", "part_row"


def share(parts: Sequence[Part], plans: Sequence[PartPlan]) -> Iterator[SharedPlan]:
    """Yield the scans that several parts share."""
    tables: dict[Scan, list[tuple[Part, GearsPlan]]] = {}
    for part, made in zip(parts, plans, strict=True):
        if _may_share(made.plan):
            (scan,) = made.plan.shard.scans
            tables.setdefault(replace(narrowed(scan), columns=(), fixed=()), []).append((part, made.plan))
    for users in tables.values():
        if len(users) > 1:
            yield _shared(users)


def _may_share(plan: GearsPlan) -> bool:
    """Arrow brings an ENUM without its values; a misfit drops a row for those only who read its column."""
    if plan.reader == "point" or plan.shard.hooks or len(plan.shard.scans) != 1:
        return False
    (scan,) = plan.shard.scans
    types = [plan.shard.sql, *(c.type for c in scan.columns), *(c.type for c in plan.columns)]
    named = [column.name for column in scan.columns]
    return scan.on_error != "skip" and ROW not in named and not any(map(has_enum, types))


def _shared(users: Sequence[tuple[Part, GearsPlan]]) -> SharedPlan:
    plans = [plan for _, plan in users]
    scans = [plan.shard.scans[0] for plan in plans]
    columns = tuple(dict.fromkeys(column for scan in scans for column in scan.columns))
    filters = [plan.filter for plan in plans]
    condition = (
        f" WHERE {' OR '.join(f'({text})' for text in dict.fromkeys(filters))}" if all(filters) else ""
    )
    rows = " UNION ALL BY NAME ".join(_packed(index, *user) for index, user in enumerate(users))
    text = f"WITH {KEPT} AS MATERIALIZED (FROM scan_0{condition}) {rows}"
    first = plans[0]
    packed = tuple(ResultColumn(f"p{index}", "STRUCT[]") for index in range(len(users)))
    stage = ShardStage((replace(scans[0], columns=columns),), text)
    ships = "what each part ships, its rows in a column of its own"
    plan = GearsPlan(first.reader, stage, None, packed, ships, first.shards)
    keeps = any(plan.merge is None or plan.merge.relation != RELATION for plan in plans)
    return SharedPlan(tuple(part.name for part, _ in users), plan, keeps)


def _packed(index: int, part: Part, plan: GearsPlan) -> str:
    """The part's rows, each a value. What is not merged has the user's names, of which two may be alike."""
    again = split(replace(part.bound, source=KEPT), plan.shards, plan.reader, points=False)
    names = (
        f"({', '.join(f'c{number}' for number in range(len(plan.columns)))})" if plan.merge is None else ""
    )
    return f"SELECT [{ROW}] AS p{index} FROM ({again.shard.sql}) AS {ROW}{names}"
