"""DuckDB's binder errors → ours, at their place in what the user wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from gearsql.catalog.names import fold
from gearsql.errors import (
    NotSupportedError,
    Position,
    ProgrammingError,
    SqlSyntaxError,
    TypeMismatchError,
)
from gearsql.sql.hooks import as_written
from gearsql.sql.names import no_column
from gearsql.sql.stubs import NO_CONSTANT
from gearsql.sql.syntax import Node, byte_to_character

_NO_COLUMN = re.compile('does not have a column named "(.*)"')
# DuckDB takes what an error goes on with for a line of the query.
_OF_A_LINE = re.compile(r"^LINE \d+: |^ *\^+$", re.MULTILINE)
_DECLARE = "the column is text: CAST it, or declare the table with types: CREATE TABLE … WITH (key = …)"


Origin = Callable[[Position], Position]


def fault(
    refusal: Node, bound: str, columns: Iterable[str], origin: Origin, text: str
) -> ProgrammingError | NotSupportedError:
    """Turn the error that DuckDB gave for `bound` into one about `text`; `origin` maps places.

    `columns` are those that the query may name.
    """
    place = _place(refusal, bound)
    position = origin(place) if place else None
    first, _, more = as_written(refusal["error_message"]).partition("\n")
    if NO_CONSTANT in first:
        return NotSupportedError(
            "a user's function as a constant that DuckDB needs is not supported", text=text
        )
    missing = _NO_COLUMN.search(first)
    match refusal.get("error_type"), refusal.get("error_subtype"):
        case "binder", kind if kind == "COLUMN_NOT_FOUND" or missing:
            name = missing[1] if missing else refusal.get("name", "")
            known = list(columns)
            if fold(name) in map(fold, known):  # of a table, but not of the view or subquery that is asked
                known = refusal.get("candidates", "").split(",")
            return no_column(first, name, filter(None, known), position, text)
        case (("parser" | "syntax"), _):
            return SqlSyntaxError(first, position=position, text=text)
        case "catalog", _:
            return ProgrammingError(first, position=position, text=text, hint=more or None)
        case "not implemented", _:
            return NotSupportedError(first, position=position, text=text)
        case _:
            return TypeMismatchError(first, position=position, text=text, hint=_hint(first, more))


def _place(refusal: Node, bound: str) -> Position | None:
    if "position" not in refusal:
        return None
    start = int(refusal["position"])
    length = json.loads(refusal.get("location", "[0,1]"))[1]
    if "location" not in refusal and "name" in refusal:
        length = len(str(refusal["name"]).encode())
    return Position(byte_to_character(bound, start), byte_to_character(bound, start + max(length, 1)))


def _hint(first: str, more: str) -> str | None:
    if "VARCHAR" in first and ("Cannot compare" in first or "No function matches" in first):
        return _DECLARE
    return " ".join(_OF_A_LINE.sub("", more).split()) or None
