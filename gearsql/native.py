"""The door to the module's casts and patterns, so that the portable reader reads what a shard would.

The functions are C (module/cast.h and module/pattern.h, whose comments are the reference); this calls them
through ctypes, an Arrow column at a time. ctypes lets go of the GIL meanwhile.
"""

from __future__ import annotations

import ctypes
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any
from uuid import UUID

import pyarrow as pa

from gearsql.catalog.hook_types import nested_type
from gearsql.catalog.table import KeyTemplate, OnError
from gearsql.catalog.types import enum_values
from gearsql.errors import InterfaceError, InternalError


@dataclass(frozen=True)
class CastResult:
    """A column that was cast.

    `array` is what DuckDB reads as exactly the type, NULL where a value did not fit; `misfits` counts those.
    With on_error 'error' the first one ends the cast: `misfit` is its row, and nothing behind it is cast.
    With 'skip' `misfit_rows` is true for the rows to leave out.
    """

    array: pa.Array
    misfit: int | None
    misfit_rows: pa.Array | None
    misfits: int


@dataclass(frozen=True)
class TemplateMatch:
    """Keys against a template: which ones match, and each placeholder's text ('' where the key does not)."""

    matched: pa.Array
    captures: tuple[pa.Array, ...]


def cast_column(type: str, values: pa.Array, on_error: OnError) -> CastResult:
    """Cast binary values to a canonical type ('DECIMAL(10,2)') by its strict grammar; NULLs stay NULL."""
    tree = nested_type(type)
    if tree is not None:
        return _cast_nested(str(tree), values, on_error)
    kind = _parse_type(type)
    column = _column(values)
    width = _library().gears_cast_arrow_width(ctypes.byref(kind))
    cells, valid, misfits = _zeros(len(values) * width), _bits(len(values)), _bits(len(values))
    out = _CastOutput(cells.address, valid.address, misfits.address, 0)
    stopped = _library().gears_cast_column(
        ctypes.byref(kind), ctypes.byref(column), on_error == "error", ctypes.byref(out)
    )
    _library().gears_cast_free_type(ctypes.byref(kind))
    return CastResult(
        array=_finish(type, values, cells, valid),
        misfit=None if stopped < 0 else stopped,
        misfit_rows=_bit_array(misfits, len(values)) if on_error == "skip" else None,
        misfits=out.misfit_count,
    )


def _cast_nested(type: str, values: pa.Array, on_error: OnError) -> CastResult:
    """Cast by as many calls as it takes; each gives a chunk of DuckDB's."""
    name, column, misfits = type.encode(), _column(values), _zeros(len(values))
    taken = _Taken(misfit=-1, is_misfit=misfits.address)
    pieces: list[pa.Array] = []
    start = 0
    while start < len(values) or not pieces:
        schema, array = _zeros(_SCHEMA_BYTES), _zeros(_ARRAY_BYTES)
        problem = _nested_library().gears_nested_column(
            *(name, len(name), ctypes.byref(column), start, on_error == "error"),
            *(ctypes.byref(taken), schema.address, array.address),
        )
        if problem is not None:
            raise InternalError(f"{type}: {problem.decode()}")
        pieces.append(pa.RecordBatch._import_from_c(array.address, schema.address).column(0))
        start += taken.rows
        if taken.misfit >= 0:
            break
    flags = pa.Array.from_buffers(pa.uint8(), len(values), [None, misfits]).cast(pa.bool_())
    return CastResult(
        array=pa.concat_arrays(pieces),
        misfit=None if taken.misfit < 0 else taken.misfit,
        misfit_rows=flags if on_error == "skip" else None,
        misfits=taken.misfits,
    )


def match_template(template: KeyTemplate, keys: pa.Array) -> TemplateMatch:
    """Match binary keys (less than 2 GB in all) against a key template and take their placeholders' texts."""
    column = _column(keys)
    if keys.nbytes > _MAX_BYTES:
        raise InternalError(f"{keys.nbytes} bytes of keys in one batch")
    places = range(len(template.placeholders))
    offsets = [_zeros(4 * (len(keys) + 1)) for _ in places]
    texts = [_zeros(keys.nbytes) for _ in places]
    matched = _bits(len(keys))
    out = _Captures(
        matched.address,
        (ctypes.c_void_p * len(places))(*(buffer.address for buffer in offsets)),
        (ctypes.c_void_p * len(places))(*(buffer.address for buffer in texts)),
        (_Slice * len(places))(),
    )
    literals = (_Slice * len(template.literals))(*(_Slice(text, len(text)) for text in template.literals))
    count = _library().gears_pattern_captures(
        literals, len(literals), ctypes.byref(column), ctypes.byref(out)
    )
    if count < 0:
        raise InterfaceError("a key template has an empty literal between two placeholders")
    captures = (
        pa.Array.from_buffers(pa.binary(), len(keys), [None, offsets[place], texts[place]])
        for place in places
    )
    return TemplateMatch(_bit_array(matched, len(keys)), tuple(captures))


def glob_match(pattern: bytes, key: bytes) -> bool:
    """Match a key as the server's own SCAN MATCH does."""
    return bool(_library().gears_pattern_match(pattern, len(pattern), key, len(key)))


def json_member(text: bytes, name: bytes) -> bytes | None:
    """Return a JSON object's member as text, None if missing or null; ValueError if the text is no object."""
    room = ctypes.create_string_buffer(len(text) + 1)
    size = ctypes.c_size_t()
    found = _library().gears_text_member(text, len(text), name, len(name), room, ctypes.byref(size))
    if found < 0:
        raise ValueError("no JSON object")
    return room.raw[: size.value] if found else None


# Of the structures of Arrow's C data interface.
_SCHEMA_BYTES, _ARRAY_BYTES = 72, 80
_MAX_BYTES = 2**31 - 1  # Arrow's offsets of binary


class _Type(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("precision", ctypes.c_uint8),
        ("scale", ctypes.c_uint8),
        ("values", ctypes.c_void_p),
    )


class _Slice(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Column(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("validity", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("large", ctypes.c_bool),
    )


class _CastOutput(ctypes.Structure):
    _fields_ = (
        ("values", ctypes.c_void_p),
        ("validity", ctypes.c_void_p),
        ("misfits", ctypes.c_void_p),
        ("misfit_count", ctypes.c_int64),
    )


class _Taken(ctypes.Structure):
    _fields_ = (
        ("rows", ctypes.c_int64),
        ("misfit", ctypes.c_int64),
        ("misfits", ctypes.c_int64),
        ("is_misfit", ctypes.c_void_p),
    )


class _Captures(ctypes.Structure):
    _fields_ = (
        ("matched", ctypes.c_void_p),
        ("offsets", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("texts", ctypes.POINTER(_Slice)),
    )


def library_path() -> Path:
    """Path of the built module: $GEARSQL_MODULE, or the one beside this package."""
    given = os.environ.get("GEARSQL_MODULE")
    built = [Path(given)] if given else sorted(Path(__file__).with_name("_module").glob("gearsql*.so"))
    if not built:
        raise InterfaceError(
            "the module is not built", hint="pip install gearsql, or make build in a checkout"
        )
    return built[0]


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    pointer, size, flag = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_bool
    text = ctypes.c_char_p
    signatures = {
        "gears_cast_parse_type": (flag, [text, size, pointer]),
        "gears_cast_arrow_width": (size, [pointer]),
        "gears_cast_width": (size, [pointer]),
        "gears_cast_value": (flag, [pointer, text, size, pointer]),
        "gears_cast_free_type": (None, [pointer]),
        "gears_cast_column": (ctypes.c_int64, [pointer, pointer, flag, pointer]),
        "gears_text_member": (ctypes.c_int, [text, size, text, size, pointer, pointer]),
        "gears_pattern_captures": (ctypes.c_int64, [pointer, size, pointer, pointer]),
        "gears_pattern_match": (flag, [text, size, text, size]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@cache
def _nested_library() -> ctypes.CDLL:
    """The library with this process's DuckDB, whose vectors nested values are written into."""
    import _duckdb

    library, text, pointer = _library(), ctypes.c_char_p, ctypes.c_void_p
    library.gears_nested_open.restype, library.gears_nested_open.argtypes = text, [text]
    column = library.gears_nested_column
    column.restype = text
    column.argtypes = [text, ctypes.c_size_t, pointer, ctypes.c_int64, ctypes.c_bool, *[pointer] * 3]
    problem = library.gears_nested_open(_duckdb.__file__.encode())
    if problem is not None:
        raise InternalError(problem.decode())
    return library


def _parse_type(type: str) -> _Type:
    kind, name = _Type(), type.encode()
    if not _library().gears_cast_parse_type(name, len(name), ctypes.byref(kind)):
        raise InternalError(f"{type} is not a canonical type")
    return kind


def _column(values: pa.Array) -> _Column:
    large = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    if not large and not pa.types.is_binary(values.type) and not pa.types.is_string(values.type):
        raise InternalError(f"keys and fields are binary, not {values.type}")
    addresses = (None if buffer is None else buffer.address for buffer in values.buffers())
    return _Column(len(values), values.offset, *addresses, large)


def _zeros(size: int) -> pa.Buffer:
    return pa.py_buffer(bytearray(size))


def _bits(count: int) -> pa.Buffer:
    return _zeros((count + 7) // 8)


def _bit_array(bits: pa.Buffer, count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), count, [None, bits])


_STORED = {
    "BOOLEAN": pa.uint8(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "HUGEINT": pa.binary(16),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "UHUGEINT": pa.binary(16),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIME_NS": pa.time64("ns"),
    "TIME WITH TIME ZONE": pa.binary(8),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_S": pa.timestamp("s"),
    "TIMESTAMP_MS": pa.timestamp("ms"),
    "TIMESTAMP_NS": pa.timestamp("ns"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "INTERVAL": pa.month_day_nano_interval(),
    "UUID": pa.binary(16),
}


def _finish(type: str, values: pa.Array, cells: pa.Buffer, valid: pa.Buffer) -> pa.Array:
    """Dress the bytes as the Arrow type that DuckDB reads as `type`; an ENUM it reads as VARCHAR."""
    if type in ("VARCHAR", "BLOB", "JSON"):
        return _same_bytes(type, values, valid)
    if type.startswith("DECIMAL"):
        precision, scale = map(int, type.removeprefix("DECIMAL(").removesuffix(")").split(","))
        return pa.Array.from_buffers(pa.decimal128(precision, scale), len(values), [valid, cells])
    if type.startswith("ENUM("):
        names = enum_values(type)
        positions = pa.Array.from_buffers(_position(len(names)), len(values), [valid, cells])
        return pa.DictionaryArray.from_arrays(positions, pa.array(names, pa.string()))
    stored = pa.Array.from_buffers(_STORED[type], len(values), [valid, cells])
    match type:
        case "BOOLEAN":
            return stored.cast(pa.bool_())
        case "UUID":
            return pa.ExtensionArray.from_storage(pa.uuid(), stored)
        case "HUGEINT" | "UHUGEINT":
            # DuckDB's own name for its 128-bit integers: no Arrow type holds all of them.
            return pa.ExtensionArray.from_storage(pa.opaque(stored.type, type.lower(), "DuckDB"), stored)
        case "TIME WITH TIME ZONE":
            return pa.ExtensionArray.from_storage(pa.opaque(stored.type, "time_tz", "DuckDB"), stored)
    return stored


def _position(count: int) -> pa.DataType:
    return pa.uint8() if count < 2**8 else pa.uint16() if count < 2**16 else pa.uint32()


def _same_bytes(type: str, values: pa.Array, valid: pa.Buffer) -> pa.Array:
    """The values themselves, with the NULLs of the cast."""
    large = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    _, offsets, data = values.buffers()
    if offsets is None:
        offsets = _zeros(8)
    if type == "BLOB":
        read_as = pa.large_binary() if large else pa.binary()
    else:
        read_as = pa.large_string() if large else pa.string()
    start = values.offset * (8 if large else 4)
    array = pa.Array.from_buffers(read_as, len(values), [valid, offsets.slice(start), data])
    return pa.ExtensionArray.from_storage(pa.json_(read_as), array) if type == "JSON" else array


class MisfitTextError(Exception):
    """A text is no value of its column's type."""


def value_reader(type: str) -> Callable[[bytes], Any] | None:
    """Return what casts one text to the Python object that DuckDB would give; None for types without.

    It raises MisfitTextError, and is for one thread at a time.
    """
    # A list of DECIMALs ends otherwise.
    is_decimal = type.startswith("DECIMAL(") and type.endswith(")")
    make = _decimal_of(type) if is_decimal else _MADE.get(type)
    if make is None:
        return None
    kind, cast = _parse_type(type), _library().gears_cast_value
    slot = ctypes.create_string_buffer(16)
    # Kept by the closure: their addresses are all that C is told.
    by_kind, room = ctypes.byref(kind), ctypes.byref(slot)

    def read(text: bytes) -> Any:
        if not cast(by_kind, text, len(text), room):
            raise MisfitTextError
        return make(slot, text)

    return read


def _decimal_of(type: str) -> Callable[[Any, bytes], Any]:
    kind = _parse_type(type)
    width, scale = _library().gears_cast_width(ctypes.byref(kind)), kind.scale

    def make(slot: Any, _: bytes) -> Decimal:
        return Decimal(f"{int.from_bytes(slot.raw[:width], 'little', signed=True)}E-{scale}")

    return make


def _number(form: str) -> Callable[[Any, bytes], Any]:
    unpack = Struct(form).unpack_from
    return lambda slot, _: unpack(slot)[0]


def _moment(slot: Any, _: bytes) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=_MICROS(slot)[0])


_EPOCH = datetime.datetime(1970, 1, 1)
_MICROS = Struct("<q").unpack_from

_MADE: dict[str, Callable[[Any, bytes], Any]] = {
    "BOOLEAN": _number("<?"),
    "TINYINT": _number("<b"),
    "SMALLINT": _number("<h"),
    "INTEGER": _number("<i"),
    "BIGINT": _number("<q"),
    "HUGEINT": lambda slot, _: int.from_bytes(slot.raw, "little", signed=True),
    "UTINYINT": _number("<B"),
    "USMALLINT": _number("<H"),
    "UINTEGER": _number("<I"),
    "UBIGINT": _number("<Q"),
    "FLOAT": _number("<f"),
    "DOUBLE": _number("<d"),
    "DATE": lambda _, text: datetime.date.fromisoformat(text.decode()),
    "TIME": lambda slot, text: _moment(slot, text).time(),
    "TIMESTAMP": _moment,
    "UUID": lambda _, text: UUID(text.decode()),
    "VARCHAR": lambda _, text: text.decode(),
    "BLOB": lambda _, text: text,
}
