"""Eager aggregation: a large table that is joined elsewhere ships groups of its rows, with partial states.

Rows that are alike in all that the join looks at meet the same rows. So one row stands for them: it comes
wherever they would, and each time brings its partial states along, which merge as those of shards do.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import sqlglot
from sqlglot import exp

from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, PlaceholderSource
from gearsql.catalog.types import has_enum
from gearsql.plan.aggregates import find_aggregates
from gearsql.plan.grouped import Layout, layout_of
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION
from gearsql.plan.split import split
from gearsql.plan.stages import Eager, GearsPlan, PartPlan, ShardStage
from gearsql.plan.text import SOURCE, name_columns, quote, sql
from gearsql.sql.bound import Join, Part, ResultColumn
from gearsql.sql.syntax import Node, children, read_query, write_query
from gearsql.sql.walks import sources_in

# Values of these are equal only if nothing can tell them apart: unlike 0.0 and -0.0, or a month and 30 days.
_EXACT = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BOOLEAN|DECIMAL\(.*\)|VARCHAR|BLOB|UUID|DATE|TIME|TIMESTAMP(_S|_MS|_NS)?"
)
STATE = "any"
"""The type of a column with states: that of its aggregate, which nobody asks for."""


def eager_of(join: Join, part: Part, plan: GearsPlan, merge: str) -> Eager | None:
    """Return how a join is made of groups of one part's rows; None if it cannot be, or would gain nothing.

    `merge` is the SQL over what the shards would ship of the join.
    """
    layout = _layout(join)
    rows = read_query(join.rows).select
    leaf = next((one for one in sources_in(rows["from_table"]) if _shows(one, part.name)), None)
    if layout is None or leaf is None or not leaf["alias"] or RELATION in fold(join.text):
        return None
    if "NATURAL" in _kinds(rows["from_table"]) or any(has_enum(column.type) for column in plan.columns):
        return None
    if not all("column_names" in item for item in _items_of(leaf)):
        return None  # A column that the text names and no answer needs: NULL, cast to its type.
    eager = _Eager(join, part, plan, merge, layout, rows, leaf)
    return eager.made() if eager.may() else None


def _layout(join: Join) -> Layout | None:
    """What the join ships, if that is groups and states which are values."""
    assert join.bound.tree is not None
    try:
        layout = layout_of(join.bound.tree, find_aggregates(join.bound.tree), join.bound.table)
    except RowsNeeded:
        return None
    plain = all(state.merge is not None for state in layout.states.values())
    return layout if plain and layout.states and not layout.distinct else None


def _shows(source: Node, part: str) -> bool:
    inside = source["subquery"]["node"].get("from_table", {}) if source["type"] == "SUBQUERY" else {}
    return bool(inside.get("table_name") == part)


def _items_of(leaf: Node) -> list[Node]:
    """What the FROM shows of a part."""
    items: list[Node] = leaf["subquery"]["node"]["select_list"]
    return items


def _kinds(source: Node) -> set[str]:
    if source["type"] != "JOIN":
        return set()
    return {source["ref_type"], *_kinds(source["left"]), *_kinds(source["right"])}


@dataclass(frozen=True)
class _Eager:
    """`rows` is the tree of the join's rows, and `leaf` where the part stands in its FROM."""

    join: Join
    part: Part
    plan: GearsPlan
    merge: str
    layout: Layout
    rows: Node
    leaf: Node

    def may(self) -> bool:
        """Whether all states are of this part's columns alone, and what is kept tells no row apart."""
        own = self._items()
        states = {name for text in self._states() for name in _columns_of(text)}
        columns = [self.part.bound.columns[index] for index in self._kept()]
        kept = {column.name for column in columns}
        placed = {c.name for c in self.part.table.all_columns if isinstance(c.source, PlaceholderSource)}
        unique = KEY_COLUMN.name in kept or (bool(placed) and placed <= kept)
        exact = all(_EXACT.fullmatch(column.type) for column in columns)
        return bool(kept) and exact and states <= set(own) and not unique

    def made(self) -> Eager:
        """Return the part's groups, and the join over them."""
        name = f"{self.part.name}_groups"
        again = replace(self.part.bound, source=SOURCE)
        own = split(again, self.plan.shards, "module", points=False).shard.sql
        names = self._names()
        kept = [names[index] for index in self._kept()]
        states = self._states()
        ordinals = ", ".join(str(number + 1) for number in range(len(kept)))
        items = ", ".join([*kept, *states])
        grouped = f"SELECT {items} FROM ({own}) AS part_row({', '.join(names)}) GROUP BY {ordinals}"
        columns = [self.part.bound.columns[index] for index in self._kept()]
        columns += [ResultColumn(f"s{number}", STATE) for number in range(len(states))]
        stage = ShardStage(self.plan.shard.scans, grouped, self.plan.shard.hooks)
        plan = replace(
            self.plan, shard=stage, columns=tuple(columns), ships="partial states, one row for each group"
        )
        takes = tuple(name if taken == self.part.name else taken for taken in self.join.takes)
        return Eager(self.part.name, PartPlan(name, plan), self._joined(name, len(kept)), takes)

    def _states(self) -> list[str]:
        return [state.text for state in self.layout.states.values()]

    def _shown(self) -> list[tuple[int, str]]:
        """The part's columns where the FROM shows them: their places in it, and the names there."""
        named = [(item["column_names"][0], item["alias"]) for item in _items_of(self.leaf)]
        return [(int(name.removeprefix("c")), shown) for name, shown in named if name != "counted"]

    def _items(self) -> dict[str, str]:
        """The names of the join's columns that are the part's, and what each is in the FROM."""
        alias = fold(self.leaf["alias"])
        found = [
            (item["alias"], item["column_names"])
            for item in self.rows["select_list"]
            if "column_names" in item
        ]
        return {name: words[1] for name, words in found if len(words) == 2 and fold(words[0]) == alias}

    def _kept(self) -> list[int]:
        """The places of those columns of the part that the join looks at, or groups by."""
        groups = {name for group in self.layout.groups for name in _columns_of(sql(group))}
        looked = {fold(word) for word in self._words()}
        looked |= {fold(own) for name, own in self._items().items() if name in groups}
        return sorted({place for place, shown in self._shown() if fold(shown) in looked})

    def _words(self) -> Iterator[str]:
        """What may name a column of the part in FROM and WHERE outside of it."""
        alias = fold(self.leaf["alias"])
        where = self.rows["where_clause"]
        for words in [
            *_names(self.rows["from_table"], self.leaf),
            *(_names(where, self.leaf) if where else ()),
        ]:
            yield words[1] if len(words) > 1 and fold(words[0]) == alias else words[0]

    def _names(self) -> list[str]:
        """The part's columns as the states call them."""
        places = {fold(shown): place for place, shown in self._shown()}
        names = [f"c{number}" for number in range(len(self.part.bound.columns))]
        for name, own in self._items().items():
            names[places[fold(own)]] = name
        return names

    def _joined(self, name: str, first: int) -> str:
        """The join's text over the part's groups, whose states are the columns from `first` on."""
        kept = self._kept()
        shown = [f"c{kept.index(place)} AS {quote(own)}" for place, own in self._shown() if place in kept]
        states = [f"{self.join.name}_s{number}" for number in range(len(self.layout.states))]
        shown += [f"c{first + number} AS {state}" for number, state in enumerate(states)]
        rows = copy.deepcopy(self.rows)
        (leaf,) = (one for one in sources_in(rows["from_table"]) if _shows(one, self.part.name))
        leaf["subquery"]["node"] = read_query(f"SELECT {', '.join(shown)} FROM {name}").select
        groups = {word for group in self.layout.groups for word in _columns_of(sql(group))}
        brought = ", ".join(f"{quote(self.leaf['alias'])}.{state}" for state in states)
        rows["select_list"] = [item for item in rows["select_list"] if item["alias"] in groups]
        rows["select_list"] += read_query(f"SELECT {brought}").select["select_list"]
        items = [*name_columns(map(sql, self.layout.groups), "g"), *name_columns(states, "s")]
        shipped = f"SELECT {', '.join(items)} FROM ({write_query(rows)}) AS {self.join.name}"
        head = self.join.ctes.rstrip() + "," if self.join.ctes else "WITH"
        return f"{head} {RELATION} AS ({shipped}) {self.merge}"


def _columns_of(text: str) -> set[str]:
    """The columns that an expression names."""
    return {column.name for column in sqlglot.parse_one(text, dialect="duckdb").find_all(exp.Column)}


def _names(node: Any, leaf: Node) -> Iterator[list[str]]:
    """The names of columns under a node, with what stands before them, but not those in `leaf`."""
    if node is leaf:
        return
    if node.get("column_names"):
        yield node["column_names"]
    yield from ([name] for name in node.get("using_columns", ()))
    for child in children(node):
        yield from _names(child, leaf)
