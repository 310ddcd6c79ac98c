"""Python values → SQL constants of the type that DuckDB's own Python client would bind."""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Marker:
    """Stands for a constant while a statement is compiled: `text` is found again in its plan (slots.py)."""

    text: str
    sql: str


_INTEGERS = (
    ("INTEGER", -(2**31), 2**31),
    ("BIGINT", -(2**63), 2**63),
    ("UBIGINT", 0, 2**64),
    ("HUGEINT", -(2**127), 2**127),
    ("UHUGEINT", 0, 2**128),
)
_MAX_WIDTH = 38


def constant(value: Any) -> str:
    """Write a value as SQL; a TypeError or ValueError says what cannot be written."""
    match value:
        case None:
            return "NULL"
        case Marker():
            return value.sql
        case bool():
            return "true" if value else "false"
        case int():
            return _integer(value)
        case float():
            return _cast(repr(float(value)), "DOUBLE")
        case str():
            return quote(value)
        case bytes() | bytearray() | memoryview():
            return _cast("".join(f"\\x{byte:02X}" for byte in bytes(value)), "BLOB")
        case decimal.Decimal():
            return _decimal(value)
        case uuid.UUID():
            return _cast(str(value), "UUID")
        case list() | tuple():
            return f"[{', '.join(constant(item) for item in value)}]"
        case dict() if value and all(isinstance(name, str) for name in value):
            return f"{{{', '.join(f'{quote(name)}: {constant(item)}' for name, item in value.items())}}}"
        case _:
            return _time(value)


def quote(text: str) -> str:
    """A string literal; NULs, which SQL text cannot hold, come from chr(0)."""
    text.encode()
    pieces = ["'" + piece.replace("'", "''") + "'" for piece in text.split("\0")]
    return pieces[0] if len(pieces) == 1 else "(" + " || chr(0) || ".join(pieces) + ")"


def _cast(text: str, type_: str) -> str:
    return f"CAST('{text}' AS {type_})"


def _integer(value: int) -> str:
    for type_, low, high in _INTEGERS:
        if low <= value < high:
            return f"CAST({value} AS {type_})" if abs(value) < 2**63 else _cast(str(value), type_)
    raise ValueError("the integer is beyond 128 bits")


def _decimal(value: decimal.Decimal) -> str:
    if not value.is_finite():
        return _cast(str(float(value)), "FLOAT")
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    width = max(len(digits) + max(exponent, 0), scale + (len(digits) < scale))
    if width > _MAX_WIDTH:
        return _cast(repr(float(value)), "DOUBLE")
    return _cast(f"{value:f}", f"DECIMAL({width},{scale})")


def _time(value: Any) -> str:
    match value:
        case datetime.datetime(tzinfo=None):
            return _cast(value.isoformat(" "), "TIMESTAMP")
        case datetime.datetime():
            return _cast(value.isoformat(" "), "TIMESTAMP WITH TIME ZONE")
        case datetime.date():
            return _cast(value.isoformat(), "DATE")
        case datetime.time(tzinfo=None):
            return _cast(value.isoformat(), "TIME")
        case datetime.time():
            return _cast(value.isoformat(), "TIME WITH TIME ZONE")
        case datetime.timedelta():
            micros = value.seconds * 1_000_000 + value.microseconds
            return _cast(f"{value.days} days {micros} microseconds", "INTERVAL")
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be a parameter")
