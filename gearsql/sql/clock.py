"""Writes the clock into a query: now() and its kin become literals of the coordinator, for all shards."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator

from gearsql.catalog.names import fold
from gearsql.sql.functions import CLOCK, CLOCK_WORDS
from gearsql.sql.splice import Edit
from gearsql.sql.syntax import Node, Syntax, children

_FORMATS = {
    "TIMESTAMP WITH TIME ZONE": "%Y-%m-%d %H:%M:%S.%f+00",
    "TIMESTAMP": "%Y-%m-%d %H:%M:%S.%f",
    "DATE": "%Y-%m-%d",
    "TIME": "%H:%M:%S.%f",
    "TIME WITH TIME ZONE": "%H:%M:%S.%f+00",
}


def literals(moment: datetime.datetime) -> dict[str, str]:
    """The text of a moment by type, those first that others are a part of."""
    return {type_: moment.strftime(form) for type_, form in _FORMATS.items()}


def clock_edits(syntax: Syntax, columns: Collection[str], moment: datetime.datetime) -> list[Edit]:
    """One edit for each reading of the clock; `columns` are folded names that are no words for it.

    `moment` is in UTC, as everything is here.
    """
    edits, texts = [], literals(moment)
    for node, name in find_clocks(syntax.select, columns):
        place = syntax.position(node)
        type_ = CLOCK[name]
        if place is not None:
            edits.append(Edit(place, f"CAST('{texts[type_]}' AS {type_})"))
    return edits


def find_clocks(node: Node, columns: Collection[str]) -> Iterator[tuple[Node, str]]:
    """All calls of such functions, and the words that DuckDB reads as such, with the name in CLOCK."""
    name = fold(node.get("function_name", "")) if node.get("class") == "FUNCTION" else ""
    if name in CLOCK and not node["arguments"]:
        yield node, name
    if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        word = fold(node["column_names"][0])
        if word in CLOCK_WORDS and word not in columns:
            yield node, CLOCK_WORDS[word]
    for child in children(node):
        yield from find_clocks(child, columns)


def names_given(node: Node) -> set[str]:
    """The folded names that a query gives to columns and sources anywhere."""
    listed = (
        *node.get("column_name_alias", ()),
        *(node.get("aliases") or ()),
        *node.get("unpivot_names", ()),
    )
    found = {fold(name) for name in (node.get("alias"), *listed) if name}
    return found.union(*map(names_given, children(node)))
