"""UPDATE and DELETE → the query for the rows to write: keys, new values, and fields as they are stored.

The raw fields let the shard check that a row still is as it was read (cluster/write_script.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gearsql.catalog.names import fold
from gearsql.catalog.table import Column, FieldSource, KeySource, Table
from gearsql.errors import Position
from gearsql.sql.composed import Composed, Piece
from gearsql.sql.ddl_scalars import require_scalars
from gearsql.sql.statements import Assignment, Delete, Update
from gearsql.sql.syntax import Node, children, read_query

KEY = "gears_key"
RAW = "gears_raw_"


@dataclass(frozen=True)
class RowQuery:
    """`composed` selects over `table`, which has the raw fields beside the columns.

    The key as bytes comes first, then the values of `sets`, which stand at `places`, then the raw `reads`.
    """

    composed: Composed
    table: Table
    sets: tuple[Column, ...]
    reads: tuple[bytes, ...]
    places: tuple[Position, ...] = ()


def row_query(statement: Update | Delete, table: Table, sets: tuple[Column, ...]) -> RowQuery:
    """Return the query; `sets` are the columns of the statement's SET."""
    assignments = statement.sets if isinstance(statement, Update) else ()
    plain = _composed(statement, assignments, ())
    syntax = read_query(plain.text)
    require_scalars(plain, syntax, syntax.select["select_list"], statement.name_position)
    fields = mentioned_fields(table, syntax.select)
    names = [f"{RAW}{index}" for index in range(len(fields))]
    twin = with_raw(table, fields)
    places = tuple(one.value for one in assignments)
    return RowQuery(_composed(statement, assignments, (KEY, *names), lead=1), twin, sets, fields, places)


def with_raw(table: Table, fields: Iterable[bytes]) -> Table:
    """Return a table that has the key and some fields as bytes, too."""
    raw = [Column(f"{RAW}{index}", "BLOB", FieldSource(field)) for index, field in enumerate(fields)]
    return replace(table, columns=(*table.columns, *raw, Column(KEY, "BLOB", KeySource())))


def mentioned_fields(table: Table, select: Node) -> tuple[bytes, ...]:
    """Return the fields that a query may read: those of columns with a name that it mentions."""
    names: set[str] = set()
    stack: list[Node] = [select]
    while stack:
        node = stack.pop()
        if node.get("class") == "COLUMN_REF":
            names.update(map(fold, node["column_names"]))
        elif node.get("class") == "STAR":
            names.update(fold(column.name) for column in table.columns)
        stack.extend(children(node))
    found = [
        c.source.field for c in table.columns if isinstance(c.source, FieldSource) and fold(c.name) in names
    ]
    return tuple(dict.fromkeys(found))


def _composed(
    statement: Update | Delete, sets: tuple[Assignment, ...], names: tuple[str, ...], lead: int = 0
) -> Composed:
    """`lead` of the names stand before the values of SET."""
    items: list[list[Piece]] = [[name] for name in names[:lead]]
    text = statement.text
    for index, assignment in enumerate(sets):
        default = text[assignment.value.start : assignment.value.end].upper() == "DEFAULT"
        value: Piece = "NULL" if default else assignment.value
        items.append(["(", value, f") AS gears_set_{index}"])
    items += [[name] for name in names[lead:]]
    pieces: list[Piece] = ["SELECT "]
    nothing: list[list[Piece]] = [["1"]]
    for index, item in enumerate(items or nothing):
        pieces += [", " if index else "", *item]
    pieces += [" FROM ", statement.name_position]
    if statement.alias is not None:
        pieces += [" AS ", statement.alias]
    if statement.where is not None:
        pieces += [" WHERE ", statement.where]
    return Composed(text, tuple(pieces))
