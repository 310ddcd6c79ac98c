"""Looks every column name of a query up in its table, before DuckDB does: the near names, at the place."""

from __future__ import annotations

import difflib
from typing import Any

from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.errors import NotSupportedError, Position, UnknownColumnError, UnknownTableError
from gearsql.sql.functions import VALUE_WORDS
from gearsql.sql.syntax import Node, Syntax, children


def check_names(syntax: Syntax, table: Table) -> None:
    """Refuse names that are neither columns nor aliases, and words that DuckDB would read as calls."""
    columns = {fold(column.name) for column in table.all_columns}
    aliases = {fold(item["alias"]) for item in syntax.select["select_list"] if item["alias"]}
    _Names(syntax, table, columns, aliases).check(syntax.select, frozenset())


def source_name(select: Node) -> str:
    """What columns may be qualified with."""
    return fold(select["from_table"]["alias"] or select["from_table"]["table_name"])


def lambda_names(node: Node) -> frozenset[str]:
    """The parameters that a LAMBDA node binds."""
    found: set[str] = set()
    stack = [node["lhs"]]
    while stack:
        inner = stack.pop()
        if inner.get("class") == "COLUMN_REF":
            found.add(fold(inner["column_names"][0]))
        stack.extend(children(inner))
    return frozenset(found)


class _Names:
    def __init__(self, syntax: Syntax, table: Table, columns: set[str], aliases: set[str]) -> None:
        self.syntax, self.table, self.columns, self.aliases = syntax, table, columns, aliases
        self.source = source_name(syntax.select)

    def check(self, node: Any, bound: frozenset[str]) -> None:
        if node.get("class") == "COLUMN_REF":
            self._reference(node, bound)
        elif node.get("class") == "LAMBDA":
            bound |= lambda_names(node)
        elif node.get("class") == "STAR":
            self._star(node)
        for child in children(node):
            self.check(child, bound)

    def _reference(self, node: Node, bound: frozenset[str]) -> None:
        names = node["column_names"]
        first, place = fold(names[0]), self.syntax.position(node)
        if first in bound or first in self.columns:
            return
        if first == "rowid" or first in VALUE_WORDS:
            self._refuse(names[0], place)
        if first in self.aliases:
            return
        if first == self.source and len(names) > 1:
            self._column(names[1], place)
        elif first == self.source:
            raise self._unsupported("a whole row as a value", place)
        elif len(names) == 1:
            self._column(names[0], place)
        else:
            raise UnknownTableError(
                f"no table {names[0]} in this query",
                candidates=(self.source,),
                position=place,
                text=self.syntax.text,
            )

    def _star(self, node: Node) -> None:
        place = self.syntax.position(node)
        if node["relation_name"] and fold(node["relation_name"]) != self.source:
            raise UnknownTableError(
                f"no table {node['relation_name']} in this query",
                candidates=(self.source,),
                position=place,
                text=self.syntax.text,
            )
        for name in (*node["exclude_list"], *(entry["key"] for entry in node["replace_list"])):
            self._column(name, place)

    def _column(self, name: str, place: Position | None) -> None:
        if fold(name) in self.columns:
            return
        if fold(name) == "rowid":
            self._refuse(name, place)
        near = near_columns(name, self.table)
        hint = "did you mean " + " or ".join(near) + "?" if near else None
        if not near:
            hint = "columns: " + ", ".join(column.name for column in self.table.all_columns[:20])
        raise UnknownColumnError(
            f"no column {name} in {self.table.name}",
            candidates=near,
            position=place,
            hint=hint,
            text=self.syntax.text,
        )

    def _refuse(self, name: str, place: Position | None) -> None:
        if fold(name) == "rowid":
            raise self._unsupported(
                "rowid is not supported: rows have no number; _key tells them apart", place
            )
        raise self._unsupported(f"{name} is not supported: it depends on the clock or the connection", place)

    def _unsupported(self, message: str, place: Position | None) -> NotSupportedError:
        suffix = "" if "not supported" in message else " is not supported"
        return NotSupportedError(message + suffix, position=place, text=self.syntax.text)


def near_columns(name: str, table: Table) -> tuple[str, ...]:
    """The columns whose names are like `name`, nearest first."""
    names = {fold(column.name): column.name for column in table.all_columns}
    return tuple(names[near] for near in difflib.get_close_matches(fold(name), names, n=3, cutoff=0.5))
