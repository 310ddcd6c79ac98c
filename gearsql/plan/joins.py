"""Joins on the shards: one table's rows stay, all else is sent to each shard, and groups are merged as ever.

A row of that table is on one shard only, and so is all that it makes of the others: the shards' partial
states, of their joined rows, merge into the answer as those of a single table do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION
from gearsql.plan.split import Split, two_stages
from gearsql.plan.stages import GearsPlan, JoinPlan, MergeStage, PartPlan, ShardStage, Spread
from gearsql.plan.states import EXPORT
from gearsql.sql.bound import Join, ResultColumn, WideBound


def split_joins(bound: WideBound, parts: Sequence[PartPlan], shards: int) -> tuple[JoinPlan, ...]:
    """Compile the joins of a wide query; what cannot be split is not spread."""
    plans = {part.name: part.plan for part in parts}
    columns = {name: plan.columns for name, plan in plans.items()}
    columns |= {join.name: join.bound.columns for join in bound.joins}
    # What has to travel anyway need not stay as well.
    travels = () if bound.whole else bound.takes
    scanned = {name: plan for name, plan in plans.items() if plan.reader == "module" and plan.merge is None}
    stay = {name: plan for name, plan in scanned.items() if name not in travels}
    return tuple(
        JoinPlan(
            join.name,
            join.text,
            join.bound.columns,
            join.takes,
            tuple(_spreads(join, stay, columns, shards)),
        )
        for join in bound.joins
    )


def _spreads(
    join: Join,
    stay: Mapping[str, GearsPlan],
    columns: Mapping[str, tuple[ResultColumn, ...]],
    shards: int,
) -> Iterator[Spread]:
    assert join.bound.tree is not None
    try:
        split = two_stages(join.bound.tree, join.bound)
    except RowsNeeded:
        return
    for name in join.stays:
        if name in stay:
            sends = tuple(other for other in join.takes if other != name)
            given = tuple(columns[other] for other in sends)
            yield Spread(name, sends, _plan(join, stay[name], split, name, sends, given, shards))


def _plan(
    join: Join,
    part: GearsPlan,
    split: Split,
    stays: str,
    sends: Sequence[str],
    given: tuple[tuple[ResultColumn, ...], ...],
    shards: int,
) -> GearsPlan:
    shard, merge, ships = split
    names = ", ".join(f"c{index}" for index in range(len(part.columns)))
    ctes = [f"{stays}({names}) AS NOT MATERIALIZED ({part.shard.sql})"]
    ctes += [f"{name} AS NOT MATERIALIZED (FROM given_{index})" for index, name in enumerate(sends)]
    head = "WITH RECURSIVE " if join.ctes.startswith("WITH RECURSIVE ") else "WITH "
    if join.ctes:
        ctes.append(join.ctes.removeprefix(head).strip())
    ctes.append(f"{join.name} AS NOT MATERIALIZED ({join.rows})")
    stage = ShardStage(part.shard.scans, f"{head}{', '.join(ctes)} {shard}", given=given)
    once = MergeStage(RELATION, merge, EXPORT in shard) if merge else None
    return GearsPlan(part.reader, stage, once, join.bound.columns, ships, shards, part.filter)
