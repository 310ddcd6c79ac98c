"""Values → the bytes of fields: one canonical text for each, which the readers read back to the same value.

DuckDB casts to the column's type and writes the text; text that goes into a column of another type passes the
readers' own strict cast (gearsql.native), and so does every text before it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.hook_types import ArrayOf, HookType, ListOf, MapOf, Plain, StructOf, nested_type
from gearsql.catalog.table import Column, Table
from gearsql.cluster.lenient import cast_values
from gearsql.cluster.replies import shown
from gearsql.errors import DataError
from gearsql.native import cast_column
from gearsql.sql.constants import quote
from gearsql.sql.said import said
from gearsql.sql.sandbox import open_locked

_BYTES = ("VARCHAR", "BLOB")
_AS_THEY_ARE = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "JSON",
})  # fmt: skip
# No more in one call of DuckDB or of the casts.
BATCH = 100_000


@dataclass(frozen=True)
class Given:
    """A column of values as they came, of DuckDB's type `type`."""

    array: pa.Array | pa.ChunkedArray
    type: str


class UnfitError(Exception):
    """A value has no place in its column; `row` counts from 0."""

    def __init__(self, row: int, value: str, why: str) -> None:
        super().__init__(why)
        self.row, self.value, self.why = row, value, why


_FIRST_UNFIT = """SELECT n - 1, CAST(v AS VARCHAR) FROM (SELECT row_number() OVER () AS n, v FROM given)
    WHERE v IS NOT NULL AND TRY_CAST(v AS {}) IS NULL ORDER BY n LIMIT 1"""


class Writer:
    """Writes values as text, with a DuckDB of its own. Used by one thread at a time."""

    def __init__(self) -> None:
        """Open DuckDB, locked down; its one thread keeps the rows in their order."""
        self._database = open_locked({"arrow_lossless_conversion": "true", "threads": 1})

    def close(self) -> None:
        """Free DuckDB."""
        self._database.close()

    def evaluate(self, text: str) -> pa.Table:
        """Run SQL of ours over constants."""
        with self._database.cursor() as cursor:
            return cursor.sql(text).to_arrow_table()

    def texts(self, column: Column, table: Table, given: Sequence[Given]) -> pa.ChunkedArray:
        """Return a column's values as binary; NULL stays NULL.

        Of several alternatives in `given` each row has at most one that is not NULL. Raises UnfitError.
        """
        chosen: pa.ChunkedArray | None = None
        for alternative in given:
            texts = self._texts(column.type, alternative)
            chosen = texts if chosen is None else pc.coalesce(chosen, texts)
        assert chosen is not None
        self._check(column, table, chosen)
        return chosen

    def _texts(self, type_: str, given: Given) -> pa.ChunkedArray:
        array = given.array if isinstance(given.array, pa.ChunkedArray) else pa.chunked_array([given.array])
        if given.type == type_ and type_ in _BYTES:
            return array.cast(pa.large_binary())
        pieces: list[pa.Array] = []
        start = 0
        while start < len(array) or not pieces:
            piece = array.slice(start, BATCH)
            try:
                pieces.append(self._piece(type_, given.type, piece))
            except UnfitError as unfit:
                unfit.row += start
                raise
            start += BATCH
        return pa.chunked_array(pieces, pa.large_binary())

    def _piece(self, type_: str, given: str, piece: pa.ChunkedArray) -> pa.Array:
        if given == "VARCHAR" and type_ != "BLOB":
            values = piece.cast(pa.large_binary()).combine_chunks()
            return self._written(type_, pa.chunked_array([_strict(type_, values)]))
        return self._written(type_, piece)

    def _written(self, type_: str, values: pa.ChunkedArray) -> pa.Array:
        with self._database.cursor() as cursor:
            cursor.register("given", pa.table({"v": values}))
            try:
                answer = cursor.sql(f"SELECT {written(type_, f'CAST(v AS {type_})')} FROM given")
                column = answer.to_arrow_table().column(0).cast(pa.large_binary())
            except duckdb.Error as error:
                raise _unfit(cursor, type_, error) from error
        return _whole(column)

    @staticmethod
    def _check(column: Column, table: Table, texts: pa.ChunkedArray) -> None:
        """What is written is what will be read: the readers' cast, and no text that means NULL."""
        start = 0
        for chunk in texts.chunks:
            cast = cast_values(column.type, chunk, "error", table.cast)
            row = cast.misfit
            if row is not None:
                value = chunk[row].as_py()
                raise UnfitError(
                    start + row, shown(value), f"{shown(value)} would not be read as {column.type}"
                )
            if table.null_values:
                means_null = pc.is_in(chunk, pa.array(table.null_values, pa.large_binary()))
                row = pc.index(means_null, True).as_py()
                if row >= 0:
                    value = shown(chunk[row].as_py())
                    raise UnfitError(start + row, value, f"{value} would be read as NULL, by null_values")
            start += len(chunk)


def written(type_: str, value: str) -> str:
    """Return SQL for the canonical text of a value, as a BLOB."""
    if type_ == "BLOB":
        return value
    return f"encode({nested_text(type_, value) or _plain_text(type_, value)})"


def nested_text(type_: str, value: str) -> str | None:
    """Return SQL for the JSON text of a value that has parts, NULL of NULL; None if it has none."""
    tree = nested_type(type_)
    return None if tree is None else f"CASE WHEN {value} IS NOT NULL THEN {json_text(tree, value)} END"


def _plain_text(type_: str, value: str) -> str:
    return decimal_text(value) if type_.startswith("DECIMAL") else f"CAST({value} AS VARCHAR)"


def json_text(type_: HookType, value: str, depth: int = 0) -> str:
    """Return SQL for the JSON text of a value; of NULL it is null."""
    item, next_ = f"x{depth}", depth + 1
    match type_:
        case Plain(name):
            text = _leaf(name, value)
        case ListOf(element):
            items = f"list_transform({value}, lambda {item}: {json_text(element, item, next_)})"
            text = f"'[' || array_to_string({items}, ',') || ']'"
        case ArrayOf(element):
            return json_text(ListOf(element), f"CAST({value} AS {element}[])", depth)
        case StructOf(members):
            parts = (
                f"to_json({quote(name)})::VARCHAR || ':' || "
                + json_text(member, f"struct_extract({value}, {quote(name)})", next_)
                for name, member in members
            )
            text = "'{' || " + " || ',' || ".join(parts) + " || '}'"
        case MapOf(key, element):
            name = f"to_json({_plain_text(key.name, f'{item}.key')})::VARCHAR"
            entry = f"{name} || ':' || {json_text(element, f'{item}.value', next_)}"
            entries = f"list_transform(map_entries({value}), lambda {item}: {entry})"
            text = f"'{{' || array_to_string({entries}, ',') || '}}'"
    return f"CASE WHEN {value} IS NULL THEN 'null' ELSE {text} END"


def _leaf(type_: str, value: str) -> str:
    text = _plain_text(type_, value)
    match type_:
        case "FLOAT" | "DOUBLE":
            return f"CASE WHEN isfinite({value}) THEN {text} ELSE '\"' || {text} || '\"' END"
        case _ if type_ in _AS_THEY_ARE or type_.startswith("DECIMAL"):
            return text
        case _:
            return f"CAST(to_json({text}) AS VARCHAR)"


def decimal_text(value: str) -> str:
    """Return SQL for a DECIMAL's text; DuckDB's own is .5 if all digits are behind the point."""
    return f"regexp_replace(CAST({value} AS VARCHAR), '^(-?)\\.', '\\1' || '0.')"


def _strict(type_: str, values: pa.Array) -> pa.Array:
    cast = cast_column(type_, values, "error")
    if cast.misfit is None:
        return cast.array
    value = shown(values[cast.misfit].as_py())
    raise UnfitError(cast.misfit, value, f"{value} is not a {type_}")


def _unfit(cursor: duckdb.DuckDBPyConnection, type_: str, error: duckdb.Error) -> Exception:
    """Find the value that DuckDB could not cast."""
    try:
        found = cursor.execute(_FIRST_UNFIT.format(type_)).fetchone()
    except duckdb.Error:
        found = None
    if found is None and isinstance(error, duckdb.BinderException):
        return UnfitError(0, "", said(error))  # no value has a cast
    if found is None:
        return DataError(said(error))
    return UnfitError(found[0], found[1], f"{found[1]} does not fit into {type_}")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        return pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], pa.large_binary())
    return combined
