"""ON CONFLICT DO UPDATE with expressions → the query for the rows that are there, beside the new ones.

It is that of an UPDATE (ddl_rows.py), joined with the rows of the INSERT: `excluded` is a struct of them, so
that a name without it is the table's column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Column, Table
from gearsql.errors import NotSupportedError, Position
from gearsql.sql.composed import Composed, Piece
from gearsql.sql.constants import quote
from gearsql.sql.ddl_rows import KEY, RAW, RowQuery, mentioned_fields, with_raw
from gearsql.sql.ddl_scalars import require_scalars
from gearsql.sql.names import no_column
from gearsql.sql.statements import Conflict, Insert
from gearsql.sql.syntax import Node, Syntax, children, read_query

EXCLUDED = "excluded"
_GIVEN, _AT = "gears_given", "gears_at"

Texts = Mapping[str, str | None]
"""A new row's values as text, by folded name."""


def used_of_excluded(statement: Insert, conflict: Conflict, table: Table) -> list[Column]:
    """Return the columns of the new rows that SET and WHERE read."""
    known = {fold(column.name): column for column in table.columns}
    items = conflict_items(statement, conflict)
    syntax = read_query(items.text)
    require_scalars(items, syntax, syntax.select["select_list"], conflict.position)
    used: dict[str, Column] = {}
    for node in _references(syntax.select):
        column = known.get(fold(node["column_names"][1]))
        if column is None:
            place = _place(statement, conflict, syntax, node)
            message = f"no column {node['column_names'][1]} in excluded"
            columns = [column.name for column in table.columns]
            raise no_column(message, node["column_names"][1], columns, place, statement.text)
        if column.type == "BLOB" or column.type.endswith("]") or column.type.startswith(("STRUCT", "MAP")):
            raise _refused(statement, conflict, syntax, node, f"excluded.{column.name} of type {column.type}")
        used[column.name] = column
    return list(used.values())


def conflict_query(
    statement: Insert,
    conflict: Conflict,
    table: Table,
    sets: tuple[Column, ...],
    used: Sequence[Column],
    rows: Mapping[str, Texts],
) -> RowQuery:
    """Return the query for the rows of these keys: as an UPDATE's, and last whether WHERE is true."""
    fields = mentioned_fields(table, read_query(conflict_items(statement, conflict).text).select)
    raw = ", ".join([f"{RAW}{index}" for index in range(len(fields))] + [""])
    where = _where(conflict)
    pieces: list[Piece] = [f"SELECT {KEY}, "]
    for index, value in enumerate(_values(statement, conflict)):
        pieces += ["CASE WHEN ", *where, " THEN (", *value, f") END AS gears_set_{index}, "]
    pieces += [raw, *where, " IS TRUE AS gears_where FROM ", statement.name_position]
    given = ", ".join(f"({quote(key)}, {_struct(used, texts)})" for key, texts in rows.items())
    key = f"{_name(statement)}.{KEY_COLUMN.name}"
    pieces += [f" JOIN (VALUES {given}) AS {_GIVEN}({_AT}, {EXCLUDED}) ON {key} = {_GIVEN}.{_AT}"]
    pieces += [f" WHERE {key} IN ({', '.join(map(quote, rows))})"]
    places = tuple(one.value for one in conflict.sets)
    return RowQuery(Composed(statement.text, tuple(pieces)), with_raw(table, fields), sets, fields, places)


def _name(statement: Insert) -> str:
    return statement.text[statement.name_position.start : statement.name_position.end]


def conflict_items(statement: Insert, conflict: Conflict) -> Composed:
    """All expressions in the order of the text, as one query that is only parsed."""
    pieces: list[Piece] = ["SELECT "]
    for value in _values(statement, conflict):
        pieces += ["(", *value, "), "]
    return Composed(statement.text, (*pieces, *_where(conflict)))


def _where(conflict: Conflict) -> list[Piece]:
    return ["true"] if conflict.where is None else ["(", *_filled(conflict, conflict.where), ")"]


def _values(statement: Insert, conflict: Conflict) -> Iterator[list[Piece]]:
    for one in conflict.sets:
        default = statement.text[one.value.start : one.value.end].upper() == "DEFAULT"
        yield ["NULL"] if default else _filled(conflict, one.value)


def _filled(conflict: Conflict, span: Position) -> list[Piece]:
    """An expression with the constants of its parameters."""
    pieces: list[Piece] = []
    start = span.start
    for place, constant in conflict.constants:
        if span.start <= place.start < span.end:
            pieces += [*_between(start, place.start), constant]
            start = place.end
    return [*pieces, *_between(start, span.end)]


def _between(start: int, end: int) -> list[Piece]:
    return [Position(start, end)] if start < end else []


def _references(node: Node) -> Iterator[Node]:
    names: list[str] = node["column_names"] if node.get("class") == "COLUMN_REF" else []
    if len(names) > 1 and fold(names[0]) == EXCLUDED:
        yield node
    for child in children(node):
        yield from _references(child)


def _struct(used: Sequence[Column], texts: Texts) -> str:
    values = [f"{quote(column.name)}: {_constant(column, texts)}" for column in used]
    return f"{{{', '.join(values) or '_: true'}}}"


def _constant(column: Column, texts: Texts) -> str:
    text = texts.get(fold(column.name))  # what is not inserted is NULL
    return f"CAST({'NULL' if text is None else quote(text)} AS {column.type})"


def _refused(
    statement: Insert, conflict: Conflict, syntax: Syntax, node: Node, what: str
) -> NotSupportedError:
    place = _place(statement, conflict, syntax, node)
    return NotSupportedError(f"{what} is not supported", position=place, text=statement.text)


def _place(statement: Insert, conflict: Conflict, syntax: Syntax, node: Node) -> Position:
    place = syntax.position(node)
    return (conflict_items(statement, conflict).origin(place) if place else None) or conflict.position
