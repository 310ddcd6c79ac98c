"""Arrow arrays → our IPC stream → pyarrow: the same rows come back, for all that DuckDB exports."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st


class Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("error", ctypes.c_char * 256),
    )


class ArrowSchema(ctypes.Structure):
    pass


ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.c_void_p),
    ("dictionary", ctypes.POINTER(ArrowSchema)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(ArrowSchema))),
    ("private_data", ctypes.c_void_p),
]


class ArrowArray(ctypes.Structure):
    pass


ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.c_void_p),
    ("children", ctypes.c_void_p),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(ArrowArray))),
    ("private_data", ctypes.c_void_p),
]


class Refused(Exception):
    pass


class Stream:
    """Writes a stream with the C functions."""

    def __init__(self, leafs: ctypes.CDLL) -> None:
        self.leafs = leafs
        for name in ("gears_ipc_schema", "gears_ipc_batch", "gears_ipc_end"):
            getattr(leafs, name).restype = ctypes.c_bool
        self.buffer = Buffer()

    def checked(self, written: bool) -> None:
        if not written:
            raise Refused(self.buffer.error.decode())

    def schema(self, schema: pa.Schema) -> None:
        c = ArrowSchema()
        schema._export_to_c(ctypes.addressof(c))
        try:
            self.checked(self.leafs.gears_ipc_schema(ctypes.byref(c), ctypes.byref(self.buffer)))
        finally:
            c.release(c)

    def batch(self, batch: pa.RecordBatch) -> None:
        schema, array = ArrowSchema(), ArrowArray()
        batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
        try:
            self.checked(
                self.leafs.gears_ipc_batch(
                    ctypes.byref(schema), ctypes.byref(array), ctypes.byref(self.buffer)
                )
            )
        finally:
            array.release(array)
            schema.release(schema)

    def end(self) -> bytes:
        self.checked(self.leafs.gears_ipc_end(ctypes.byref(self.buffer)))
        stream = ctypes.string_at(self.buffer.data, self.buffer.size)
        self.leafs.gears_buffer_free(ctypes.byref(self.buffer))
        return stream


def there_and_back(leafs: ctypes.CDLL, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    stream = Stream(leafs)
    stream.schema(schema)
    for batch in batches:
        stream.batch(batch)
    table = pa.ipc.open_stream(stream.end()).read_all()
    table.validate(full=True)
    return table


def assert_same(leafs: ctypes.CDLL, schema: pa.Schema, batches: list[pa.RecordBatch]) -> None:
    got = there_and_back(leafs, schema, batches)
    expected = pa.Table.from_batches(batches, schema)
    assert got.schema.equals(expected.schema, check_metadata=True)
    assert got.num_rows == expected.num_rows
    for name, mine, theirs in zip(got.column_names, got.columns, expected.columns, strict=True):
        assert mine.to_pylist() == theirs.to_pylist() or mine.equals(theirs), name


def assert_array_travels(leafs: ctypes.CDLL, array: pa.Array) -> None:
    """Whole, sliced at bit offsets, empty."""
    for rows in (array, array.slice(1), array.slice(3, 4), array.slice(0, 0), array.slice(len(array))):
        batch = pa.RecordBatch.from_arrays([rows], ["x"])
        assert_same(leafs, batch.schema, [batch])
        struct = pa.StructArray.from_arrays([array], ["x"]).slice(1)
        sliced = pa.RecordBatch.from_struct_array(struct)
        assert_same(leafs, sliced.schema, [sliced])


INTS = [0, None, 1, 2, None, 5, 6, 7, 100, None, 3]
TEXTS = ["", None, "a", "é" * 40, "x\0y", None, "b", "c", "d", "e", "f"]
LISTS = [[], None, [1, None], [2], None, [3, 4, 5], [], [6], [7], None, [8]]

ARRAYS = {
    **{
        str(t): pa.array(INTS, t)
        for t in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
            *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
            *(pa.float32(), pa.float64(), pa.date32(), pa.time32("s"), pa.time32("ms")),
            *(pa.time64("us"), pa.time64("ns"), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us")),
            *(pa.timestamp("ns"), pa.timestamp("us", "Europe/Vienna"), pa.timestamp("s", "Etc/UTC")),
            *(pa.duration("s"), pa.duration("us"), pa.decimal32(9, 2), pa.decimal64(18, 2)),
            *(pa.decimal128(38, 0), pa.decimal128(10, 2), pa.decimal256(76, 1), pa.null()),
        )
        if t != pa.null()
    },
    "float16": pa.array([float(i or 0) for i in INTS], pa.float16()),
    "date64": pa.array([None if i is None else i * 86_400_000 for i in INTS], pa.date64()),
    "null": pa.nulls(11),
    "bool": pa.array([None if i is None else i % 2 == 0 for i in INTS]),
    "string": pa.array(TEXTS),
    "large_string": pa.array(TEXTS, pa.large_string()),
    "binary": pa.array([None if t is None else t.encode() for t in TEXTS], pa.binary()),
    "large_binary": pa.array([None if t is None else t.encode() for t in TEXTS], pa.large_binary()),
    "fixed_size_binary": pa.array([None if i is None else bytes([i] * 5) for i in INTS], pa.binary(5)),
    "interval": pa.array(
        [None if i is None else (i, -i, i * 10**9) for i in INTS], pa.month_day_nano_interval()
    ),
    "list": pa.array(LISTS),
    "large_list": pa.array(LISTS, pa.large_list(pa.int16())),
    "list of list": pa.array([None if x is None else [x, None, x] for x in LISTS]),
    "fixed_size_list": pa.array([None if i is None else [i, None, i] for i in INTS], pa.list_(pa.int32(), 3)),
    "struct": pa.array([None if i is None else {"a": i, "b": [str(i)], "c": None} for i in INTS]),
    "map": pa.array(
        [None if i is None else [(str(i), i), ("x", None)] for i in INTS], pa.map_(pa.string(), pa.int64())
    ),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "list of dictionary": pa.array(
        [None if t is None else [t, None] for t in TEXTS], pa.list_(pa.dictionary(pa.int8(), pa.string()))
    ),
    "fixed list of bool": pa.array(
        [None if i is None else [i > 2, None] for i in INTS], pa.list_(pa.bool_(), 2)
    ),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1], pa.int8()),
        pa.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 4], pa.int32()),
        [pa.array([1, 2, None, 4, 5, 6]), pa.array(["a", "b", None, "d", "e"])],
        ["i", "s"],
    ),
    "sparse union": pa.UnionArray.from_sparse(
        pa.array([5, 7, 5, 7, 7, 5, 5, 7, 5, 5, 7], pa.int8()),
        [pa.array(INTS), pa.array(TEXTS)],
        ["i", "s"],
        [5, 7],
    ),
    "uuid": pa.array([None if i is None else bytes([i] * 16) for i in INTS], pa.uuid()),
    "bool8": pa.ExtensionArray.from_storage(
        pa.bool8(), pa.array([0, None, 1, 0, 1, 0, 1, 0, 1, 1, 0], pa.int8())
    ),
    "opaque": pa.ExtensionArray.from_storage(
        pa.opaque(pa.int64(), "some type", "some vendor"), pa.array(INTS, pa.int64())
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_whole_sliced_and_empty(leafs: ctypes.CDLL, name: str) -> None:
    assert_array_travels(leafs, ARRAYS[name])


def test_all_at_once_in_several_batches_with_metadata(leafs: ctypes.CDLL) -> None:
    fields = [
        pa.field(name, array.type, metadata={"k": "v", "": "\0"} if i % 2 else None)
        for i, (name, array) in enumerate(ARRAYS.items())
    ]
    schema = pa.schema([*fields, pa.field("sure", pa.int8(), nullable=False)], metadata={"all": "of it"})
    whole = pa.RecordBatch.from_arrays([*ARRAYS.values(), pa.array(range(11), pa.int8())], schema=schema)
    assert_same(leafs, schema, [whole, whole.slice(2, 5), whole.slice(0, 0), whole])


def test_dictionaries_are_replaced_by_the_next_batch(leafs: ctypes.CDLL) -> None:
    batches = [
        pa.RecordBatch.from_arrays([pa.array(values).dictionary_encode()], ["x"])
        for values in (["a", "b", "a"], ["c", None, "a"])
    ]
    assert_same(leafs, batches[0].schema, batches)


def test_no_columns_still_have_rows(leafs: ctypes.CDLL) -> None:
    batch = pa.RecordBatch.from_struct_array(pa.array([{}] * 3, pa.struct([])))
    assert there_and_back(leafs, batch.schema, [batch]).num_rows == 3


@pytest.mark.parametrize(
    ("type", "format"),
    [
        (pa.string_view(), "vu"),
        (pa.binary_view(), "vz"),
        (pa.list_view(pa.int8()), "+vl"),
        (pa.run_end_encoded(pa.int32(), pa.int8()), "+r"),
        (pa.list_(pa.string_view()), "vu"),
    ],
)
def test_an_unknown_format_is_refused_by_name(leafs: ctypes.CDLL, type: pa.DataType, format: str) -> None:
    with pytest.raises(Refused, match=format.replace("+", r"\+")):
        Stream(leafs).schema(pa.schema([("x", type)]))


def test_a_dictionary_of_lists_is_refused(leafs: ctypes.CDLL) -> None:
    with pytest.raises(Refused, match="nested"):
        Stream(leafs).schema(pa.schema([("x", pa.dictionary(pa.int8(), pa.list_(pa.int8())))]))


def test_too_deep_a_type_is_refused(leafs: ctypes.CDLL) -> None:
    deep = pa.int8()
    for _ in range(80):
        deep = pa.list_(deep)
    with pytest.raises(Refused, match="deep"):
        Stream(leafs).schema(pa.schema([("x", deep)]))


def test_a_refusal_leaves_the_bytes_before_it(leafs: ctypes.CDLL) -> None:
    stream = Stream(leafs)
    stream.schema(pa.schema([("x", pa.int8())]))
    size = stream.buffer.size
    with pytest.raises(Refused):
        stream.schema(pa.schema([("x", pa.int8()), ("y", pa.string_view())]))
    assert stream.buffer.size == size
    assert len(pa.ipc.open_stream(stream.end()).schema) == 1


def nested_types() -> st.SearchStrategy[pa.DataType]:
    flat = st.sampled_from(
        [pa.int8(), pa.int64(), pa.bool_(), pa.string(), pa.binary(), pa.null(), pa.decimal128(38, 3)]
    )
    return st.recursive(
        flat,
        lambda inner: st.one_of(
            inner.map(pa.list_),
            inner.map(lambda t: pa.list_(t, 2)),
            st.lists(inner, max_size=3).map(lambda ts: pa.struct([(f"f{i}", t) for i, t in enumerate(ts)])),
            inner.map(lambda t: pa.map_(pa.string(), t)),
        ),
        max_leaves=6,
    )


def values(type: pa.DataType) -> st.SearchStrategy[object]:
    if pa.types.is_map(type):
        some = st.lists(st.tuples(st.text(max_size=3), values(type.item_type)), max_size=3)
    elif pa.types.is_fixed_size_list(type):
        some = st.lists(values(type.value_type), min_size=type.list_size, max_size=type.list_size)
    elif pa.types.is_list(type):
        some = st.lists(values(type.value_type), max_size=3)
    elif pa.types.is_struct(type):
        some = st.fixed_dictionaries({field.name: values(field.type) for field in type})
    elif pa.types.is_boolean(type):
        some = st.booleans()
    elif pa.types.is_string(type):
        some = st.text(max_size=5)
    elif pa.types.is_binary(type):
        some = st.binary(max_size=5)
    elif pa.types.is_decimal(type):
        some = st.decimals(-1000, 1000, places=3)
    elif pa.types.is_null(type):
        return st.none()
    else:
        some = st.integers(-100, 100)
    return st.none() | some


@st.composite
def arrays(draw: st.DrawFn) -> pa.Array:
    type = draw(nested_types())
    return pa.array(draw(st.lists(values(type), max_size=20)), type)


@given(array=arrays(), start=st.integers(0, 20), length=st.integers(0, 20))
def test_any_slice_of_any_nested_array_comes_back(
    leafs: ctypes.CDLL, array: pa.Array, start: int, length: int
) -> None:
    batch = pa.RecordBatch.from_arrays([array.slice(start, length)], ["x"])
    assert_same(leafs, batch.schema, [batch])


DUCKDB_VALUES = """
    true; 1::TINYINT; 1::SMALLINT; 1::INTEGER; 1::BIGINT; 1::HUGEINT; -1::HUGEINT; 1::UTINYINT; 1::USMALLINT;
    1::UINTEGER; 1::UBIGINT; 1::UHUGEINT; 1.5::FLOAT; 1.5::DOUBLE; 1.5::DECIMAL(4,1); 1.5::DECIMAL(9,1);
    1.5::DECIMAL(18,1); 1.5::DECIMAL(38,1); 'x'; repeat('x', 100); 'x'::BLOB; DATE '2024-02-29';
    TIME '01:02:03'; TIME_NS '01:02:03'; TIMESTAMP '2024-02-29 01:02:03.5'; TIMESTAMP_S '2024-02-29';
    TIMESTAMP_MS '2024-02-29'; TIMESTAMP_NS '2024-02-29'; TIMESTAMPTZ '2024-02-29 00:00:00+00';
    '01:02:03+02'::TIMETZ; INTERVAL '1 month 2 days 3 seconds'; 'ba5eba11-0000-0000-0000-000000000001'::UUID;
    '101'::BIT; 123456789012345678901234567890::BIGNUM; NULL; 'a'::mood; [1, NULL]; []; [[1], NULL];
    [1, 2]::INT[2]; ['x', NULL]::VARCHAR[2]; {'a': 1, 'b': {'c': NULL}}; MAP {'a': 1, 'b': NULL};
    union_value(k := 1)::UNION(k INTEGER, s VARCHAR); ['a'::mood]; {'m': 'b'::mood, 'n': 'a'::mood2};
    '{"a": 1}'::JSON; [1::HUGEINT]; {'u': 'ba5eba11-0000-0000-0000-000000000001'::UUID}; 1::VARIANT
"""
DUCKDB_STATES = """
    avg(i); avg(d); stddev(d); var_pop(i); list(s); list(i); string_agg(s, ','); approx_count_distinct(s);
    quantile_cont(d, 0.5); quantile_disc(i, 0.25); median(d); arg_min(s, i); arg_max(i, d); first(s);
    corr(d, i)
"""
TABLE = (
    "CREATE TABLE t AS SELECT i % 7 AS g, i::BIGINT AS i, i / 3 AS d, 'text ' || i AS s FROM range(5000) r(i)"
)


def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET arrow_lossless_conversion = true")
    connection.execute("CREATE TYPE mood AS ENUM ('a', 'b')")
    connection.execute("CREATE TYPE mood2 AS ENUM ('b', 'a', 'ü')")
    connection.execute(TABLE)
    return connection


def duckdb_rows_travel(leafs: ctypes.CDLL, query: str) -> int:
    reader = database().sql(query).to_arrow_reader()
    batches = list(reader)
    assert_same(leafs, reader.schema, batches)
    return sum(batch.num_rows for batch in batches)


@pytest.mark.parametrize("value", [value.strip() for value in DUCKDB_VALUES.split(";")])
def test_a_duckdb_value_travels(leafs: ctypes.CDLL, value: str) -> None:
    with_nulls = f"SELECT CASE WHEN i % 3 = 1 THEN {value} END AS x, {value} AS y FROM range(3000) r(i)"
    assert duckdb_rows_travel(leafs, with_nulls) == 3000


@pytest.mark.parametrize("aggregate", [aggregate.strip() for aggregate in DUCKDB_STATES.split(";")])
def test_an_exported_state_travels(leafs: ctypes.CDLL, aggregate: str) -> None:
    assert duckdb_rows_travel(leafs, f"SELECT g, {aggregate} EXPORT_STATE AS s FROM t GROUP BY g") == 7
    assert duckdb_rows_travel(leafs, f"SELECT {aggregate} EXPORT_STATE AS s FROM t WHERE false") == 1
    assert (
        duckdb_rows_travel(leafs, f"SELECT g, {aggregate} EXPORT_STATE AS s FROM t WHERE false GROUP BY g")
        == 0
    )
