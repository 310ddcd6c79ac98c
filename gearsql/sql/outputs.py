"""What stands behind the names of a subquery's columns, and expressions over these names, written with it.

Names are resolved as well as can be told from the tree alone. Nobody has to trust this module: what comes of
it counts only if DuckDB binds it to the same rows (flatten.py, sinking.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.blocks import is_order_by_all
from gearsql.sql.names import lambda_names
from gearsql.sql.normalise import UnwritableError
from gearsql.sql.syntax import Node, read_query
from gearsql.sql.walks import nodes

MOST_WRITTEN = 1_000
"""Nodes: levels of subqueries that name a column twice would write it as often as there are powers of two."""

Columns = Callable[[Node], Sequence[str]]


@dataclass
class Outputs:
    """The columns of a subquery that is called `alias` in FROM: their names there, and what they are."""

    alias: str
    names: Sequence[str]
    items: Sequence[Node]
    _of: dict[str, Node] = field(default_factory=dict)
    _written: int = 0

    def __post_init__(self) -> None:
        for name, item in zip(self.names, self.items, strict=True):
            self._of.setdefault(fold(name), item)

    def written(self, node: Any, skip: Collection[str] = (), *, nested: bool = False) -> Any:
        """Write an expression; names in `skip` stay. `nested`: in a subquery of its own."""
        if isinstance(node, list):
            return [self.written(child, skip, nested=nested) for child in node]
        if not isinstance(node, dict):
            return node
        match node.get("class"):
            case "COLUMN_REF":
                return self._reference(node, skip, nested)
            case "STAR" if not is_order_by_all(node):
                raise UnwritableError("a star")
            case "LAMBDA":
                skip = {*skip, *lambda_names(node)}
        return {
            part: self.written(value, skip, nested=nested or part == "subquery")
            for part, value in node.items()
        }

    def list_of(self, items: Sequence[Node], names: Sequence[str]) -> list[Node]:
        """Write a SELECT list whose columns have these names."""
        found: list[Node] = []
        for item in items:
            if item["class"] == "STAR" and not _is_whole(item):
                raise UnwritableError("a star that leaves out")
            whole = item["class"] == "STAR"
            found += [{**each} for each in self.items] if whole else [self.written(item)]
        if len(found) != len(names):
            raise UnwritableError("columns of no known number")
        return [{**item, "alias": name} for item, name in zip(found, names, strict=True)]

    def _reference(self, node: Node, skip: Collection[str], nested: bool) -> Node:
        first, *rest = node["column_names"]
        if rest and fold(first) == self.alias and fold(rest[0]) in self._of:
            item, members = self._of[fold(rest[0])], rest[1:]
        elif not nested and fold(first) in self._of and fold(first) not in skip:
            item, members = self._of[fold(first)], rest
        else:
            return node
        self._written += sum(1 for _ in nodes(item))
        if self._written > MOST_WRITTEN:
            raise UnwritableError("too long")
        if members and item["class"] != "COLUMN_REF":
            raise UnwritableError("a member of what is no column")
        if members:
            return {**item, "column_names": [*item["column_names"], *members]}
        return {**item, "alias": node["alias"]}


def outputs_of(source: Node, select: Node, names: Sequence[str], columns: Columns) -> Outputs:
    """The columns of a subquery in FROM, which is a SELECT whose columns DuckDB calls `names`.

    `columns` asks it for those of another one.
    """
    items = [column for item in select["select_list"] for column in _items(item, select, columns)]
    if len(items) != len(names) or len({fold(name) for name in names}) < len(names):
        raise UnwritableError("columns without names of their own")
    renamed = source["column_name_alias"]
    return Outputs(fold(source["alias"]), [*renamed, *names[len(renamed) :]], items)


def _items(item: Node, select: Node, columns: Columns) -> list[Node]:
    if item["class"] != "STAR":
        return [{**item, "alias": ""}]
    if _renames(item):
        raise UnwritableError("a star that renames")
    alone = read_query("SELECT 1").select
    alone["select_list"], alone["from_table"] = [item], select["from_table"]
    return [_column(item, name, select["from_table"]) for name in columns(alone)]


def _column(star: Node, name: str, source: Node) -> Node:
    """A column that a star stands for; with the relation's name where that is known."""
    alias = star["relation_name"] or (source["alias"] if source["type"] != "JOIN" else "")
    names = [alias, name] if alias else [name]
    return {
        "class": "COLUMN_REF",
        "type": "COLUMN_REF",
        "alias": "",
        "query_location": star["query_location"],
        "query_location_length": 0,
        "column_names": names,
    }


def _renames(star: Node) -> bool:
    return bool(star["replace_list"] or star["rename_list"] or star["columns"] or star["expr"])


def _is_whole(star: Node) -> bool:
    """Whether a star in a SELECT list stands for all columns of all that is in FROM."""
    lists = ("exclude_list", "qualified_exclude_list")
    return not _renames(star) and not any(star[part] for part in lists)
