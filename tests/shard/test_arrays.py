"""Vectorised with numpy and pyarrow: arrays in and out, for every type, with NULLs and without."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from gearsql.shard import arrays
from gearsql.shard._mailbox import Column

from .driver import Driver, HookFailed, read, scalar
from .test_session import fails

# A type, values that go in and out, what numpy and pyarrow have them as.
TYPES: list[tuple[str, list[Any], str, str]] = [
    ("BOOLEAN", [True, False], "bool", "bool"),
    ("TINYINT", [-128, 127], "int8", "int8"),
    ("SMALLINT", [-5, 5], "int16", "int16"),
    ("INTEGER", [-5, 5], "int32", "int32"),
    ("BIGINT", [-(2**62), 5], "int64", "int64"),
    ("HUGEINT", [-(2**100), 5], "object", "decimal128(38, 0)"),
    ("UHUGEINT", [2**120, 5], "object", "decimal128(38, 0)"),
    ("UTINYINT", [0, 255], "uint8", "uint8"),
    ("USMALLINT", [0, 5], "uint16", "uint16"),
    ("UINTEGER", [0, 5], "uint32", "uint32"),
    ("UBIGINT", [0, 2**64 - 1], "uint64", "uint64"),
    ("FLOAT", [0.5, -1.0], "float32", "float"),
    ("DOUBLE", [0.1, -1.0], "float64", "double"),
    ("DECIMAL(9,2)", [Decimal("-1.50"), Decimal("0.01")], "object", "decimal128(9, 2)"),
    ("DECIMAL(38,10)", [Decimal("-1.0000000005"), Decimal(2)], "object", "decimal128(38, 10)"),
    ("VARCHAR", ["Grüße", ""], "object", "string"),
    ("BLOB", [b"\0\xff", b""], "object", "binary"),
    ("DATE", [date(1600, 2, 29), date(9999, 12, 31)], "datetime64[D]", "date32[day]"),
    ("TIME", [time(23, 59, 59, 999999), time(0)], "timedelta64[us]", "time64[us]"),
    ("TIMESTAMP", [datetime(1, 1, 1), datetime(2024, 1, 1, 1, 1, 1, 1)], "datetime64[us]", "timestamp[us]"),
    (
        "TIMESTAMP WITH TIME ZONE",
        [datetime(1, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)],
        "datetime64[us]",
        "timestamp[us, tz=UTC]",
    ),
    ("INTERVAL", [timedelta(days=-5, microseconds=7), timedelta(0)], "object", "duration[us]"),
    ("UUID", [UUID(int=5), UUID(int=2**128 - 1)], "object", "extension<arrow.uuid>"),
    ("BIGINT[]", [[1, None], []], "object", "list<item: int64>"),
    ('STRUCT("a" BIGINT)', [{"a": 1}, {"a": None}], "object", "struct<a: int64>"),
    (
        'STRUCT("u" UUID)[]',
        [[{"u": UUID(int=5)}, None], []],
        "object",
        "list<item: struct<u: extension<arrow.uuid>>>",
    ),
]
NUMPY = """
import numpy as np
def same(x):
    assert isinstance(x, np.ndarray) and str(x.dtype) in ({dtype!r}, 'object'), x.dtype
    {check}
    return x
"""
ARROW = """
import pyarrow as pa
def same(x):
    assert isinstance(x, pa.Array) and str(x.type) == {dtype!r}, x.type
    return x
"""


def numpy_function(type_: str, dtype: str, check: str, **options: Any) -> Any:
    source = NUMPY.format(dtype=dtype, check=check)
    return scalar("same", f"x {type_}", type_, source, vectorised="numpy", **options)


@pytest.mark.parametrize(("type_", "values", "dtype", "_"), TYPES)
def test_numpys_arrays_go_in_and_out(
    session: Driver, type_: str, values: list[Any], dtype: str, _: str
) -> None:
    exact = f"assert str(x.dtype) == {dtype!r}, x.dtype"
    session.begin(numpy_function(type_, dtype, exact))
    assert session.call(values) == values
    assert session.call([None, *values, None]) == [None, *values, None]
    session.begin(
        numpy_function(type_, dtype, "assert isinstance(x, np.ma.MaskedArray)", called_on_null=True)
    )
    assert session.call([None, *values, None]) == [None, *values, None]


def test_a_time_of_day_is_microseconds_in_numpy(session: Driver) -> None:
    source = "import numpy as np\nreturn x.astype('i8')"
    session.begin(scalar("micros", "x TIME", "BIGINT", source, vectorised="numpy"))
    assert session.call([time(0, 0, 1, 5), None]) == [1_000_005, None]
    session.begin(scalar("later", "x TIME", "TIME", "return x + x", vectorised="numpy"))
    assert session.call([time(11, 0, 0, 1)]) == [time(22, 0, 0, 2)]
    with pytest.raises(HookFailed, match="TIME needs a time without a time zone, not"):
        session.call([time(12)])


@pytest.mark.parametrize(("type_", "values", "_", "dtype"), TYPES)
@pytest.mark.parametrize("called_on_null", [False, True])
def test_pyarrows_arrays_go_in_and_out(
    session: Driver, type_: str, values: list[Any], _: str, dtype: str, called_on_null: bool
) -> None:
    source = ARROW.format(dtype=dtype)
    session.begin(
        scalar("same", f"x {type_}", type_, source, vectorised="arrow", called_on_null=called_on_null)
    )
    assert session.call(values) == values
    assert session.call([None, *values, None]) == [None, *values, None]


@pytest.mark.parametrize(
    ("type_", "source", "wanted"),
    [
        ("BIGINT", "return np.array([1, 2], 'i1')", [1, 2]),
        ("TINYINT", "return np.array([1, 2])", [1, 2]),
        ("TINYINT", "return np.array([1, 300])", "300 is out of the range of TINYINT"),
        ("UBIGINT", "return np.array([1, -1])", "-1 is out of the range of UBIGINT"),
        ("BIGINT", "return np.array([1.0, 2.0])", "BIGINT needs an int, not float: 1.0"),
        ("BIGINT", "return np.array([True, False])", "BIGINT needs an int, not bool"),
        ("DOUBLE", "return np.array([1, 2])", [1.0, 2.0]),
        ("DOUBLE", "return np.array([1, 2], 'f4')", [1.0, 2.0]),
        ("FLOAT", "return np.array([0.5, 2])", [0.5, 2.0]),
        ("FLOAT", "return np.array([1e300, 2])", r"1e\+300 is out of the range of FLOAT"),
        ("BOOLEAN", "return x > 1", [False, True]),
        ("VARCHAR", "return np.array(['a', 'b'])", ["a", "b"]),
        ("VARCHAR", "return np.char.add(x.astype(str), '!')", ["1!", "2!"]),
        ("DATE", "return np.array(['2024-01-01', 'NaT'], 'M8[D]')", [date(2024, 1, 1), None]),
        (
            "DATE",
            "return np.array(['2024-01-01T00', '2024-01-02T00'], 'M8[ns]')",
            [date(2024, 1, 1), date(2024, 1, 2)],
        ),
        (
            "TIMESTAMP",
            "return np.array(['2024-01-01T00:00:00.000000001'] * 2, 'M8[ns]')",
            [datetime(2024, 1, 1)] * 2,
        ),
        (
            "TIMESTAMP",
            "return np.array(['2024-01-01', '2024-01-02'], 'M8[D]')",
            [datetime(2024, 1, 1), datetime(2024, 1, 2)],
        ),
        ("TIMESTAMP", "return np.array([2**62, 0]).astype('M8[us]')", "."),
        ("BIGINT[]", "return np.stack([x, x], 1)", [[1, 1], [2, 2]]),
        ("BIGINT", "return np.ma.MaskedArray([1, 2], [True, False])", [None, 2]),
        ("BIGINT", "return [1, np.int8(2)]", [1, 2]),
        ("BIGINT", "return x[:1]", "returned 1 values for 2 rows"),
        ("BIGINT", "return np.array(5)", "returned ndarray"),
        ("BIGINT", "x += 1; return x", [2, 3]),
    ],
)
def test_what_numpy_returns(session: Driver, type_: str, source: str, wanted: Any) -> None:
    source = f"import numpy as np\n{source}"
    session.begin(scalar("f", "x BIGINT", type_, source, vectorised="numpy"))
    if isinstance(wanted, str):
        with pytest.raises(HookFailed, match=wanted) as caught:
            session.call([1, 2])
        assert caught.value.told["kind"] == "result"
    else:
        assert session.call([1, 2]) == wanted
        assert session.call([1, None, 2]) == [wanted[0], None, wanted[1]]


@pytest.mark.parametrize(
    ("type_", "source", "wanted"),
    [
        ("BIGINT", "return pa.array([1, 2], pa.int8())", [1, 2]),
        ("TINYINT", "return pa.array([1, 300])", "300 is out of the range of TINYINT"),
        ("BIGINT", "return pa.array([1.0, 2.0])", "BIGINT needs an int, not float: 1.0"),
        ("DOUBLE", "return pa.array([1, 2])", [1.0, 2.0]),
        ("DOUBLE", "return pa.array([2**60 + 1, 2])", [float(2**60 + 1), 2.0]),
        ("FLOAT", "return pa.array([1e300, 2])", r"1e\+300 is out of the range of FLOAT"),
        ("BOOLEAN", "return pc.greater(x, 1)", [False, True]),
        ("VARCHAR", "return pa.array(['a', 'b'], pa.large_string())", ["a", "b"]),
        ("VARCHAR", "return pa.array(['a', 'b']).dictionary_encode()", ["a", "b"]),
        ("VARCHAR", "return pa.array(['x', 'a', 'b', 'y']).slice(1, 2)", ["a", "b"]),
        ("VARCHAR", "return pa.chunked_array([['a'], ['b']])", ["a", "b"]),
        ("VARCHAR", "return pa.array([b'\\xff', b'b']).view(pa.string())", "can't decode"),
        ("BIGINT", "return pa.array([0, 1, None, 7]).slice(1, 2)", [1, None]),
        ("DATE", "return pa.array([0, 2**31 - 1], pa.int32()).view(pa.date32())", "."),
        ("TIMESTAMP", "return pa.array([0, 2**62]).view(pa.timestamp('us'))", "."),
        (
            "TIMESTAMP",
            "return pa.array([0, 10**9]).view(pa.timestamp('ns'))",
            [datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 0, 1)],
        ),
        ("TIMESTAMP", "return pa.array([0, 0]).view(pa.timestamp('us', 'UTC'))", "without a time zone"),
        (
            "DECIMAL(4,1)",
            "from decimal import Decimal as D\nreturn pa.array([D('1.25'), D('1.2')])",
            [Decimal("1.3"), Decimal("1.2")],
        ),
        ("BIGINT", "return pa.nulls(2)", [None, None]),
        ("BIGINT", "return [1, 2]", [1, 2]),
        ("BIGINT", "return x[:1]", "returned 1 values for 2 rows"),
    ],
)
def test_what_pyarrow_returns(session: Driver, type_: str, source: str, wanted: Any) -> None:
    source = f"import pyarrow as pa, pyarrow.compute as pc\n{source}"
    session.begin(scalar("f", "x BIGINT", type_, source, vectorised="arrow"))
    if isinstance(wanted, str):
        with pytest.raises(HookFailed, match=wanted) as caught:
            session.call([1, 2])
        assert caught.value.told["kind"] == "result"
    else:
        assert session.call([1, 2]) == wanted
        assert session.call([1, None, 2]) == [wanted[0], None, wanted[1]]


@pytest.mark.parametrize("library", ["numpy", "arrow"])
def test_a_batch_that_fails_is_forgiven_row_by_row(session: Driver, library: str) -> None:
    source = "import numpy as np\nif 0 in [int(v) for v in x]: raise ZeroDivisionError\nreturn x"
    session.begin(scalar("f", "x BIGINT", "TINYINT", source, vectorised=library, on_error="null"))
    assert session.call([1, 0, None, 5]) == [1, None, None, 5]
    assert session.call([1, 500, 5]) == [1, None, 5]
    assert session.end() == 2


def test_an_error_tells_the_batch(session: Driver) -> None:
    session.begin(scalar("f", "x BIGINT", "BIGINT", "return x.no_such", vectorised="numpy"))
    told = fails(session, [1, 2])
    assert (told["row"], told["type"]) == (None, "AttributeError")
    assert told["arguments"] == [["x", "array([1, 2])"]]


@pytest.mark.parametrize(
    ("type_", "array"),
    [
        (
            "HUGEINT",
            pa.ExtensionArray.from_storage(
                pa.opaque(pa.binary(16), "hugeint", "DuckDB"),
                pa.array([b"\5" + bytes(15), b"\xff" * 16], pa.binary(16)),
            ),
        ),
        ("UUID", arrays.arrow_array(pa, [UUID(int=5), None], "UUID")),
        ("VARCHAR", pa.array(["a", None, "c"])),
        ("VARCHAR", pa.array(["a", None, "c"], pa.string_view())),
        ("BIGINT", pa.array([1, None, 3])),
    ],
)
def test_what_duckdb_gives_fills_a_column(type_: str, array: Any) -> None:
    column = Column(type_)
    wanted = arrays.objects(type_, array)
    if not arrays.fill(pa, column, type_, array):
        column.extend(wanted)
    assert read(type_, column.tobytes(), len(array)) == wanted
