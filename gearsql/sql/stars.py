"""Writes stars out: `*` stands for a table's own columns, without `_key`, which DuckDB's table has too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gearsql.catalog.names import fold
from gearsql.errors import Position, ProgrammingError
from gearsql.sql.blocks import placed
from gearsql.sql.sources import Relation
from gearsql.sql.splice import Edit
from gearsql.sql.syntax import Node, Syntax, write_expression
from gearsql.sql.tokens import first_word


def star_edits(syntax: Syntax, found: Sequence[Relation]) -> list[Edit]:
    """One edit for each star of the SELECT list; names were checked before."""
    stars = [item for item in syntax.select["select_list"] if item["class"] == "STAR"]
    return [_edit(syntax, star, found) for star in stars]


def quote_name(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def _edit(syntax: Syntax, star: Node, found: Sequence[Relation]) -> Edit:
    place = syntax.position(star)
    items = ", ".join(_items(star, found))
    if not items:
        raise ProgrammingError("the star leaves no column", position=place, text=syntax.text)
    if not placed(star) or place is None:  # FROM t, without SELECT
        start = first_word(syntax.text).position.start
        return Edit(Position(start, start), f"SELECT {items} ")
    return Edit(place, items)


def _items(star: Node, found: Sequence[Relation]) -> list[str]:
    excluded = {fold(name) for name in star["exclude_list"]}
    replaced = {fold(entry["key"]): entry["value"] for entry in star["replace_list"]}
    items = []
    for prefix, own, hidden in _meant(fold(star["relation_name"]), found):
        name = quote_name(own)
        if fold(own) in replaced:
            items.append(f"{write_expression(replaced[fold(own)])} AS {name}")
        elif fold(own) not in excluded and not hidden:
            items.append(prefix + name)
    return items


def _meant(of: str, found: Sequence[Relation]) -> Iterator[tuple[str, str, bool]]:
    """The columns that `of.*` stands for, or the members of a struct; each with what is written before it."""
    named = [relation for relation in found if of in ("", relation.name)]
    for relation in named:
        prefix = f"{quote_name(relation.name)}." if of or len(found) > 1 else ""
        yield from ((prefix, own, own in relation.hidden) for own, _ in relation.columns)
    for relation in found if not named else ():
        prefix = f"{quote_name(relation.name)}.{quote_name(of)}."
        yield from ((prefix, member, False) for member in relation.members(of))
