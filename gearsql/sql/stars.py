"""Writes stars out: `*` stands for a table's own columns, without `_key`, which DuckDB's table has too."""

from __future__ import annotations

from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.errors import Position, ProgrammingError
from gearsql.sql.shape import placed
from gearsql.sql.splice import Edit
from gearsql.sql.syntax import Node, Syntax, write_expression
from gearsql.sql.tokens import first_word


def star_edits(syntax: Syntax, table: Table) -> list[Edit]:
    """One edit for each star of the SELECT list; names were checked before."""
    stars = [item for item in syntax.select["select_list"] if item["class"] == "STAR"]
    return [_edit(syntax, star, table) for star in stars]


def quote_name(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def _edit(syntax: Syntax, star: Node, table: Table) -> Edit:
    place = syntax.position(star)
    items = ", ".join(_items(star, table))
    if not items:
        raise ProgrammingError("the star leaves no column", position=place, text=syntax.text)
    if not placed(star) or place is None:  # FROM t, without SELECT
        start = first_word(syntax.text).position.start
        return Edit(Position(start, start), f"SELECT {items} ")
    return Edit(place, items)


def _items(star: Node, table: Table) -> list[str]:
    excluded = {fold(name) for name in star["exclude_list"]}
    replaced = {fold(entry["key"]): entry["value"] for entry in star["replace_list"]}
    prefix = quote_name(star["relation_name"]) + "." if star["relation_name"] else ""
    items = []
    for column in table.columns:
        name = quote_name(column.name)
        if fold(column.name) in replaced:
            items.append(f"{write_expression(replaced[fold(column.name)])} AS {name}")
        elif fold(column.name) not in excluded:
            items.append(prefix + name)
    return items
