"""The relations of a wide query as they come to be: what arrives decides which joins run on the shards.

A join runs there if all that it would send to them is small. Nobody knows that before: so what might be
small is asked for no more than a bound, and the one that is cut by it stays where it is. If two are, the
join is made here. What was large the last time is not asked for again, and what is likely to stay comes
last: if nothing else was large, it is not asked for either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from gearsql.cluster.connection import Word
from gearsql.cluster.given import can_go, given_words, is_small
from gearsql.errors import DataError, MemoryLimitError, SlotsMovedError
from gearsql.merge.arrival import unpacked
from gearsql.plan.stages import (
    SMALL_BYTES,
    SMALL_ROWS,
    GearsPlan,
    JoinPlan,
    PartPlan,
    SharedPlan,
    Spread,
    WidePlan,
)

Notes = tuple[str, ...]
Ask = Callable[[str, GearsPlan, Sequence[Word]], tuple[pa.Table, Notes]]
"""Answers a plan over a part's table, with relations that go along; and says what is to be noted."""
Merge = Callable[[GearsPlan, Iterable[pa.RecordBatch]], pa.Table]
"""Makes a part's answer of what its stage shipped."""

MOST_SHARED = 1 << 22
"""Rows of a table that shards hold for parts that share a scan."""

MOST_SEEN = 1000


@dataclass
class Seen:
    """How many rows tables had, and how many of them parts gave: what a connection remembers."""

    tables: dict[str, int] = field(default_factory=dict)
    parts: dict[tuple[str, str], int] = field(default_factory=dict)

    def table(self, name: str, rows: int) -> None:
        """Note the rows of a table that a stage read, maybe not all of them."""
        self.tables[name] = max(rows, self.tables.get(name, 0))

    def part(self, part: PartPlan, rows: int) -> None:
        """Note what a part gave."""
        if len(self.parts) >= MOST_SEEN:
            self.parts.clear()
        self.parts[_key(part)] = rows

    def size(self, part: PartPlan) -> int:
        """Return the rows that a part gave, or may give; 0 is nothing known."""
        return self.parts.get(_key(part), self.tables.get(_key(part)[0], 0))


def _key(part: PartPlan) -> tuple[str, str]:
    return part.plan.shard.scans[0].table, part.plan.shard.sql


@dataclass
class Relations:
    """What there is of a plan's parts and joins."""

    plan: WidePlan
    ask: Ask
    merge: Merge
    seen: Seen
    made: dict[str, pa.Table] = field(default_factory=dict)
    notes: Notes = ()

    def make(self) -> None:
        """Let `made` have what the plan's text takes, except for joins that are to be made in it."""
        for join in self.plan.joins:
            if not (join.together and self._gather(join.name, join.together)):
                self._spread(join)
            if join.name not in self.made:
                self._group(join)
        if self.plan.whole not in self.made:
            self._need(self.plan.takes)

    def _need(self, names: Sequence[str]) -> None:
        wanted = list(dict.fromkeys(self._missing(names)))
        for shared in self.plan.shared:
            if set(shared.parts) <= set(wanted):
                self._share(shared)
        for name in wanted:
            if name not in self.made:
                self._keep(name, *self.ask(name, self._parts[name].plan, ()))
                self.seen.part(self._parts[name], self.made[name].num_rows)

    def _missing(self, names: Sequence[str]) -> Iterator[str]:
        """The parts of these relations that are not made."""
        joins = {join.name: join for join in self.plan.joins}
        for name in names:
            if name in self.made:
                continue
            if name in joins:
                yield from self._missing(joins[name].takes)
            else:
                yield name

    def _share(self, shared: SharedPlan) -> None:
        """Make parts by one scan, if shards can hold the rows that these want."""
        rows = self.seen.tables.get(shared.plan.shard.scans[0].table, 0)
        if shared.keeps and rows > MOST_SHARED:
            return
        try:
            packed, notes = self.ask(shared.parts[0], shared.plan, ())
        except (DataError, MemoryLimitError):
            return  # it is in the part's own plan what to do
        for name, column in zip(shared.parts, packed.columns, strict=True):
            part = self._parts[name]
            self._keep(name, self.merge(part.plan, unpacked(column)), notes)
            self.seen.part(part, self.made[name].num_rows)

    def _keep(self, name: str, table: pa.Table, notes: Notes) -> None:
        self.made[name] = table
        self.notes += notes

    def _gather(self, name: str, together: Spread) -> bool:
        """Answer a join where its parts lie. Parts by themselves wait for no slot, and hold no tables."""
        if not all(map(self._is_small, together.sends)):
            return False
        try:
            return self._send(name, together)
        except (SlotsMovedError, DataError, MemoryLimitError):
            return False

    def _spread(self, join: JoinPlan) -> None:
        """Answer a join on the shards if all but one of its relations is small."""
        spread = self._chosen(join) if join.spreads else None
        if spread is not None:
            self._send(join.name, spread)

    def _group(self, join: JoinPlan) -> None:
        """Let the largest of a join's parts ship groups, if it is large: the join is made of these then."""
        sizes = {eager: self._size(eager.of) for eager in join.eager if eager.of not in self.made}
        eager = max(sizes, key=lambda one: sizes[one], default=None)
        if eager is None or sizes[eager] <= SMALL_ROWS or self._shares(eager.of):
            return
        self._keep(eager.part.name, *self.ask(eager.of, eager.part.plan, ()))
        grouped = replace(join, sql=eager.sql, takes=eager.takes)
        joins = tuple(grouped if one is join else one for one in self.plan.joins)
        self.plan = replace(self.plan, parts=(*self.plan.parts, eager.part), joins=joins)
        if join.name == self.plan.whole:
            self.plan = replace(self.plan, sql=eager.sql, takes=eager.takes)

    def _size(self, name: str) -> int:
        return self.seen.size(self._parts[name])

    def _shares(self, name: str) -> bool:
        return any(name in shared.parts for shared in self.plan.shared)

    def _send(self, name: str, spread: Spread) -> bool:
        """Answer a join on the shards; False if something is not to be sent."""
        relations = [self.made[sent] for sent in spread.sends]
        pairs = list(zip(relations, spread.plan.shard.given, strict=True))
        may = sum(relation.nbytes for relation in relations) <= SMALL_BYTES and all(
            can_go(relation, columns) for relation, columns in pairs
        )
        if may:
            words = [word for relation, columns in pairs for word in given_words(relation, columns)]
            self._keep(name, *self.ask(spread.stays[0], spread.plan, words))
        return may

    def _chosen(self, join: JoinPlan) -> Spread | None:
        """The one whose part stays: of those that may, the only one that is not small."""
        spreads = {spread.stays[0]: spread for spread in join.spreads}
        likely = max(spreads, key=lambda name: self.seen.size(self._parts[name]))
        large = None
        for name in [*(name for name in join.takes if name != likely), likely]:
            if name == likely and large is None and self._pays(spreads[name]):
                return spreads[name]
            if self._is_small(name):
                continue
            if large is not None or name not in spreads or name in self.made:
                return None
            large = name
        return spreads[large] if large else None

    def _pays(self, spread: Spread) -> bool:
        """Whether what is sent is less than what stays, as far as anybody knows."""
        rows = self.seen.size(self._parts[spread.stays[0]])
        sent = sum(self.made[name].num_rows for name in spread.sends)
        return spread.stays[0] not in self.made and (rows == 0 or rows >= sent)

    def _is_small(self, name: str) -> bool:
        """Whether a relation is small; it is made then."""
        if name in self.made:
            return is_small(self.made[name])
        part = self._parts.get(name)
        if part is None or self.seen.parts.get(_key(part), 0) > SMALL_ROWS:
            return False
        table, notes = self.ask(name, _cut(part.plan), ())
        small = is_small(table)
        if small or not _is_cut(part.plan):
            self._keep(name, table, notes)
        self.seen.part(part, table.num_rows if small else max(table.num_rows, SMALL_ROWS + 1))
        return small

    @property
    def _parts(self) -> dict[str, PartPlan]:
        return {part.name: part for part in self.plan.parts}


def _is_cut(plan: GearsPlan) -> bool:
    return plan.merge is None and plan.reader == "module"


def _cut(plan: GearsPlan) -> GearsPlan:
    """The plan for no more rows of each shard than tell that they are too many; of groups, for all."""
    if not _is_cut(plan):
        return plan
    return replace(plan, shard=replace(plan.shard, sql=f"{plan.shard.sql} LIMIT {SMALL_ROWS + 1}"))
