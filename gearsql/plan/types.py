"""DuckDB's types of what the shards ship: what decides whether it may travel."""

from __future__ import annotations

import functools
import threading

from gearsql.plan.text import SOURCE, quote
from gearsql.sql.bound import BoundQuery
from gearsql.sql.hooks import bindable
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.stubs import Stubs


def shard_types(bound: BoundQuery, text: str) -> list[str]:
    """Return the column types of a shard's SQL; nothing runs."""
    return _binder().types(bound, text)


@functools.cache
def _binder() -> _Binder:
    return _Binder()


class _Binder:
    """One for the process: an empty scan_0 with the columns of the table that was asked for last."""

    def __init__(self) -> None:
        self._connection = open_sandbox()
        self._stubs = Stubs(self._connection)
        self._columns = ""
        self._lock = threading.Lock()

    def types(self, bound: BoundQuery, text: str) -> list[str]:
        columns = ", ".join(f"{quote(column.name)} {column.type}" for column in bound.table.all_columns)
        with self._lock:
            if columns != self._columns:
                self._connection.execute(f"CREATE OR REPLACE TABLE {SOURCE} ({columns})")
                self._columns = columns
            self._stubs.require(bound.hooks)
            return [str(type_) for type_ in self._connection.sql(bindable(text, bound.hooks)).types]
