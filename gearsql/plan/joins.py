"""Joins on the shards: one table's rows stay, all else is sent to each shard, and groups are merged as ever.

A row of that table is on one shard only, and so is all that it makes of the others: the shards' partial
states, of their joined rows, merge into the answer as those of a single table do. Several tables stay if
their rows meet by the hash tag of their keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gearsql.catalog.placed import hash_tag
from gearsql.plan.eager import eager_of
from gearsql.plan.placed import tag_of
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION
from gearsql.plan.split import Split, split, two_stages
from gearsql.plan.stages import Eager, GearsPlan, JoinPlan, MergeStage, PartPlan, ShardStage, Spread
from gearsql.plan.states import EXPORT
from gearsql.sql.bound import Join, Part, ResultColumn, WideBound


def split_joins(bound: WideBound, parts: Sequence[PartPlan], shards: int) -> tuple[JoinPlan, ...]:
    """Compile the joins of a wide query; what cannot be split is not spread."""
    plans = {part.name: part.plan for part in parts}
    columns = {name: plan.columns for name, plan in plans.items()}
    columns |= {join.name: join.bound.columns for join in bound.joins}
    # What has to travel anyway need not stay as well.
    travels = () if bound.whole else bound.takes
    stay = {
        part.name: part
        for part in bound.parts
        if plans[part.name].reader == "module" and plans[part.name].merge is None and part.name not in travels
    }
    return tuple(_Joining(join, plans, columns, stay, shards).plan() for join in bound.joins)


@dataclass(frozen=True)
class _Joining:
    """One join; `stay` are the parts that may stay where they are."""

    join: Join
    plans: Mapping[str, GearsPlan]
    columns: Mapping[str, tuple[ResultColumn, ...]]
    stay: Mapping[str, Part]
    shards: int

    def plan(self) -> JoinPlan:
        join = self.join
        assert join.bound.tree is not None
        try:
            split = two_stages(join.bound.tree, join.bound)
        except RowsNeeded as reason:
            return JoinPlan(join.name, join.text, join.bound.columns, join.takes, (), why=str(reason))
        spreads = tuple(self._spread((name,), split) for name in join.stays if name in self.stay)
        may = bool(join.together) and all(name in self.stay for name in join.together)
        together = self._spread(join.together, split) if may else None
        eager = tuple(self._eager(split))
        return JoinPlan(join.name, join.text, join.bound.columns, join.takes, spreads, together, eager)

    def _eager(self, split: Split) -> Iterator[Eager]:
        for name in self.join.stays:
            if (
                name in self.stay
                and split[1]
                and (made := eager_of(self.join, self.stay[name], self.plans[name], split[1]))
            ):
                yield made

    def _spread(self, named: tuple[str, ...], split: Split) -> Spread:
        join, stays = self.join, tuple(dict.fromkeys(named))
        sends = tuple(other for other in join.takes if other not in stays)
        ctes = [self._part(name, index, named) for index, name in enumerate(stays)]
        ctes += [f"{name} AS NOT MATERIALIZED (FROM given_{index})" for index, name in enumerate(sends)]
        head = "WITH RECURSIVE " if join.ctes.startswith("WITH RECURSIVE ") else "WITH "
        if join.ctes:
            ctes.append(join.ctes.removeprefix(head).strip())
        ctes.append(f"{join.name} AS NOT MATERIALIZED ({join.rows})")
        shard, merge, ships = split
        scans = tuple(self.plans[name].shard.scans[0] for name in stays)
        given = tuple(self.columns[other] for other in sends)
        stage = ShardStage(scans, f"{head}{', '.join(ctes)} {shard}", given=given)
        once = MergeStage(RELATION, merge, EXPORT in shard) if merge else None
        filter_ = " and ".join(filter(None, (self.plans[name].filter for name in stays)))
        plan = GearsPlan("module", stage, once, join.bound.columns, ships, self.shards, filter_)
        return Spread(stays, sends, plan)

    def _part(self, name: str, index: int, named: Sequence[str]) -> str:
        """The part as a CTE over its scan. What is joined with itself is read once."""
        part = self.stay[name]
        own = split(
            replace(part.bound, source=f"scan_{index}"), self.shards, "module", points=False
        ).shard.sql
        columns = [f"c{number}" for number in range(len(part.bound.columns))]
        tag = hash_tag(part.table) if len(named) > 1 else None
        if tag and tag.unless:
            items = [
                f"{tag_of(c)} AS {c}" if part.shown(place) == tag.unless else c
                for place, c in enumerate(columns)
            ]
            own = f"SELECT {', '.join(items)} FROM ({own}) AS part_row({', '.join(columns)})"
        kept = "" if named.count(name) > 1 else "NOT "
        return f"{name}({', '.join(columns)}) AS {kept}MATERIALIZED ({own})"
