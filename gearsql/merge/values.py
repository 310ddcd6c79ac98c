"""Columns of users' functions: Arrow as DuckDB gives and takes it ↔ Python values, by the types of hooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.hook_types import ArrayOf, HookType, ListOf, MapOf, Plain, StructOf
from gearsql.errors import InternalError

_WIDE = {name: pa.opaque(pa.binary(16), name.lower(), "DuckDB") for name in ("HUGEINT", "UHUGEINT")}
_MICROSECOND = 1000  # nanoseconds
_DAY = 86_400_000_000  # microseconds
_DECIMAL = "DECIMAL("
_ARROW = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    **_WIDE,
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
    "INTERVAL": pa.month_day_nano_interval(),
    "UUID": pa.uuid(),
}


def to_python(column: pa.Array | pa.ChunkedArray, type_: HookType) -> list[Any]:
    """Return a column's values as a hook gets them: a STRUCT is a dict, an INTERVAL a timedelta.

    What Python has no value for raises OverflowError, in the words of hooks/value_time.c.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    match type_:
        case Plain("HUGEINT" | "UHUGEINT" as name):
            signed = name == "HUGEINT"
            return [
                None if v is None else int.from_bytes(v, "little", signed=signed) for v in _storage(array)
            ]
        case Plain("INTERVAL"):
            return [None if v is None else _timedelta(v) for v in array.to_pylist()]
        case Plain("TIMESTAMP WITH TIME ZONE"):
            return [None if v is None else _in_utc(v) for v in _values(array, "TIMESTAMP")]
        case Plain(name):
            return _values(array, name)
        case ListOf(element):
            return _regrouped(to_python(array.flatten(), element), array.value_lengths().to_pylist())
        case StructOf(members):
            columns = [
                to_python(column, type_) for column, (_, type_) in zip(array.flatten(), members, strict=True)
            ]
            names = [name for name, _ in members]
            rows = zip(*columns, strict=True)
            return [
                dict(zip(names, row, strict=True)) if valid else None
                for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)
            ]
        case MapOf() | ArrayOf():
            raise InternalError(f"no hook takes a {type_}")


def to_arrow(values: Sequence[Any], type_: HookType) -> pa.Array:
    """Return values that fit a type as a column that DuckDB takes for it."""
    match type_:
        case Plain("HUGEINT" | "UHUGEINT" as name):
            signed = name == "HUGEINT"
            raw = [None if v is None else int(v).to_bytes(16, "little", signed=signed) for v in values]
            return pa.ExtensionArray.from_storage(_WIDE[name], pa.array(raw, pa.binary(16)))
        case Plain("UUID"):
            raw = [v.bytes if isinstance(v, UUID) else v for v in values]
            return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raw, pa.binary(16)))
        case Plain("INTERVAL"):
            return pa.array([None if v is None else _interval(v) for v in values], arrow_type(type_))
        case Plain():
            return pa.array(values, arrow_type(type_))
        case ListOf(element):
            offsets: list[int] = [0]
            items: list[Any] = []
            for value in values:
                items += value or ()
                offsets.append(len(items))
            return pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()), to_arrow(items, element), mask=_nulls(values)
            )
        case StructOf(members):
            columns = [
                to_arrow([None if v is None else v[name] for v in values], member) for name, member in members
            ]
            return pa.StructArray.from_arrays(columns, [name for name, _ in members], mask=_nulls(values))


def arrow_type(type_: HookType) -> pa.DataType:
    """Return Arrow's type for a hook's."""
    match type_:
        case Plain(name) if name.startswith(_DECIMAL):
            precision, scale = name.removeprefix(_DECIMAL).removesuffix(")").split(",")
            return pa.decimal128(int(precision), int(scale))
        case Plain(name):
            return _ARROW[name]
        case ListOf(element):
            return pa.list_(arrow_type(element))
        case StructOf(members):
            return pa.struct([(name, arrow_type(member)) for name, member in members])


def _nulls(values: Sequence[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def _values(array: pa.Array, name: str) -> list[Any]:
    # Arrow makes 00:00:00 of it.
    if name == "TIME" and pc.any(pc.equal(array.cast(pa.int64()), _DAY)).as_py():
        raise OverflowError("this TIME is beyond what Python's has: it ends before 24:00:00")
    try:
        values: list[Any] = array.to_pylist()
    except OverflowError:
        raise OverflowError(f"this {name} is beyond what Python's has: years 1 to 9999, finite") from None
    return values


def _storage(array: pa.Array) -> list[bytes | None]:
    raw = array.storage if isinstance(array, pa.ExtensionArray) else array
    found: list[bytes | None] = raw.to_pylist()
    return found


def _regrouped(items: list[Any], lengths: list[int | None]) -> list[list[Any] | None]:
    rows: list[list[Any] | None] = []
    start = 0
    for length in lengths:
        rows.append(None if length is None else items[start : start + length])
        start += length or 0
    return rows


def _timedelta(value: Any) -> timedelta:
    months, days, nanoseconds = value
    if months:
        raise OverflowError(f"an INTERVAL of {months} months has no timedelta: months differ in days")
    return timedelta(days=days, microseconds=nanoseconds // _MICROSECOND)


def _interval(value: timedelta) -> tuple[int, int, int]:
    rest = value - timedelta(days=value.days)
    return 0, value.days, rest // timedelta(microseconds=1) * _MICROSECOND


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)
