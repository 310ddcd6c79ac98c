"""Columns ↔ numpy's and pyarrow's arrays, for vectorised functions and for a client's sandbox.

Numbers, dates, times and texts go as the buffers that they are; what neither library has as it is
(HUGEINT, UHUGEINT, UUID, DECIMAL to numpy, what nests) goes by way of Python's objects. Neither library is
imported before it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gearsql.catalog.function import Function
from gearsql.catalog.hook_types import HookType, ListOf, Plain, StructOf, parse_hook_type
from gearsql.shard._mailbox import Column
from gearsql.shard.calling import Place, Vectorised
from gearsql.shard.source import definition_fault

# Types whose cells are numpy's.
_NUMPY = {
    "TINYINT": "i1",
    "SMALLINT": "i2",
    "INTEGER": "i4",
    "BIGINT": "i8",
    "UTINYINT": "u1",
    "USMALLINT": "u2",
    "UINTEGER": "u4",
    "UBIGINT": "u8",
    "FLOAT": "f4",
    "DOUBLE": "f8",
    "BOOLEAN": "?",
    "DATE": "M8[D]",
    "TIME": "m8[us]",
    "TIMESTAMP": "M8[us]",
    "TIMESTAMP WITH TIME ZONE": "M8[us]",
}


class _Batches(Vectorised):
    """A call for a batch, with an array for each parameter."""

    library = ""

    def __init__(self, function: Function, target: Callable[..., Any]) -> None:
        super().__init__(function, target)
        self.types = [type_ for _, type_ in function.parameters]
        try:
            self.module = importlib.import_module(self.library)
        except BaseException as error:
            raise definition_fault(function, error) from None

    def once(self, kept: bytes, count: int) -> None:
        self.place = Place("argument")
        columns = [self.column(index, kept, count) for index in range(len(self.types))]
        self.write(self.called(columns, count), kept)

    def single(self, row: int) -> Sequence[Any]:
        return [
            self.array([value], type_) for value, type_ in zip(self.rows.row(row), self.types, strict=True)
        ]

    def append(self, values: Any) -> None:
        super().append(self.objects(values))

    def column(self, index: int, kept: bytes, count: int) -> Any:
        """Return a column's kept rows as an array."""
        return self.array(self.rows.column(index, self.strict), self.types[index])

    def array(self, values: list[Any], type_: str) -> Any:
        """Return an array of Python values."""
        raise NotImplementedError

    def objects(self, values: Any) -> Any:
        """Return the Python values of what came back."""
        return values


class NumpyBatches(_Batches):
    """Arrays of numpy; masked ones if NULLs are among the rows and the function is called on them."""

    library = "numpy"

    def column(self, index: int, kept: bytes, count: int) -> Any:
        np = self.module
        dtype, buffers = _NUMPY.get(self.types[index]), self.rows.buffers(index)
        if dtype is None or buffers is None:
            return super().column(index, kept, count)
        validity, _, cells = buffers
        found = np.frombuffer(cells, _cells(dtype)).astype(dtype)
        if len(kept) != count:
            return found[np.frombuffer(kept, "?")]
        valid = np.unpackbits(np.frombuffer(validity, "u1"), count=count, bitorder="little").view("?")
        return found if valid.all() else np.ma.MaskedArray(found, ~valid)

    def array(self, values: list[Any], type_: str) -> Any:
        np = self.module
        dtype = _NUMPY.get(type_)
        if dtype is not None and None not in values:
            values = [value.replace(tzinfo=None) for value in values] if type_.endswith("ZONE") else values
            if type_ != "TIME":
                return np.array(values, dtype)
        found = np.empty(len(values), object)
        for index, value in enumerate(values):
            found[index] = value
        nulls = [value is None for value in values]
        return np.ma.MaskedArray(found, nulls) if any(nulls) else found

    def write(self, values: Any, kept: bytes) -> None:
        np = self.module
        if not isinstance(values, np.ndarray):
            return super().write(values, kept)
        exact = self._exact(values)
        if exact is None:
            return super().write(self.objects(values), kept)
        rows, mask = len(kept), np.frombuffer(kept, "?")
        cells, valid = np.zeros(rows, exact.dtype), np.zeros(rows, "?")
        cells[mask] = exact
        valid[mask] = ~(np.ma.getmaskarray(values) | _not_times(np, values))
        self.result.fill(rows, np.packbits(valid, bitorder="little").tobytes(), None, cells.tobytes())

    def _exact(self, values: Any) -> Any:
        """Return the cells of the result's type if the array's values are all among them, else None."""
        np, returns = self.module, self.function.returns
        dtype = _NUMPY.get(returns)
        if dtype is None or values.ndim != 1 or returns == "TIME":
            return None
        wanted, data = np.dtype(dtype), np.ma.getdata(values)
        match data.dtype.kind, wanted.kind:
            case ("b", "b") | ("f", "f") | ("i" | "u", "f") | ("M", "M"):
                pass
            case ("i" | "u", "i" | "u"):
                if not np.can_cast(data.dtype, wanted):
                    limits = np.iinfo(wanted)
                    if len(data) and not (limits.min <= int(data.min()) and int(data.max()) <= limits.max):
                        return None
            case _:
                return None
        with np.errstate(all="ignore"):
            exact = data.astype(wanted)
        if wanted.kind == "M":
            if not (_not_times(np, data) | (exact == data)).all():
                return None
            exact = exact.astype("i8")
        if returns == "FLOAT" and not (np.isfinite(exact) == np.isfinite(data)).all():
            return None
        return exact.astype(_cells(dtype))

    def objects(self, values: Any) -> Any:
        np = self.module
        if not isinstance(values, np.ndarray):
            return values
        zoned = self.function.returns.endswith("ZONE")
        if values.dtype.kind == "M":
            values = values.astype("M8[D]" if self.function.returns == "DATE" else "M8[us]")
        found = values.tolist()
        if values.dtype.kind == "m" and self.function.returns == "TIME":
            # What numpy has for a time of day: the time since midnight.
            return [_time_of_day(value) for value in found]
        if zoned and values.dtype.kind == "M":
            from datetime import UTC

            found = [None if value is None else value.replace(tzinfo=UTC) for value in found]
        return found


def _time_of_day(value: Any) -> Any:
    is_one = isinstance(value, timedelta) and timedelta(0) <= value < timedelta(days=1)
    return (datetime.min + value).time() if is_one else value


class ArrowBatches(_Batches):
    """Arrays of pyarrow."""

    library = "pyarrow"

    def column(self, index: int, kept: bytes, count: int) -> Any:
        pa = self.module
        type_, buffers = self.types[index], self.rows.buffers(index)
        found = None if buffers is None else _from_buffers(pa, type_, len(kept), buffers)
        if found is None:
            return super().column(index, kept, count)
        return found if len(kept) == count else found.filter(_mask(pa, kept))

    def array(self, values: list[Any], type_: str) -> Any:
        return arrow_array(self.module, values, type_)

    def write(self, values: Any, kept: bytes) -> None:
        pa = self.module
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not isinstance(values, pa.Array):
            return super().write(values, kept)
        if not all(kept):
            places = iter(range(len(kept)))
            values = values.take(
                pa.array([next(places) if is_kept else None for is_kept in kept], pa.int64())
            )
        if not fill(pa, self.result, self.function.returns, values):
            super().write(self.objects(values), bytes([1]) * len(kept))

    def objects(self, values: Any) -> Any:
        if not hasattr(values, "to_pylist"):
            return values
        found = values.to_pylist()
        if self.module.types.is_decimal(values.type) and values.type.scale == 0:
            # Whole numbers of more than 64 bits come so, and HUGEINT is given so.
            return [None if value is None else int(value) for value in found]
        return found


def arrow_array(pa: Any, values: list[Any], type_: str) -> Any:
    """Return an array of Python values, as the Arrow type that stands for ours (HUGEINT: 38 digits)."""
    wanted = _arrow_type(pa, _tree(type_))
    if "UUID" not in type_:
        return pa.array(values, wanted)
    # pa.array() makes no extension types inside of others; a cast does.
    stored = _arrow_type(pa, _tree(type_), {**_USUAL, "UUID": lambda pa: pa.binary(16)})
    return pa.array(list(map(_uuids_as_bytes, values)), stored).cast(wanted)


def _uuids_as_bytes(value: Any) -> Any:
    match value:
        case UUID():
            return value.bytes
        case list():
            return list(map(_uuids_as_bytes, value))
        case dict():
            return {name: _uuids_as_bytes(member) for name, member in value.items()}
    return value


def fill(pa: Any, column: Column, type_: str, array: Any) -> bool:
    """Write an array's buffers to the column, if they are such; False: take its Python values instead."""
    wanted = _buffer_type(pa, type_)
    if wanted is None:
        return False
    try:
        array = _as(pa, _from_zero(pa, array), wanted)
    except pa.ArrowInvalid:
        return False
    if array is None:
        return False
    array = _from_zero(pa, array)
    validity, *buffers = array.buffers()
    bits = (
        memoryview(validity) if validity is not None and array.null_count else b"\xff" * -(-len(array) // 8)
    )
    offsets = memoryview(buffers[0] or bytes(8)) if len(buffers) == 2 else None
    column.fill(len(array), bits, offsets, memoryview(buffers[-1] or b""))
    return True


def _from_zero(pa: Any, array: Any) -> Any:
    """Return the array without the buffers' other parts: a slice begins somewhere in them."""
    if not array.offset and not (_is_large_text(pa, array) and len(array) and _first_offset(array)):
        return array
    return pa.concat_arrays([array, array.slice(0, 0)])


def _is_large_text(pa: Any, array: Any) -> bool:
    return bool(pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type))


def _first_offset(array: Any) -> int:
    return int.from_bytes(memoryview(array.buffers()[1])[:8], "little")


def objects(type_: str, array: Any) -> list[Any]:
    """Return the Python values of an Arrow array that DuckDB made of a column of this type."""
    values: list[Any] = array.to_pylist()
    return [_whole(_tree(type_), value) for value in values] if "HUGEINT" in type_ else values


def _whole(tree: HookType, value: Any) -> Any:
    """Arrow has no HUGEINT and no UHUGEINT: DuckDB gives their bytes."""
    match tree, value:
        case Plain("HUGEINT" | "UHUGEINT" as name), bytes():
            return int.from_bytes(value, "little", signed=name == "HUGEINT")
        case ListOf(element), list():
            return [_whole(element, item) for item in value]
        case StructOf(members), dict():
            return {name: _whole(type_, value[name]) for name, type_ in members}
    return value


def _from_buffers(pa: Any, type_: str, rows: int, buffers: tuple[bytes, bytes | None, bytes]) -> Any:
    found = _buffer_type(pa, type_)
    if found is None or type_.endswith("HUGEINT"):
        return None
    array = pa.Array.from_buffers(
        found, rows, [None if buffer is None else pa.py_buffer(buffer) for buffer in _present(buffers)]
    )
    return array if (usual := _arrow_type(pa, _tree(type_))) == found else array.cast(usual)


def _present(buffers: tuple[bytes, bytes | None, bytes]) -> list[bytes]:
    return [buffer for buffer in buffers if buffer is not None]


def _as(pa: Any, array: Any, wanted: Any) -> Any:
    """Return the array as that type if no value changes; None where Python's values are to be looked at."""
    types, found = pa.types, array.type
    if found == wanted:
        return array
    if types.is_integer(wanted) and types.is_boolean(found):
        return array.cast(wanted) if wanted == pa.uint8() else None
    if types.is_integer(found):
        return array.cast(wanted) if types.is_integer(wanted) or wanted == pa.float64() else None
    if types.is_float32(found):
        return array.cast(wanted) if wanted == pa.float64() else None
    if types.is_string(found) or types.is_string_view(found):
        return array.cast(wanted) if types.is_large_string(wanted) else None
    if types.is_binary(found):
        return array.cast(wanted) if types.is_large_binary(wanted) else None
    if types.is_timestamp(found) and types.is_timestamp(wanted):
        return array.cast(wanted) if (found.tz is None) == (wanted.tz is None) else None
    if (
        isinstance(array, pa.ExtensionArray)
        and array.storage.type == wanted
        and found.extension_name == "arrow.opaque"
    ):
        return array.storage
    return None


def _buffer_type(pa: Any, type_: str) -> Any:
    """Return the Arrow type whose buffers are those of our column."""
    if type_.startswith("DECIMAL("):
        precision, scale = map(int, type_[8:-1].split(","))
        return pa.decimal128(precision, scale) if precision > 18 else None
    made = _BUFFERS.get(type_)
    return made(pa) if made else None


_BUFFERS: dict[str, Callable[[Any], Any]] = {
    "BOOLEAN": lambda pa: pa.uint8(),
    "TINYINT": lambda pa: pa.int8(),
    "SMALLINT": lambda pa: pa.int16(),
    "INTEGER": lambda pa: pa.int32(),
    "BIGINT": lambda pa: pa.int64(),
    "HUGEINT": lambda pa: pa.binary(16),
    "UHUGEINT": lambda pa: pa.binary(16),
    "UTINYINT": lambda pa: pa.uint8(),
    "USMALLINT": lambda pa: pa.uint16(),
    "UINTEGER": lambda pa: pa.uint32(),
    "UBIGINT": lambda pa: pa.uint64(),
    "FLOAT": lambda pa: pa.float32(),
    "DOUBLE": lambda pa: pa.float64(),
    "VARCHAR": lambda pa: pa.large_string(),
    "BLOB": lambda pa: pa.large_binary(),
    "DATE": lambda pa: pa.date32(),
    "TIME": lambda pa: pa.time64("us"),
    "TIMESTAMP": lambda pa: pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": lambda pa: pa.timestamp("us", "UTC"),
}
_USUAL: dict[str, Callable[[Any], Any]] = {
    **_BUFFERS,
    "BOOLEAN": lambda pa: pa.bool_(),
    "HUGEINT": lambda pa: pa.decimal128(38, 0),
    "UHUGEINT": lambda pa: pa.decimal128(38, 0),
    "VARCHAR": lambda pa: pa.string(),
    "BLOB": lambda pa: pa.binary(),
    "INTERVAL": lambda pa: pa.duration("us"),
    "UUID": lambda pa: pa.uuid(),
}


def _arrow_type(pa: Any, tree: HookType, plain: Mapping[str, Callable[[Any], Any]] = _USUAL) -> Any:
    """Return the Arrow type that a function gets its arguments in."""
    match tree:
        case ListOf(element):
            return pa.list_(_arrow_type(pa, element, plain))
        case StructOf(members):
            return pa.struct([(name, _arrow_type(pa, type_, plain)) for name, type_ in members])
        case Plain(name) if name in plain:
            return plain[name](pa)
        case Plain(name):
            return pa.decimal128(*map(int, name[8:-1].split(",")))


def _tree(type_: str) -> HookType:
    tree = parse_hook_type(type_)
    assert tree is not None, type_
    return tree


def _mask(pa: Any, kept: bytes) -> Any:
    return pa.Array.from_buffers(pa.uint8(), len(kept), [None, pa.py_buffer(kept)]).cast(pa.bool_())


def _cells(dtype: str) -> str:
    """Return how our columns hold a dtype: a DATE's days are 32 bits, µs 64."""
    return {"M8[D]": "<i4", "M8[us]": "<i8", "m8[us]": "<i8"}.get(dtype, f"<{dtype}" if dtype != "?" else "?")


def _not_times(np: Any, values: Any) -> Any:
    return np.isnat(np.ma.getdata(values)) if values.dtype.kind in "mM" else False
