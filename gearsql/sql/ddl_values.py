"""VALUES of an INSERT → columns: Python values where they are plain, else SQL for DuckDB to evaluate.

Each value is cast to its column's type by itself, as DuckDB's own INSERT does; VALUES of a query would first
bring a column's values to one type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError
from gearsql.sql.constants import quote
from gearsql.sql.hooks import is_foreign
from gearsql.sql.parameters import Parameters, find_parameters, parameter_edits
from gearsql.sql.shape import check_shape
from gearsql.sql.statements import Values
from gearsql.sql.syntax import Node, Syntax, children, read_query, write_expression

_NOWHERE = 2**64 - 1


@dataclass(frozen=True)
class Cell:
    """A value: `plain` says that `value` is it; else `sql` is an expression for it (text: a string's)."""

    plain: bool
    value: Any = None
    sql: str = ""
    text: bool = False


def cells(values: Values, parameters: Parameters) -> list[list[Cell]]:
    """Return the rows; errors know their place."""
    edits = parameter_edits(values.syntax, parameters)
    nodes = list(find_parameters(values.syntax.select))
    constants = {id(node): edit.text for node, edit in zip(nodes, edits, strict=True)}
    _check(values)
    return [[_cell(node, constants, parameters) for node in row] for row in values.rows]


def many(values: Values, sets: Sequence[Parameters]) -> list[list[Cell]]:
    """Return the rows for each of many parameter sets."""
    if _is_plain_row(values):
        (row,) = values.rows
        count = len(row)
        if all(isinstance(one, list | tuple) and len(one) == count for one in sets):
            return [[Cell(True, value) for value in one] for one in sets]  # type: ignore[union-attr]
    return [row for one in sets for row in cells(values, one)]


def require_width(values: Values, width: int, what: str) -> None:
    """Raise unless every row has a value for each column."""
    for row in values.rows:
        if len(row) != width:
            some = f"{len(row)} value{'' if len(row) == 1 else 's'}"
            raise ProgrammingError(
                f"{some} for {width} column{'' if width == 1 else 's'} of {what}",
                position=place_of(values, row),
                text=values.text,
            )


def place_of(values: Values, nodes: Sequence[Node]) -> Position | None:
    """Return where some expressions stand."""
    places = [place for node in nodes if (place := values.syntax.position(node)) is not None]
    return Position(min(p.start for p in places), max(p.end for p in places)) if places else None


def _is_plain_row(values: Values) -> bool:
    """One row of `?` alone, each its own."""
    if len(values.rows) != 1:
        return False
    wanted = [str(number) for number in range(1, len(values.rows[0]) + 1)]
    return [node.get("identifier") for node in values.rows[0]] == wanted


def _cell(node: Node, constants: dict[int, str], parameters: Parameters) -> Cell:
    match node["class"]:
        case "DEFAULT":
            return Cell(True, None)
        case "PARAMETER":
            value = _value(node["identifier"], parameters)
            return Cell(True, value, constants[id(node)], isinstance(value, str))
        case "CONSTANT":
            return _constant(node["literal"])
        case _:
            return Cell(False, sql=write_expression(_filled(node, constants)))


def _constant(literal: Node) -> Cell:
    text = literal["text"]
    match literal["kind"]:
        case "STRING":
            return Cell(True, text, quote(text), text=True)
        case "NULL_LITERAL":
            return Cell(True, None, "NULL")
        case "BOOLEAN":
            return Cell(True, text == "true", text)
        case "INTEGER":
            return Cell(True, int(text), text)
        case _:
            return Cell(False, sql=text)


def _value(identifier: str, parameters: Parameters) -> Any:
    if isinstance(parameters, Mapping):
        return parameters[identifier]
    assert parameters is not None
    return parameters[int(identifier) - 1]


def _filled(node: Any, constants: dict[int, str]) -> Any:
    """The expression with its parameters written in."""
    if isinstance(node, list):
        return [_filled(child, constants) for child in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "PARAMETER":
        return read_query(f"SELECT {constants[id(node)]}").select["select_list"][0]
    return {key: _filled(value, constants) for key, value in node.items()}


def _check(values: Values) -> None:
    """Let the closed lists for queries judge what is no literal."""
    plain = ("CONSTANT", "PARAMETER", "DEFAULT")
    doubtful = [node for row in values.rows for node in row if node["class"] not in plain]
    if not doubtful:
        return
    skeleton = read_query('SELECT 1 FROM "values"').select
    skeleton["from_table"]["query_location"] = _NOWHERE
    skeleton["from_table"]["query_location_length"] = 0
    syntax = Syntax(values.syntax.text, {**skeleton, "select_list": doubtful})
    try:
        check_shape(syntax)
        _refuse_names(syntax, doubtful)
    except Error as error:
        error.text = values.text
        raise


def _refuse_names(syntax: Syntax, nodes: Sequence[Node]) -> None:
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.get("class") == "LAMBDA":
            continue
        if node.get("class") == "FUNCTION" and is_foreign(node):
            name = node["function_name"]
            raise NotSupportedError(
                f"{name}() in VALUES is not supported: it is none of DuckDB's functions",
                position=syntax.position(node),
                hint=f"INSERT INTO … SELECT {name}(…) calls users' functions",
            )
        if node.get("class") in ("COLUMN_REF", "SUBQUERY"):
            what = "a subquery" if node["class"] == "SUBQUERY" else ".".join(node["column_names"])
            raise ProgrammingError(
                f"VALUES knows no column: {what}",
                position=syntax.position(node),
                hint="a text stands in single quotes; INSERT INTO … SELECT reads tables",
            )
        stack.extend(children(node))
