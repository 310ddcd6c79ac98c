"""Arrow → Python objects, by DuckDB itself, so that values are exactly those of its own fetchall."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

Row = tuple[Any, ...]


class Rows:
    """The rows of an answer, converted as they are fetched."""

    def __init__(self, table: pa.Table, types: Sequence[str], shown: Sequence[str] | None = None) -> None:
        """`types` are DuckDB's, `shown` those to cast to. Nothing is converted before the first fetch."""
        self._table = table
        self._select = _select(types, types if shown is None else shown)
        self._pending: duckdb.DuckDBPyConnection | None = None

    def one(self) -> Row | None:
        """Return the next row."""
        return self._result.fetchone()

    def many(self, size: int) -> list[Row]:
        """Return the next rows."""
        return self._result.fetchmany(size) if size > 0 else []

    def all(self) -> list[Row]:
        """Return all rows that are left."""
        return self._result.fetchall()

    @property
    def _result(self) -> duckdb.DuckDBPyConnection:
        if self._pending is None:
            # A connection holds one pending result, so each answer has its own.
            self._pending = _converter().cursor()
            self._pending.register("answer", self._table.rename_columns(_names(self._table.num_columns)))
            self._pending.execute(self._select)
        return self._pending


class ReadyRows:
    """The rows of an answer that are Python objects already."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Nothing is copied before the first fetch."""
        self._rows = rows
        self._next = 0

    def one(self) -> Row | None:
        """Return the next row."""
        return next(iter(self.many(1)), None)

    def many(self, size: int) -> list[Row]:
        """Return the next rows."""
        start, self._next = self._next, min(self._next + max(size, 0), len(self._rows))
        return list(self._rows[start : self._next])

    def all(self) -> list[Row]:
        """Return all rows that are left."""
        return self.many(len(self._rows))


def _select(types: Sequence[str], shown: Sequence[str]) -> str:
    # Arrow has no TUPLE and brings a STRUCT. Its other stand-ins, as VARCHAR for ENUM, have equal values.
    own = [f"::{type_}" if "TUPLE(" in type_ else "" for type_ in types]
    casts = [f"::{to}" if to != type_ else "" for type_, to in zip(types, shown, strict=True)]
    columns = ["".join(parts) for parts in zip(_names(len(types)), own, casts, strict=True)]
    return f"SELECT {', '.join(columns)} FROM answer"


def _names(count: int) -> list[str]:
    return [f"c{index}" for index in range(count)]


@cache
def _converter() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1, "enable_external_access": False})
    # As on the shards; GLOBAL, since a cursor inherits nothing else.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection
