"""INSERT, UPDATE and DELETE, carried out: rows are found by queries, checked whole, and written row by row.

Each row is written in one step on its shard (write_script.py), a statement in as many as it has rows: who
reads meanwhile may see some of them. What can be known to fail is refused before the first row is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gearsql.answer import Answer
from gearsql.catalog.names import fold
from gearsql.catalog.table import (
    KEY_COLUMN,
    Column,
    FieldSource,
    KeyTemplate,
    PlaceholderSource,
    Table,
)
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.gather import gather
from gearsql.cluster.patience import Patience
from gearsql.cluster.replies import shown
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import Shard
from gearsql.cluster.write_lanes import Progress, Tally, deliver
from gearsql.cluster.write_rows import Incoming, Outgoing, empty_row, outgoing
from gearsql.cluster.write_script import Mode, Outcome, Row
from gearsql.cluster.write_text import Given, UnfitError, Writer
from gearsql.errors import (
    DataError,
    Error,
    IntegrityError,
    KeyExistsError,
    NotSupportedError,
    Position,
    ProgrammingError,
    RowsChangedError,
    SlotsMovedError,
)
from gearsql.sql.ddl_rows import RowQuery
from gearsql.sql.names import no_column
from gearsql.sql.statements import Conflict, Insert, Named, Update

TRIES = 5
"""How often rows that changed after they were read are read and written again."""
LOOKED_AT = 1000

Rows = Callable[[], Answer]
Kind = Literal["nothing", "replace"] | None


@dataclass(frozen=True)
class Target:
    """The table that a statement writes, and what it needs to do so."""

    shards: Shards
    writer: Writer
    table: Table
    patience: Patience
    progress: Progress


def require_writable(table: Table, place: Position, text: str) -> None:
    """Raise unless rows can be written: the table is declared, with a template for its keys."""
    if not table.declared or not isinstance(table.keys, KeyTemplate):
        raise NotSupportedError(
            f"{table.name} is a key pattern: only a declared table can be written",
            position=place,
            text=text,
            hint="CREATE TABLE … WITH (key = 'user:{id}') says what a row's key is",
        )
    if table.type != "hash":
        raise NotSupportedError(
            f"{table.name} reads keys of the type {table.type}: only hashes can be written",
            position=place,
            text=text,
        )


def column_of(table: Table, name: str, place: Position, text: str) -> Column:
    """Return the column that a statement names."""
    if fold(name) == KEY_COLUMN.name:
        raise ProgrammingError(
            "_key cannot be written",
            position=place,
            text=text,
            hint="the key is made of the placeholders' columns",
        )
    for column in table.columns:
        if fold(column.name) == fold(name):
            return column
    known = [column.name for column in table.columns]
    raise no_column(f"no column {name} in {table.name}", name, known, place, text)


def insert_columns(table: Table, statement: Insert, named: Sequence[Named] | None) -> tuple[Column, ...]:
    """Return the columns that an INSERT gives values for; those of the key must be among them."""
    text, place = statement.text, statement.name_position
    if named is None:
        columns = table.columns
    else:
        columns = tuple(column_of(table, name, position, text) for name, position in named)
    return with_keys(table, columns, place, text)


def with_keys(table: Table, columns: tuple[Column, ...], place: Position, text: str) -> tuple[Column, ...]:
    """Return the columns if those of the key are among them."""
    given = {fold(column.name) for column in columns}
    missing = [
        c.name for c in table.columns if isinstance(c.source, PlaceholderSource) and fold(c.name) not in given
    ]
    if missing:
        raise ProgrammingError(
            f"no value for {', '.join(missing)}, which the key of {table.name} is made of",
            position=place,
            text=text,
        )
    return columns


def insert(target: Target, incoming: Incoming, kind: Kind, place: Position) -> int:
    """Write rows and return how many; `kind` says what becomes of keys that exist."""
    out = outgoing(target.writer, target.table, incoming, clears=kind == "replace")
    out = once_each(out, kind, incoming.text, place)
    if kind is None and len(out.rows) > 1:
        _require_free(target, out.rows, incoming.text, place)
    tally = delivered(target, "replace" if kind == "replace" else "insert", out.rows)
    return told(tally, out.rows, incoming.text, place, skips=kind == "nothing")


def update(target: Target, query: RowQuery, rows: Rows, text: str, place: Position) -> int:
    """Write the values that `rows` selects for each key; rows that changed meanwhile are selected again.

    Returns the number of rows that were written. A row that another client deleted meanwhile is none.
    """
    return _again_and_again(target, "update", lambda: update_rows(target, query, rows(), text), text, place)


def delete(target: Target, query: RowQuery, rows: Rows, text: str, place: Position) -> int:
    """Delete the rows that `rows` selects, by the same rules."""
    return _again_and_again(target, "delete", lambda: _checked_rows(query, rows(), 0), text, place)


def _again_and_again(
    target: Target, mode: Mode, select: Callable[[], list[Row]], text: str, place: Position
) -> int:
    count, only = 0, None
    for _ in range(TRIES):
        rows = [row for row in select() if only is None or row.key in only]
        try:
            tally = delivered(target, mode, rows)
        except Error as error:
            if error.written is not None:
                error.written = replace(error.written, rows=error.written.rows + count)
            raise
        count += tally.written
        if empty := tally.of(Outcome.EMPTY):
            refused = empty_row(rows[empty[0]].key, text)
            refused.position, refused.message = place, f"{refused.message} ({rows_text(count)} written)"
            raise refused
        changed = tally.of(Outcome.CHANGED)
        if not changed:
            return count
        only = {rows[number].key for number in changed}
    first = min(only or {b""})
    raise RowsChangedError(
        f"{len(only or ()):,} rows changed whenever they had been read, such as {shown(first)} "
        f"({rows_text(count)} written)",
        position=place,
        text=text,
        hint="run the statement again",
    )


def delivered(target: Target, mode: Mode, rows: Sequence[Row]) -> Tally:
    """Send rows to their shards."""
    return deliver(target.shards, mode, rows, target.table.null_values, target.patience, target.progress)


def told(tally: Tally, rows: Sequence[Row], text: str, place: Position, *, skips: bool = False) -> int:
    """Return how many rows were written, if all were that should be."""
    if other := tally.of(Outcome.OTHER_TYPE):
        raise _exists(rows[other[0]].key, "is there, and no hash", tally, text, place)
    if empty := tally.of(Outcome.EMPTY):
        raise empty_row(rows[empty[0]].key, text)
    if (exist := tally.of(Outcome.EXISTS)) and not skips:
        raise _exists(rows[exist[0]].key, "is there already", tally, text, place)
    return tally.written


def _exists(key: bytes, how: str, tally: Tally | None, text: str, place: Position) -> KeyExistsError:
    written = f" ({rows_text(tally.written)} written)" if tally else " (nothing was written)"
    error = KeyExistsError(
        f"the key {shown(key)} {how}{written}",
        position=place,
        text=text,
        hint="ON CONFLICT DO NOTHING, ON CONFLICT DO UPDATE SET …, or INSERT OR REPLACE",
    )
    error.key = key
    return error


def rows_text(count: int) -> str:
    """Say how many rows were written."""
    return f"{count:,} row was" if count == 1 else f"{count:,} rows were"


def once_each(out: Outgoing, kind: Kind, text: str, place: Position) -> Outgoing:
    """Of rows with one key DO NOTHING takes the first; else they are an error."""
    seen: set[bytes] = set()
    kept: list[int] = []
    for number, row in enumerate(out.rows):
        if row.key not in seen:
            seen.add(row.key)
            kept.append(number)
        elif kind != "nothing":
            error = KeyExistsError(
                f"two rows of the statement have the key {shown(row.key)} (nothing was written)",
                position=place,
                text=text,
            )
            error.key = row.key
            raise error
    if len(kept) == len(out.rows):
        return out
    return Outgoing([out.rows[number] for number in kept], out.texts)


def _require_free(target: Target, rows: Sequence[Row], text: str, place: Position) -> None:
    """Look at all keys before the first is written, so that a conflict leaves nothing behind.

    Another client may still take a key before we do; then the script finds it.
    """
    shards = target.shards
    keys: dict[Shard, list[bytes]] = {}
    for row in rows:
        keys.setdefault(shards.shard_of(row.key), []).append(row.key)

    def read(shard: Shard, connection: ShardConnection) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, len(keys[shard]), LOOKED_AT):
            part = keys[shard][start : start + LOOKED_AT]
            for key, reply in zip(part, connection.ask_all([("TYPE", key) for key in part]), strict=True):
                if isinstance(reply, SlotsMovedError):
                    continue
                if isinstance(reply, Error):
                    raise reply
                if reply != b"none":
                    yield key, reply

    taken = sorted(gather(shards, read, target.patience.left(), list(keys)))
    if taken:
        key, kind = taken[0]
        how = "is there already" if kind == b"hash" else f"is there, a {kind.decode()} and no hash"
        raise _exists(key, how, None, text, place)


def update_rows(target: Target, query: RowQuery, answer: Answer, text: str) -> list[Row]:
    """Return what becomes of the rows that a query has found."""
    rows = _checked_rows(query, answer, len(query.sets))
    keys = [row.key for row in rows]
    values = []
    assert answer.table is not None
    for index, column in enumerate(query.sets, 1):
        given = Given(answer.table.column(index), answer.columns[index].type)
        try:
            values.append(target.writer.texts(column, target.table, [given]).to_pylist())
        except UnfitError as unfit:
            where = f"key {shown(keys[unfit.row])}, " if keys else ""  # a cast that no value has
            message = f"{where}column {column.name}: {unfit.why}"
            raise DataError(message, position=query.places[index - 1], text=text) from unfit
    fields = [column.source.field for column in query.sets if isinstance(column.source, FieldSource)]
    made = []
    for row, new in zip(rows, zip(*values, strict=True), strict=True):
        pairs = list(zip(fields, new, strict=True))
        sets = [(field, value) for field, value in pairs if value is not None]
        made.append(Row(row.key, sets, [field for field, value in pairs if value is None], row.checks))
    return made


def _checked_rows(query: RowQuery, answer: Answer, sets: int) -> list[Row]:
    """The keys and the fields as they were read; each key once."""
    assert answer.table is not None
    keys = answer.table.column(0).to_pylist()
    raw = [answer.table.column(1 + sets + index).to_pylist() for index in range(len(query.reads))]
    if len(set(keys)) < len(keys):
        raise IntegrityError("a row would be written twice: the statement gives several values for one key")
    checks = zip(*raw, strict=True) if raw else [()] * len(keys)
    return [
        Row(key, checks=list(zip(query.reads, values, strict=True)))
        for key, values in zip(keys, checks, strict=True)
    ]


def assigned(table: Table, statement: Update | Conflict, text: str) -> tuple[Column, ...]:
    """Return the columns of a SET; those of the key are refused."""
    columns = []
    for assignment in statement.sets:
        column = column_of(table, assignment.name, assignment.position, text)
        if not isinstance(column.source, FieldSource):
            raise NotSupportedError(
                f"{column.name} is part of the key and cannot be updated",
                position=assignment.position,
                text=text,
                hint="INSERT the row under its new key and DELETE the old one",
            )
        columns.append(column)
    return tuple(columns)
