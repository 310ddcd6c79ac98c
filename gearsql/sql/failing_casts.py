"""Where a query has the cast that failed: DuckDB tells it only in the text that ran, which is one of ours.

The bound plan has all casts with their places, implicit ones, too. Each of them casts the value that the
error shows once more: if those of one place alone say the same words, it was there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from gearsql.errors import DataError, Position
from gearsql.sql.constants import quote
from gearsql.sql.said import said
from gearsql.sql.syntax import Node, byte_to_character, children

_COLUMN = " when casting from source column "
_SHOWN = re.compile(r"'(.*)'|\"(.*)\"|\bvalue (\S+) ", re.DOTALL)
_NOWHERE = 2**64 - 1


@dataclass(frozen=True)
class _Cast:
    """A type is None if it is not written here; `column` is the name of what is cast."""

    position: Position | None
    source: str | None
    target: str | None
    column: str | None
    constant: object

    def may_say(self, connection: duckdb.DuckDBPyConnection, words: str, shown: str) -> bool:
        """Whether the error may be this cast's; so it may if that cannot be tried."""
        if self.source is None or self.target is None:
            return True
        if isinstance(self.constant, int) and str(self.constant) != shown:
            return False
        values = [self.constant] if isinstance(self.constant, str) else [shown, "0"]
        return any(self._says(connection, value) == words for value in values)

    def _says(self, connection: duckdb.DuckDBPyConnection, value: str) -> str | None:
        try:
            connection.execute(f"SELECT CAST(CAST(? AS {self.source}) AS {self.target})", [value]).fetchall()
        except duckdb.Error as error:
            return said(error)
        return None


def cast_at_fault(connection: duckdb.DuckDBPyConnection, text: str, error: DataError) -> Position | None:
    """Return the place in a bound text of the cast that an error is about, None if it is not sure.

    From then on the error names the column that was cast as the text does, or none.
    """
    words, _, column = error.message.partition(_COLUMN)
    shown = _SHOWN.search(words)
    casts = list(_casts(connection, text))
    if column not in (cast.column for cast in casts):
        error.message = words
    if shown is None:
        return None
    value = next(group for group in shown.groups() if group is not None)
    able = [cast for cast in casts if cast.may_say(connection, words, value)]
    if len({cast.position for cast in able}) != 1 or any(cast.target is None for cast in able):
        return None
    error.message = words + (_COLUMN + able[0].column if able[0].column else "")
    return able[0].position


def _casts(connection: duckdb.DuckDBPyConnection, text: str) -> Iterator[_Cast]:
    [(plan,)] = connection.execute("SELECT json_serialize_plan(?)", [text]).fetchall()
    stack = children(json.loads(plan))
    while stack:
        node = stack.pop()
        stack += children(node)
        if node.get("type") == "OPERATOR_CAST" and not (node["function_data"] or {}).get("try_cast"):
            [given] = node["children"]
            constant = given["value"] if given["type"] == "VALUE_CONSTANT" else {}
            yield _Cast(
                _place(node, text),
                _type(constant["type"] if constant else given["return_type"]),
                _type(node["return_type"]),
                given["alias"] if given["type"] == "BOUND_REF" else None,
                constant.get("value"),
            )


def _place(node: Node, text: str) -> Position | None:
    start = node["query_location"]
    if start == _NOWHERE:
        return None
    end = start + max(node["query_location_length"], 1)
    return Position(byte_to_character(text, start), byte_to_character(text, end))


def _type(node: Node) -> str | None:
    info = node["type_info"]
    if info is None:
        name: str = node["id"]
        return name
    match info["type"]:
        case "DECIMAL_TYPE_INFO":
            return f"DECIMAL({info['width']}, {info['scale']})"
        case "ENUM_TYPE_INFO":
            return f"ENUM({', '.join(map(quote, info['values']))})"
        case "GENERIC_TYPE_INFO" if info["alias"] == "JSON":
            return "JSON"
    return None
