"""Which conditions of WHERE and ON are about one relation alone, and reach it through the joins above it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.sql.normalise import calls
from gearsql.sql.syntax import Node
from gearsql.sql.walks import nodes, references, sources_in

Names = Callable[[Node], Collection[str] | None]
"""The folded names of a relation's columns in FROM; None if nobody can tell."""


def pushed(tree: Node, tables: Mapping[str, Table], volatile: frozenset[str]) -> dict[str, Node]:
    """Return what a table's rows must meet to matter, for those tables of which it is known.

    A table that stands in FROM several times matters wherever a row meets the conditions of one place. What
    calls `volatile` functions stays where it is.
    """
    columns = {name: {fold(column.name) for column in table.all_columns} for name, table in tables.items()}

    def names(source: Node) -> Collection[str] | None:
        plain = source["type"] == "BASE_TABLE" and not source["column_name_alias"]
        return columns.get(source["table_name"]) if plain else names_shown(source)

    found: dict[str, list[Node | None]] = {}
    conditions = {key: part for node in nodes(tree) for key, part in conditions_of(node, names, volatile)}
    for reference in references(tree):
        mine = conjunction(conditions.get(id(reference), []))
        found.setdefault(reference["table_name"], []).append(mine)
    return {
        name: _joined([place for place in filters if place is not None], "CONJUNCTION_OR")
        for name, filters in found.items()
        if name in tables and None not in filters
    }


def conditions_of(select: Node, names: Names, volatile: frozenset[str]) -> Iterator[tuple[int, list[Node]]]:
    """Yield, for relations in a SELECT's FROM (their ids), the conditions that are about one alone.

    Their columns are named without the relation there.
    """
    if select.get("type") == "SELECT_NODE" and "from_table" in select:
        above = [] if select["sample"] else conjuncts(select["where_clause"])
        steady = _Sinking(names, volatile, list(sources_in(select["from_table"])))
        yield from steady.sunk(select["from_table"], above)


def names_shown(source: Node) -> Collection[str] | None:
    """The names of a subquery's columns, where each has one in its text."""
    if source["type"] != "SUBQUERY" or source["column_name_alias"]:
        return None
    names = [fold(item["alias"]) for item in source["subquery"]["node"].get("select_list", ())]
    return names if names and all(names) else None


@dataclass(frozen=True)
class _Sinking:
    """Lets conditions sink through the joins of one FROM; `scope` is what stands in it."""

    names: Names
    volatile: frozenset[str]
    scope: Sequence[Node]

    def sunk(self, source: Node, conditions: list[Node]) -> Iterator[tuple[int, list[Node]]]:
        """All that is above a relation and about it alone, its rows must meet to matter."""
        if source["sample"]:
            return  # what is drawn is drawn of all rows
        if source["type"] == "JOIN":
            if source["ref_type"] not in ("REGULAR", "CROSS"):
                return
            both = {"above": conditions, "on": conjuncts(source["condition"])}
            for side, kinds in zip(("left", "right"), SINKS.get(source["join_type"], ((), ())), strict=True):
                yield from self.sunk(source[side], [part for kind in kinds for part in both[kind]])
        elif conditions and source["type"] in ("BASE_TABLE", "SUBQUERY"):
            steady = [condition for condition in conditions if not calls(condition, self.volatile)]
            mine = [self._bare(condition, source) for condition in steady]
            yield id(source), [condition for condition in mine if condition is not None]

    def _bare(self, condition: Node, source: Node) -> Node | None:
        """A condition over one relation's own columns; None if it is about more, or nobody can tell."""
        inside = [node for node in nodes(condition) if "class" in node]
        references = [node["column_names"] for node in inside if node["class"] == "COLUMN_REF"]
        if not references or not all(node["class"] in _PURE for node in inside):
            return None
        columns = self.names(source)
        if columns is None or not all(self._is_of(source, columns, names) for names in references):
            return None
        bare: Node = _without_alias(condition, fold(source["alias"]), columns)
        return bare

    def _is_of(self, source: Node, columns: Collection[str], names: Sequence[str]) -> bool:
        """Whether a reference is surely to a column of this relation."""
        first, *rest = map(fold, names)
        if rest and first == fold(source["alias"]):
            return rest[0] in columns
        if first not in columns or any(first == fold(other["alias"]) for other in self.scope):
            return False
        others = [self.names(other) for other in self.scope if other is not source]
        return all(other is not None and first not in other for other in others)


# Which conditions reach the left and the right side of a join: those above it, those of its ON.
SINKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "INNER": (("above", "on"), ("above", "on")),
    "LEFT": (("above",), ("on",)),
    "RIGHT": (("on",), ("above",)),
    "SEMI": (("above", "on"), ("on",)),
    "ANTI": (("above",), ("on",)),
}


def conjuncts(condition: Node | None) -> list[Node]:
    if condition is None:
        return []
    if condition["type"] == "CONJUNCTION_AND":
        return [part for child in condition["children"] for part in conjuncts(child)]
    return [condition]


_PURE = {
    "COLUMN_REF", "CONSTANT", "CASE", "BETWEEN", "COMPARISON", "CONJUNCTION", "CAST", "TYPE", "FUNCTION",
    "OPERATOR",
}  # fmt: skip


def _without_alias(node: Any, alias: str, columns: Collection[str]) -> Any:
    if isinstance(node, list):
        return [_without_alias(child, alias, columns) for child in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF":
        first, *rest = node["column_names"]
        if rest and fold(first) == alias and fold(rest[0]) in columns:
            return {**node, "column_names": rest}
    return {key: _without_alias(value, alias, columns) for key, value in node.items()}


def conjunction(conditions: Sequence[Node]) -> Node | None:
    """All of some conditions, None for none."""
    return _joined(conditions, "CONJUNCTION_AND") if conditions else None


def _joined(conditions: Sequence[Node], kind: str) -> Node:
    if len(conditions) == 1:
        return conditions[0]
    return {"class": "CONJUNCTION", "type": kind, "alias": "", "children": list(conditions)}
