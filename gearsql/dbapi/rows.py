"""Arrow → Python objects, by DuckDB itself, so that values are exactly those of its own fetchall."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

Row = tuple[Any, ...]


class Rows:
    """The rows of an answer, converted as they are fetched."""

    def __init__(self, table: pa.Table) -> None:
        """Nothing is converted before the first fetch."""
        self._table = table
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
            self._pending.register("answer", self._table)
            self._pending.execute("FROM answer")
        return self._pending


@cache
def _converter() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1, "enable_external_access": False})
