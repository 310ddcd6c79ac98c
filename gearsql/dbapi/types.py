"""PEP 249's type objects and constructors. A column's type_code is DuckDB's name of its type, as text."""

from __future__ import annotations

import datetime
from collections.abc import Callable

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


class TypeGroup:
    """Equal to every type_code whose type is in the group: `description[0][1] == NUMBER`."""

    def __init__(self, *names: str) -> None:
        """`names` are DuckDB types, without arguments."""
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return _without_arguments(other) in self._names
        return self is other

    def __hash__(self) -> int:
        return hash(self._names)


def _without_arguments(type_code: str) -> str:
    return "LIST" if type_code.endswith("]") else type_code.partition("(")[0]


STRING = TypeGroup("VARCHAR", "UUID", "JSON", "ENUM")
BINARY = TypeGroup("BLOB", "BIT")
NUMBER = TypeGroup(
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM", "BOOLEAN"),
)
DATETIME = TypeGroup(
    *("DATE", "TIME", "TIME_NS", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
    *("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE", "INTERVAL"),
)
# No table has row ids; PEP 249 wants the name.
ROWID = TypeGroup()


def DateFromTicks(ticks: float) -> datetime.date:
    """Return the local date of a time in seconds since 1970."""
    return datetime.date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> datetime.time:
    """Return the local time of day of a time in seconds since 1970."""
    return datetime.datetime.fromtimestamp(ticks).time()


TimestampFromTicks: Callable[[float], datetime.datetime] = datetime.datetime.fromtimestamp
