"""What an INSERT brings → rows for the script: keys, fields to set and to delete, all checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from gearsql.catalog.names import fold
from gearsql.catalog.table import Column, FieldSource, KeyTemplate, PlaceholderSource, Table
from gearsql.cluster.replies import shown
from gearsql.cluster.write_keys import keys_of
from gearsql.cluster.write_script import Row
from gearsql.cluster.write_text import Given, UnfitError, Writer
from gearsql.errors import DataError, Error, Position

Place = Callable[[int, int], Position | None]
"""(row, column) → where the value stands in the statement."""


@dataclass(frozen=True)
class Incoming:
    """Rows to insert: for each of `columns` the values, and where they stand; errors number rows from 1."""

    columns: tuple[Column, ...]
    given: tuple[Sequence[Given], ...]
    count: int
    text: str
    place: Place = lambda row, column: None
    what: str = "row"


@dataclass(frozen=True)
class Outgoing:
    """Rows ready to write; `texts` are the columns' values by folded name."""

    rows: list[Row]
    texts: dict[str, pa.ChunkedArray]


def outgoing(writer: Writer, table: Table, incoming: Incoming, *, clears: bool) -> Outgoing:
    """Check and convert; `clears`: a NULL deletes the field."""
    assert isinstance(table.keys, KeyTemplate)
    texts: dict[str, pa.ChunkedArray] = {}
    for index, (column, given) in enumerate(zip(incoming.columns, incoming.given, strict=True)):
        try:
            texts[fold(column.name)] = writer.texts(column, table, given)
        except UnfitError as unfit:
            raise _located(incoming, unfit, index) from unfit
    keys = _keys(table.keys, texts, incoming)
    fields = [
        (c.source.field, texts[fold(c.name)]) for c in incoming.columns if isinstance(c.source, FieldSource)
    ]
    names = [name for name, _ in fields]
    rows = []
    values = zip(*(text.to_pylist() for _, text in fields), strict=True) if fields else [()] * len(keys)
    for key, row in zip(keys, values, strict=True):
        sets = [(name, value) for name, value in zip(names, row, strict=True) if value is not None]
        dels = [name for name, value in zip(names, row, strict=True) if value is None] if clears else ()
        if not sets and not clears:
            raise empty_row(key, incoming.text)
        rows.append(Row(key, sets, dels))
    return Outgoing(rows, texts)


def empty_row(key: bytes, text: str) -> Error:
    """Return the error for a row that no hash can hold."""
    return DataError(
        f"the row with the key {shown(key)} has nothing but NULLs outside of its key",
        hint="a hash without fields does not exist; give one column a value",
        text=text,
    )


def _keys(keys: KeyTemplate, texts: dict[str, pa.ChunkedArray], incoming: Incoming) -> list[bytes]:
    if not keys.placeholders:
        return [keys.literals[0]] * incoming.count
    try:
        return keys_of(keys, [texts[fold(name)] for name in keys.placeholders])
    except UnfitError as unfit:
        index = next(
            (i for i, c in enumerate(incoming.columns) if isinstance(c.source, PlaceholderSource)), 0
        )
        said = unfit.why.partition(" ")[0]
        index = next((i for i, c in enumerate(incoming.columns) if fold(c.name) == fold(said)), index)
        raise _located(incoming, unfit, index) from unfit


def _located(incoming: Incoming, unfit: UnfitError, column: int) -> Error:
    name = incoming.columns[column].name
    return DataError(
        f"{incoming.what} {unfit.row + 1:,}, column {name}: {unfit.why}",
        position=incoming.place(unfit.row, column),
        text=incoming.text,
    )
