"""Looks every column name up in what stands in FROM, before DuckDB does: the near names, at the place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from gearsql.catalog.names import fold
from gearsql.errors import NotSupportedError, Position, UnknownColumnError, UnknownTableError
from gearsql.sql.functions import CLOCK_WORDS, VALUE_WORDS
from gearsql.sql.sources import Relation
from gearsql.sql.syntax import Node, Syntax, children


def check_names(syntax: Syntax, found: Sequence[Relation]) -> None:
    """Refuse names that are neither columns nor aliases, and words that DuckDB would read as calls."""
    aliases = {fold(item["alias"]) for item in syntax.select["select_list"] if item["alias"]}
    _Names(syntax, found, aliases).check(syntax.select, frozenset())


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
    def __init__(self, syntax: Syntax, found: Sequence[Relation], aliases: set[str]) -> None:
        self.syntax, self.found, self.aliases = syntax, found, aliases
        self.columns = {fold(own) for relation in found for own, _ in relation.columns}

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
        if len(names) == 1 and first in CLOCK_WORDS:
            return
        if first == "rowid" or first in VALUE_WORDS:
            self._refuse(names[0], place)
        if first in self.aliases:
            return
        named = [relation for relation in self.found if relation.name == first]
        if named and len(names) > 1:
            self._column(names[1], place, named)
        elif named:
            raise self._unsupported("a whole row as a value", place)
        elif len(names) == 1:
            self._column(names[0], place, self.found)
        else:
            raise self._no_table(names[0], place)

    def _star(self, node: Node) -> None:
        place, of = self.syntax.position(node), self.found
        named = fold(node["relation_name"])
        changed = (*node["exclude_list"], *(entry["key"] for entry in node["replace_list"]))
        if named:
            of = [relation for relation in of if relation.name == named]
        members = next((found for one in self.found if (found := one.members(named))), ())
        if not of and not members:
            raise self._no_table(node["relation_name"], place)
        for name in changed:
            if of:
                self._column(name, place, of)
            elif fold(name) not in map(fold, members):
                message = f"no column {name} in {node['relation_name']}"
                raise no_column(message, name, members, place, self.syntax.text)

    def _no_table(self, name: str, place: Position | None) -> UnknownTableError:
        names = tuple(relation.name for relation in self.found)
        message = f"no table {name} in this query"
        return UnknownTableError(message, candidates=names, position=place, text=self.syntax.text)

    def _column(self, name: str, place: Position | None, of: Sequence[Relation]) -> None:
        if any(relation.unique(fold(name)) for relation in of):
            return
        if fold(name) == "rowid":
            self._refuse(name, place)
        known = [own for relation in of for own, _ in relation.columns]
        raise no_column(f"no column {name} in {of[0].title}", name, known, place, self.syntax.text)

    def _refuse(self, name: str, place: Position | None) -> None:
        raise unsupported_name(name, place, self.syntax.text)

    def _unsupported(self, message: str, place: Position | None) -> NotSupportedError:
        return NotSupportedError(f"{message} is not supported", position=place, text=self.syntax.text)


def unsupported_name(name: str, place: Position | None, text: str) -> NotSupportedError:
    """The error for a word that is no column and that DuckDB would understand."""
    why = "rows have no number; _key tells them apart"
    if fold(name) != "rowid":
        why = "it depends on the clock or the connection"
    return NotSupportedError(f"{name} is not supported: {why}", position=place, text=text)


def no_column(
    message: str, name: str, known: Iterable[str], place: Position | None, text: str
) -> UnknownColumnError:
    """The error for a `name` that is no column; its hint has the near ones of `known`, or the first 20."""
    columns = list(dict.fromkeys(known))
    near = near_names(name, columns)
    listed = "columns: " + ", ".join(columns[:20]) if columns else None
    hint = f"did you mean {' or '.join(near)}?" if near else listed
    return UnknownColumnError(message, candidates=near, position=place, hint=hint, text=text)


def near_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names that are like `name`, nearest first."""
    names = {fold(one): one for one in known}
    return tuple(names[near] for near in difflib.get_close_matches(fold(name), names, n=3, cutoff=0.5))
