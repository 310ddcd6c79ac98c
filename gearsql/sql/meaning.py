"""What a bound plan means, so that two texts can be compared: a form without projections.

A projection is only names for expressions, so references to it are the expressions themselves; a filter may
stand on either side of what it commutes with. What is left is compared piece by piece. Operators that this
module does not know stay as they are, over all columns of their inputs in their order.

Sound where each expression has one value for a row: callers keep volatile functions away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gearsql.sql.plans import Plan
from gearsql.sql.syntax import Node

# DuckDB's numbers for relations, in the order in which it binds.
_NUMBERS = {
    "table_index", "group_index", "aggregate_index", "groupings_index", "mark_index", "cte_index",
    "window_index", "unnest_index", "ctename",
}  # fmt: skip
_MAPS = ("projection_map", "left_projection_map", "right_projection_map")
# Sides of joins whose filters may stand above them, and those whose columns may be NULL instead.
_COMMUTE = {
    "INNER": (0, 1),
    "LEFT": (0,),
    "RIGHT": (1,),
    "SEMI": (0,),
    "ANTI": (0,),
    "MARK": (0,),
    "SINGLE": (0,),
}
_NULLED = {"LEFT": (1,), "RIGHT": (0,), "FULL": (0, 1), "SINGLE": (1,)}
_ONLY_LEFT = ("SEMI", "ANTI", "MARK")


def same_meaning(one: Plan, other: Plan) -> bool:
    """Whether both plans are known and give the same rows, but for their order."""
    if one.nodes is None or other.nodes is None:
        return False
    try:
        return _meaning(one.nodes) == _meaning(other.nodes)
    except (IndexError, KeyError, TypeError):  # an operator of a form that nobody here has seen
        return False


@dataclass(frozen=True)
class _Columns:
    """The values of a relation's columns; of a relation that is not known, made as they are asked for."""

    known: Sequence[str] | None
    relation: int = 0

    def __getitem__(self, index: int) -> str:
        return _digest("column", self.relation, index) if self.known is None else self.known[index]

    def at(self, places: Sequence[int]) -> _Columns:
        return _Columns([self[place] for place in places]) if places else self


@dataclass(frozen=True)
class _Relation:
    """Rows: what they are but for filters, these, and columns. All are digests."""

    core: str
    filters: frozenset[str]
    columns: _Columns

    @property
    def rows(self) -> str:
        return _digest("rows", self.core, sorted(self.filters))


def _meaning(nodes: Sequence[Node]) -> list[Any]:
    relations = [_Walk().relation(node) for node in nodes]
    return [(relation.rows, relation.columns.known) for relation in relations]


@dataclass
class _Walk:
    """Walks one plan. Relations are counted as they come; `ctes` and `recurring` can be named."""

    count: int = 0
    ctes: dict[int, tuple[int, _Columns]] = field(default_factory=dict)
    recurring: dict[int, int] = field(default_factory=dict)

    def relation(self, node: Node) -> _Relation:
        if node["type"] == "LOGICAL_MATERIALIZED_CTE":
            return self._cte(node)
        if node["type"] == "LOGICAL_RECURSIVE_CTE":
            self.recurring[node["table_index"]] = self._next()
        inputs = [self.relation(child) for child in node["children"]]
        make = getattr(self, "_" + node["type"].removeprefix("LOGICAL_").lower(), None)
        made: _Relation | None = make(node, *inputs) if make else None
        return made or self._unknown(node, inputs)

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _unknown(self, node: Node, inputs: Sequence[_Relation]) -> _Relation:
        number = self._next()
        own = _unnumbered(_without(node, "children"))
        below = [(each.rows, each.columns.known) for each in inputs]
        named = self.recurring.get(node.get("cte_index", -1))
        return _Relation(_digest("unknown", number, named, own, below), frozenset(), _Columns(None, number))

    def _cte(self, node: Node) -> _Relation:
        made = self.relation(node["children"][0])
        number = self._next()
        self.ctes[node["table_index"]] = number, made.columns
        used = self.relation(node["children"][1])
        return replace(used, core=_digest("cte", number, made.rows, used.core))

    def _cte_ref(self, node: Node) -> _Relation | None:
        found = self.ctes.get(node["cte_index"])
        if found is None or node["is_recurring"]:
            return None
        number = self._next()
        columns = _Columns([_digest("of", number, found[1][i]) for i in range(len(node["chunk_types"]))])
        return _Relation(_digest("named", number, found[0]), frozenset(), columns)

    def _get(self, node: Node, *inputs: _Relation) -> _Relation | None:
        filters = node["table_filters"] or {}
        if inputs or "table" not in (node.get("function_data") or {}) or any(filters.values()):
            return None
        number, names = self._next(), node["names"]
        read = [column["index"] for column in node["column_indexes"]]
        plain = all(not column["child_indexes"] for column in node["column_indexes"])
        own = _without(node, "column_indexes", "projection_ids")
        values = [_digest("get", number, names[i] if i < len(names) else i) for i in read]
        columns = _Columns(values).at(node["projection_ids"])
        core = _digest("get", number, _value(own, _Columns(())))
        return _Relation(core, frozenset(), columns) if plain else None

    def _projection(self, node: Node, below: _Relation) -> _Relation:
        return replace(below, columns=_Columns(_values(node["expressions"], below)))

    def _filter(self, node: Node, below: _Relation) -> _Relation:
        filters = {_value(part, below.columns) for each in node["expressions"] for part in _conjuncts(each)}
        return replace(
            below, filters=below.filters | filters, columns=below.columns.at(node["projection_map"])
        )

    def _order_by(self, node: Node, below: _Relation) -> _Relation:
        core = _digest("order", below.core, _value(node["orders"], below.columns))
        return replace(below, core=core, columns=below.columns.at(node["projections"]))

    def _limit(self, node: Node, below: _Relation) -> _Relation:
        own = _value(_without(node, "children"), below.columns)
        return _Relation(_digest("limit", below.rows, own), frozenset(), below.columns)

    def _distinct(self, node: Node, below: _Relation) -> _Relation:
        own = _value(_without(node, "children"), below.columns)
        if (
            node["distinct_type"] == "DISTINCT"
        ):  # what it is asked of stands in its columns, as filters above do
            return replace(below, core=_digest("distinct", below.core, own))
        return _Relation(_digest("distinct", below.rows, own), frozenset(), below.columns)

    def _aggregate_and_group_by(self, node: Node, below: _Relation) -> _Relation | None:
        number, groups = self._next(), _values(node["groups"], below)
        if node["grouping_functions"]:
            return None
        plain = bool(groups) and node["grouping_sets"] in ([], [list(range(len(groups)))])
        aggregates = [_digest("of", number, value) for value in _values(node["expressions"], below)]
        if plain:  # a filter above is about groups or aggregates, one below about groups or about neither
            core = _digest("groups", number, below.core, groups)
            return _Relation(core, below.filters, _Columns([*groups, *aggregates]))
        core = _digest("groups", number, below.rows, groups, node["grouping_sets"])
        shown = [_digest("of", number, group) for group in groups]
        return _Relation(core, frozenset(), _Columns([*shown, *aggregates]))

    def _window(self, node: Node, below: _Relation) -> _Relation | None:
        if below.columns.known is None:
            return None
        number = self._next()
        windows = [_digest("of", number, value) for value in _values(node["expressions"], below)]
        core = _digest("window", number, below.rows)
        return _Relation(core, frozenset(), _Columns([*below.columns.known, *windows]))

    def _cross_product(self, node: Node, left: _Relation, right: _Relation) -> _Relation | None:
        return self._joined({**node, "join_type": "INNER"}, left, right)

    def _comparison_join(self, node: Node, left: _Relation, right: _Relation) -> _Relation | None:
        return self._joined(node, left, right)

    def _any_join(self, node: Node, left: _Relation, right: _Relation) -> _Relation | None:
        return self._joined(node, left, right)

    def _joined(self, node: Node, left: _Relation, right: _Relation) -> _Relation | None:
        kind, sides = node["join_type"], (left, right)
        lists = left.columns.known, right.columns.known
        if kind not in _COMMUTE | _NULLED or None in lists or node.get("duplicate_eliminated_columns"):
            return None
        number = self._next()
        both = _Columns([*(lists[0] or ()), *(lists[1] or ())])
        conditions = [
            (_value(each["left"], left.columns), each["comparison"], _value(each["right"], right.columns))
            if "left" in each
            else _value(each, both)
            for each in node.get("conditions", ())
        ]
        own = _value(_without(node, "children", "conditions", *_MAPS), both)
        up = _COMMUTE.get(kind, ())
        rows = [each.core if place in up else each.rows for place, each in enumerate(sides)]
        filters = frozenset[str]().union(*(sides[place].filters for place in up))
        core = _digest("join", number, kind, own, sorted(map(str, conditions)), rows)
        return _Relation(core, filters, _Columns(self._shown(node, kind, number, sides)))

    def _shown(self, node: Node, kind: str, number: int, sides: Sequence[_Relation]) -> list[str]:
        found = []
        for place, side in enumerate(sides):
            columns = side.columns.at(node.get(_MAPS[1 + place]) or ()).known or ()
            nulled = place in _NULLED.get(kind, ())
            shown = [_digest("nulled", number, column) for column in columns] if nulled else columns
            found.append(list(shown))
        if kind in _ONLY_LEFT:
            return [*found[0], *([_digest("of", number)] if kind == "MARK" else ())]
        return [*found[0], *found[1]]


def _values(expressions: Iterable[Node], below: _Relation) -> list[str]:
    return [_value(expression, below.columns) for expression in expressions]


def _value(node: Any, columns: _Columns) -> Any:
    """The digest of an expression; a reference is what it refers to."""
    if isinstance(node, list):
        return [_value(child, columns) for child in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "BOUND_REF":
        return columns[node["index"]]
    parts = {part: value for part, value in node.items() if part not in _NUMBERS}
    return _digest({part: _part(node, part, value, columns) for part, value in parts.items()})


def _part(node: Node, part: str, value: Any, columns: _Columns) -> Any:
    """What a function keeps for itself, and a lambda but for its captures, refer to their own arguments."""
    own = part == "function_data" or (node.get("expression_class") == "BOUND_LAMBDA" and part != "captures")
    return value if own else _value(value, columns)


def _unnumbered(node: Any) -> Any:
    if isinstance(node, list):
        return [_unnumbered(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {part: _unnumbered(value) for part, value in node.items() if part not in _NUMBERS}


def _conjuncts(expression: Node) -> list[Node]:
    if expression["type"] != "CONJUNCTION_AND":
        return [expression]
    return [part for child in expression["children"] for part in _conjuncts(child)]


def _without(node: Mapping[str, Any], *parts: str) -> Node:
    return {part: value for part, value in node.items() if part not in parts}


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()
