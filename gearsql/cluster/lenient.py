"""Casts of columns in this client: by the module's own code, or as DuckDB casts (module/scan_lenient.c)."""

from __future__ import annotations

import functools

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.table import Cast, OnError
from gearsql.native import CastResult, cast_column
from gearsql.sql.sandbox import open_locked

# Read as ever: bytes, and texts that are kept.
_KEPT = ("VARCHAR", "BLOB", "JSON")


def cast_values(type: str, values: pa.Array, on_error: OnError, cast: Cast) -> CastResult:
    """Cast binary values to a canonical type as its table says; see native.CastResult."""
    if cast == "strict" or type in _KEPT:
        return cast_column(type, values, on_error)
    texts = cast_column("VARCHAR", values, "null").array
    array = _cast(type, texts)
    unfit = pc.and_(values.is_valid(), array.is_null())
    misfit = pc.index(unfit, True).as_py() if on_error == "error" else -1
    return CastResult(
        array=array,
        misfit=None if misfit < 0 else misfit,
        misfit_rows=unfit if on_error == "skip" else None,
        misfits=pc.sum(unfit).as_py() or 0,
    )


def _cast(type: str, texts: pa.Array) -> pa.Array:
    with _database().cursor() as cursor:
        cursor.register("given", pa.table({"t": texts}))
        column = cursor.sql(f"SELECT TRY_CAST(t AS {type}) AS t FROM given").to_arrow_table().column(0)
    chunks = column.chunks
    if len(chunks) == 1:
        return chunks[0]
    return pa.concat_arrays(chunks) if chunks else pa.nulls(0, column.type)


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for the process; its one thread keeps the rows in their order."""
    return open_locked({"arrow_lossless_conversion": "true", "threads": 1})
