"""VALUES of an INSERT → columns: Arrow from Python where that has a type for them, else DuckDB evaluates."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from gearsql.catalog.table import Column
from gearsql.cluster.write_text import Given, UnfitError, Writer
from gearsql.errors import TypeMismatchError
from gearsql.sql.constants import constant
from gearsql.sql.ddl_values import Cell
from gearsql.sql.said import said

_LIMIT = 2**63
_PLAIN: dict[type, tuple[pa.DataType, str]] = {
    str: (pa.large_string(), "VARCHAR"),
    bool: (pa.bool_(), "BOOLEAN"),
    int: (pa.int64(), "BIGINT"),
    float: (pa.float64(), "DOUBLE"),
    bytes: (pa.large_binary(), "BLOB"),
    datetime.date: (pa.date32(), "DATE"),
}


def given_values(writer: Writer, column: Column, cells: Sequence[Cell]) -> Sequence[Given]:
    """Return a column's values; a fault of a value is an UnfitError."""
    return _from_python(cells) or _from_sql(writer, column, cells)


def _from_python(cells: Sequence[Cell]) -> Sequence[Given] | None:
    if not all(cell.plain for cell in cells):
        return None
    kinds = {type(cell.value) for cell in cells} - {type(None)}
    if len(kinds) > 1 or not kinds <= _PLAIN.keys():
        return None
    type_, name = _PLAIN[kinds.pop()] if kinds else _PLAIN[str]
    try:
        return [Given(pa.array([cell.value for cell in cells], type_), name)]
    except (OverflowError, pa.ArrowInvalid, UnicodeEncodeError):
        return None


def _from_sql(writer: Writer, column: Column, cells: Sequence[Cell]) -> Sequence[Given]:
    rows = [f"({', '.join(_both(number, cell, column.type))})" for number, cell in enumerate(cells)]
    try:
        answer = writer.evaluate(f"SELECT v, t FROM (VALUES {', '.join(rows)}) AS given(v, t)")
    except duckdb.Error as error:
        raise _first_fault(writer, column, cells, error) from error
    return [Given(answer.column(0), column.type), Given(answer.column(1), "VARCHAR")]


def _both(row: int, cell: Cell, type_: str) -> tuple[str, str]:
    """SQL for the value cast to its column's type, and for that of a text, which is cast by the readers."""
    try:
        sql = cell.sql or constant(cell.value)
    except (TypeError, ValueError) as error:
        raise UnfitError(row, repr(cell.value), f"parameter: {error}") from error
    if type_ in ("VARCHAR", "BLOB"):
        return f"CAST({sql} AS {type_})", "NULL::VARCHAR"
    if cell.text or (cell.plain and isinstance(cell.value, str)):
        return f"NULL::{type_}", sql
    if cell.plain:
        return f"CAST({sql} AS {type_})", "NULL::VARCHAR"
    is_text = f"typeof({sql}) = 'VARCHAR'"
    return (
        f"CASE WHEN {is_text} THEN NULL ELSE CAST({sql} AS {type_}) END",
        f"CASE WHEN {is_text} THEN CAST({sql} AS VARCHAR) END",
    )


def _first_fault(writer: Writer, column: Column, cells: Sequence[Cell], error: duckdb.Error) -> Exception:
    for row, cell in enumerate(cells):
        try:
            writer.evaluate(f"SELECT {', '.join(_both(row, cell, column.type))}")
        except duckdb.Error as fault:
            return UnfitError(row, "", said(fault))
    return TypeMismatchError(said(error))
