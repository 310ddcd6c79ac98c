"""Filters above subqueries in FROM: what is about one of them alone goes into it.

It stays above, too: so what comes of it can only be too many rows, never too few. Nobody has to trust this
module for the other: a subquery with a filter counts only if DuckDB binds it to the rows of the subquery that
pass the filter (meaning.py). Arms of UNION and its kin get a filter for themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.sql.ctes import Ctes, used, with_text
from gearsql.sql.filters import conditions_of, conjunction, conjuncts
from gearsql.sql.flatten import MOST_GROWTH, Texts
from gearsql.sql.normalise import UnwritableError, calls
from gearsql.sql.outputs import outputs_of
from gearsql.sql.syntax import Node, read_query, write_expression, write_query
from gearsql.sql.walks import sources_in

_SETS = ("UNION", "EXCEPT", "INTERSECT")


@dataclass
class Sinking:
    """Lets filters sink. What calls `volatile` functions stays where it is, and above what does."""

    texts: Texts
    volatile: frozenset[str]
    _most: int = 0

    def sink(self, tree: Node) -> None:
        """Write filters into the subqueries of a tree, which is edited."""
        self._most = MOST_GROWTH * len(write_query(tree))
        self._sink(tree, ())

    def _sink(self, node: Any, visible: Ctes) -> None:
        if isinstance(node, list):
            for child in node:
                self._sink(child, visible)
        if not isinstance(node, dict):
            return
        inner = list(visible)
        for entry in node["cte_map"]["map"] if "cte_map" in node else ():
            self._sink(entry, inner)
            inner.append(entry)
        if node.get("type") == "SELECT_NODE" and "from_table" in node:
            self._into_sources(node, inner)
        for part, value in node.items():
            if part != "cte_map":
                self._sink(value, inner)

    def _into_sources(self, select: Node, visible: Ctes) -> None:
        subqueries = {
            id(each): each for each in sources_in(select["from_table"]) if each["type"] == "SUBQUERY"
        }
        if not subqueries:
            return
        names = _Names(self.texts, with_text(used(visible, select)))
        for place, conditions in list(conditions_of(select, names.of, self.volatile)):
            inner = subqueries[place]["subquery"] if place in subqueries else None
            if inner and conditions and not calls(inner["node"], self.volatile):
                shown = names.ordered(subqueries[place])
                inner["node"] = self._filtered(inner["node"], shown, conditions, names)

    def _filtered(self, node: Node, shown: Sequence[str], conditions: Sequence[Node], names: _Names) -> Node:
        """A query with conditions about its columns, which are `shown` under these names."""
        if node["cte_map"]["map"]:
            return node
        if node["type"] == "SET_OPERATION_NODE" and node["setop_type"] in _SETS and not node["modifiers"]:
            parts = ("left", "right", "children")
            return {
                **node,
                **{part: self._arms(node, node[part], shown, conditions, names) for part in parts},
            }
        if node["type"] == "SELECT_NODE":
            for condition in conditions:
                node = self._with(node, shown, condition, names)
        return node

    def _arms(
        self, whole: Node, arms: Any, shown: Sequence[str], conditions: Sequence[Node], names: _Names
    ) -> Any:
        if isinstance(arms, list):
            return [self._arms(whole, arm, shown, conditions, names) for arm in arms]
        if arms is None or names.types(arms) != names.types(whole):
            return arms
        return self._filtered(arms, shown, conditions, names)

    def _with(self, select: Node, shown: Sequence[str], condition: Node, names: _Names) -> Node:
        """A SELECT with one condition more; as it was, if that would be another filter."""
        try:
            outputs = outputs_of(
                {"alias": "", "column_name_alias": shown}, select, names.query(select), names.query
            )
            inside = outputs.written(condition)
        except UnwritableError:
            return select
        filtered = {**select, "where_clause": conjunction([*conjuncts(select["where_clause"]), inside])}
        text, within = write_query(select), names.given + write_query(filtered)
        part = f"({text}) AS part({', '.join(map(quoted, shown))})"
        above = f"{names.given}SELECT * FROM {part} WHERE {write_expression(condition)}"
        fits = len(write_query(filtered)) <= self._most
        return filtered if fits and self.texts.same(above, within) else select


@dataclass
class _Names:
    """The names of relations' columns, by DuckDB; `given` are the CTEs that these may name."""

    texts: Texts
    given: str
    _known: dict[int, Collection[str] | None] = field(default_factory=dict)

    def query(self, query: Node) -> list[str]:
        return self.texts.names(self.given + write_query(query))

    def types(self, query: Node) -> list[str] | None:
        columns = self.texts.columns(self.given + write_query(query))
        return None if columns is None else [type_ for _, type_ in columns]

    def ordered(self, source: Node) -> list[str]:
        """The columns of what stands in FROM."""
        star = read_query("FROM t").select
        star["from_table"] = {**source, "sample": None}
        return self.query(star)

    def of(self, source: Node) -> Collection[str] | None:
        """Those of what stands in FROM, folded; None if it cannot stand alone."""
        if id(source) not in self._known:
            try:
                self._known[id(source)] = {fold(name) for name in self.ordered(source)}
            except UnwritableError:
                self._known[id(source)] = None
        return self._known[id(source)]
