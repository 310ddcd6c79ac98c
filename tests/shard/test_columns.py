"""Python values → a column → Python values: what fits comes back equal, and what does not is named."""

from __future__ import annotations

import math
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearsql.shard._mailbox import Column, Rows

from .driver import column, read

INTEGERS = {
    **{
        name: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        for name, bits in {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}.items()
    },
    **{
        name: (0, 2**bits - 1)
        for name, bits in {
            "UTINYINT": 8,
            "USMALLINT": 16,
            "UINTEGER": 32,
            "UBIGINT": 64,
            "UHUGEINT": 128,
        }.items()
    },
}
DECIMALS = [
    "DECIMAL(1,0)",
    "DECIMAL(4,4)",
    "DECIMAL(9,2)",
    "DECIMAL(18,3)",
    "DECIMAL(38,0)",
    "DECIMAL(38,38)",
]
OFFSETS = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))


def decimals(type_: str) -> st.SearchStrategy[Decimal]:
    precision, scale = map(int, type_[8:-1].split(","))
    digits = st.integers(0, 10**precision - 1).map(lambda number: tuple(map(int, str(number))))
    return st.builds(lambda sign, of: Decimal((sign, of, -scale)), st.integers(0, 1), digits)


PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    **{name: st.integers(*limits) for name, limits in INTEGERS.items()},
    "FLOAT": st.floats(width=32),
    "DOUBLE": st.floats(),
    "VARCHAR": st.text(),
    "BLOB": st.binary(),
    "DATE": st.dates(),
    "TIME": st.times(),
    "TIMESTAMP": st.datetimes(),
    "TIMESTAMP WITH TIME ZONE": st.datetimes(timezones=st.just(UTC)),
    "INTERVAL": st.timedeltas(),
    "UUID": st.uuids(),
}


def same(left: Any, right: Any) -> bool:
    """Equal, NaN to itself, and of one type."""
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def nested(depth: int) -> st.SearchStrategy[tuple[str, st.SearchStrategy[Any]]]:
    """A type and its values, NULLs among them."""
    plain = st.sampled_from(sorted(PLAIN)).map(lambda name: (name, PLAIN[name]))
    if depth == 0:
        return plain
    inner = nested(depth - 1)
    names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)

    def lists(of: tuple[str, st.SearchStrategy[Any]]) -> tuple[str, st.SearchStrategy[Any]]:
        return f"{of[0]}[]", st.lists(st.none() | of[1], max_size=4)

    def structs(
        of: list[tuple[str, tuple[str, st.SearchStrategy[Any]]]],
    ) -> tuple[str, st.SearchStrategy[Any]]:
        members = ", ".join('"' + name.replace('"', '""') + f'" {inner[0]}' for name, inner in of)
        return f"STRUCT({members})", st.fixed_dictionaries({name: st.none() | inner[1] for name, inner in of})

    members = st.lists(st.tuples(names, inner), min_size=1, max_size=3, unique_by=lambda member: member[0])
    return plain | inner.map(lists) | members.map(structs)


@given(nested(3), st.data())
def test_what_fits_comes_back_equal(typed: tuple[str, st.SearchStrategy[Any]], data: st.DataObject) -> None:
    type_, values = typed
    given = data.draw(st.lists(st.none() | values, max_size=130))
    back = read(type_, column(type_, given).tobytes(), len(given))
    assert same(given, back)


@pytest.mark.parametrize("type_", DECIMALS)
@given(st.data())
def test_decimals_come_back_with_their_scale(type_: str, data: st.DataObject) -> None:
    given = data.draw(st.lists(decimals(type_)))
    back = read(type_, column(type_, given).tobytes(), len(given))
    scale = int(type_[8:-1].split(",")[1])
    assert back == given and all(value.as_tuple().exponent == -scale for value in back)


@given(
    st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))),
    st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-1000, 1000, places=7),
)
def test_a_decimal_is_rounded_half_away_from_zero_or_out_of_range(
    shape: tuple[int, int], value: Decimal
) -> None:
    precision, scale = shape
    with localcontext(prec=2000, Emax=10**6, Emin=-(10**6)):
        try:
            wanted = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        except ArithmeticError:
            wanted = None
        if wanted is not None and abs(wanted) >= Decimal(10) ** (precision - scale):
            wanted = None
    type_ = f"DECIMAL({precision},{scale})"
    if wanted is None:
        with pytest.raises(OverflowError, match="out of the range"):
            column(type_, [value])
    else:
        assert read(type_, column(type_, [value]).tobytes(), 1) == [wanted]


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_in_range_or_refused(name: str) -> None:
    least, most = INTEGERS[name]
    assert read(name, column(name, [least, most]).tobytes(), 2) == [least, most]
    for beyond in (least - 1, most + 1, 10**60, -(10**60)):
        with pytest.raises(OverflowError, match=f"is out of the range of {name}"):
            column(name, [beyond])


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("BIGINT", True, "BIGINT needs an int, not bool: True"),
        ("BIGINT", 1.0, "BIGINT needs an int, not float: 1.0"),
        ("BIGINT", "1", "BIGINT needs an int, not str: '1'"),
        ("BOOLEAN", 1, "BOOLEAN needs a bool, not int: 1"),
        ("DOUBLE", True, "DOUBLE needs a float or an int, not bool"),
        ("DOUBLE", Decimal(1), "DOUBLE needs a float or an int, not decimal.Decimal"),
        ("DOUBLE", "1", "DOUBLE needs a float or an int, not str"),
        ("DECIMAL(4,2)", 1.5, r"DECIMAL\(4,2\) needs a Decimal or an int, not float: 1.5"),
        ("DECIMAL(4,2)", Decimal("nan"), "needs a Decimal or an int, not decimal.Decimal"),
        ("DECIMAL(4,2)", Decimal("-inf"), "needs a Decimal or an int, not decimal.Decimal"),
        ("VARCHAR", b"x", "VARCHAR needs a str, not bytes"),
        ("VARCHAR", 5, "VARCHAR needs a str, not int: 5"),
        ("BLOB", "x", "BLOB needs bytes, not str"),
        ("DATE", datetime(2024, 1, 1), "DATE needs a date"),
        ("TIME", time(1, tzinfo=UTC), "TIME needs a time without a time zone"),
        ("TIMESTAMP", date(2024, 1, 1), "TIMESTAMP needs a datetime without"),
        ("TIMESTAMP", datetime(2024, 1, 1, tzinfo=UTC), "TIMESTAMP needs a datetime without"),
        ("TIMESTAMP WITH TIME ZONE", datetime(2024, 1, 1), "needs a datetime with a time zone"),
        ("INTERVAL", 5, "INTERVAL needs a timedelta"),
        ("UUID", "x", "UUID needs a UUID"),
        ("BIGINT[]", "12", r"BIGINT\[\] needs a list, not str"),
        ("BIGINT[]", {1}, r"BIGINT\[\] needs a list, not set"),
        ("BIGINT[]", 1, r"BIGINT\[\] needs a list, not int"),
        ("BIGINT[]", [1, "2"], "BIGINT needs an int, not str: '2'"),
        ('STRUCT("a" BIGINT)', [1], "needs a dict or a tuple"),
        ('STRUCT("a" BIGINT)', {}, "needs the key 'a'"),
        ('STRUCT("a" BIGINT)', {"a": 1, "b": 2}, "has no member 'b'"),
        ('STRUCT("a" BIGINT)', (1, 2), "needs 1 values, not 2"),
    ],
)
def test_what_is_of_another_kind_is_refused_by_name(type_: str, value: object, message: str) -> None:
    found = Column(type_)
    with pytest.raises(TypeError, match=message):
        found.append(value)
    assert len(found) == 0


def test_a_value_that_is_refused_leaves_the_column_as_it_was() -> None:
    type_ = 'STRUCT("a" BIGINT[], "b" VARCHAR)'
    found = column(type_, [{"a": [1, 2], "b": "x"}])
    for bad in ({"a": [3, 4, "5"], "b": "y"}, {"a": [6], "b": 7}, {"a": [8]}):
        with pytest.raises(TypeError):
            found.append(bad)
    found.append({"a": [9], "b": "z"})
    assert read(type_, found.tobytes(), 2) == [{"a": [1, 2], "b": "x"}, {"a": [9], "b": "z"}]


def test_what_is_like_a_value_is_one() -> None:
    np = pytest.importorskip("numpy")
    assert read("BIGINT", column("BIGINT", [np.int8(5)]).tobytes(), 1) == [5]
    assert read("DOUBLE", column("DOUBLE", [np.float32(0.5), 3]).tobytes(), 2) == [0.5, 3.0]
    assert read("BOOLEAN", column("BOOLEAN", [np.True_]).tobytes(), 1) == [True]
    assert read("BIGINT[]", column("BIGINT[]", [np.arange(3), range(2), (1,)]).tobytes(), 3) == [
        [0, 1, 2],
        [0, 1],
        [1],
    ]
    assert read("BLOB", column("BLOB", [bytearray(b"a"), memoryview(b"b")]).tobytes(), 2) == [b"a", b"b"]
    assert read(
        'STRUCT("a" BIGINT, "b" VARCHAR)', column('STRUCT("a" BIGINT, "b" VARCHAR)', [(1, "x")]).tobytes(), 1
    ) == [{"a": 1, "b": "x"}]


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=OFFSETS))
def test_a_time_with_any_zone_is_that_time_in_utc(value: datetime) -> None:
    type_ = "TIMESTAMP WITH TIME ZONE"
    [back] = read(type_, column(type_, [value]).tobytes(), 1)
    assert back == value and back.tzinfo is UTC


def test_a_time_that_leaves_the_years_in_utc_is_refused() -> None:
    with pytest.raises(OverflowError, match="in UTC"):
        column("TIMESTAMP WITH TIME ZONE", [datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))])


@pytest.mark.parametrize(
    ("type_", "cell"),
    [
        ("DATE", struct.pack("<i", 2**31 - 1)),
        ("DATE", struct.pack("<i", -(2**31) + 2)),
        ("TIME", struct.pack("<q", 86_400_000_000)),
        ("TIMESTAMP", struct.pack("<q", 2**63 - 1)),
        ("TIMESTAMP WITH TIME ZONE", struct.pack("<q", -(2**63) + 1)),
        ("INTERVAL", struct.pack("<iiq", 1, 0, 0)),
        ("INTERVAL", struct.pack("<iiq", 0, 2**31 - 1, 2**63 - 1)),
    ],
)
def test_what_python_has_no_value_for_is_named(type_: str, cell: bytes) -> None:
    found = Rows((type_,))
    found.load(struct.pack("<Q", 1) + cell.ljust(8, b"\0"), 1)
    with pytest.raises(OverflowError, match=f"{type_.split()[0]}"):
        found.column(0)
    assert (found.failed, found.phase) == (0, "argument")


@pytest.mark.parametrize(
    "type_", ["", "BIGINT ", "bigint", "STRUCT()", 'STRUCT("a")', "[]", "DECIMAL(39,0)", "LIST"]
)
def test_a_type_is_canonical_or_refused(type_: str) -> None:
    with pytest.raises(ValueError, match="is not a type"):
        Column(type_)


def test_types_nest_sixteen_deep() -> None:
    Column("BIGINT" + "[]" * 15)
    with pytest.raises(ValueError, match="is not a type"):
        Column("BIGINT" + "[]" * 16)


@given(nested(2), st.integers(0, 200), st.binary(max_size=200), st.data())
def test_a_hostile_message_is_refused_or_read(
    typed: tuple[str, Any], rows: int, noise: bytes, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.none() | typed[1], max_size=20))
    text = bytearray(column(typed[0], values).tobytes())
    for _ in range(data.draw(st.integers(0, 4))):
        if text:
            text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    for message in (bytes(text), bytes(text[: len(text) // 2]), noise):
        for count in (len(values), rows, 2**63):
            found = Rows((typed[0],))
            try:
                found.load(message, count)
                found.column(0)
                found.buffers(0)
            except (ValueError, OverflowError, UnicodeDecodeError):
                pass


def test_rows_without_nulls_are_kept() -> None:
    found = Rows(("BIGINT", "VARCHAR"))
    text = column("BIGINT", [1, None, 3, 4]).tobytes() + column("VARCHAR", ["a", "b", None, "d"]).tobytes()
    found.load(text, 4)
    assert found.kept() == b"\1\0\0\1"
    assert (found.column(0, True), found.column(1, True)) == ([1, 4], ["a", "d"])
    assert [found.row(row) for row in range(4)] == [(1, "a"), (None, "b"), (3, None), (4, "d")]


def test_scattered_values_have_nulls_between() -> None:
    found = Column("BIGINT")
    found.scatter([1, 4], b"\1\0\0\1")
    assert read("BIGINT", found.tobytes(), 4) == [1, None, None, 4]


@pytest.mark.parametrize("type_", sorted(PLAIN))
@given(st.data())
def test_buffers_fill_a_column(type_: str, data: st.DataObject) -> None:
    given = data.draw(st.lists(st.none() | PLAIN[type_], max_size=100))
    rows, back = Rows((type_,)), Column(type_)
    rows.load(column(type_, given).tobytes(), len(given))
    buffers = rows.buffers(0)
    assert buffers is not None
    back.fill(len(given), *buffers)
    assert back.tobytes() == column(type_, given).tobytes()


@pytest.mark.parametrize(
    ("type_", "buffers"),
    [
        ("BOOLEAN", (b"\1", None, b"\2")),
        ("DATE", (b"\1", None, struct.pack("<i", 2**31 - 1))),
        ("TIME", (b"\1", None, struct.pack("<q", -1))),
        ("TIMESTAMP", (b"\1", None, struct.pack("<q", 2**63 - 1))),
        ("DECIMAL(2,1)", (b"\1", None, struct.pack("<h", 100))),
        ("VARCHAR", (b"\1", struct.pack("<QQ", 0, 1), b"\xff")),
        ("VARCHAR", (b"\1", struct.pack("<QQ", 0, 2), b"x")),
        ("VARCHAR", (b"\1", struct.pack("<QQ", 1, 1), b"x")),
        ("VARCHAR", (b"\1", None, b"x")),
        ("BIGINT", (b"\1", None, b"x")),
        ("BIGINT", (b"", None, b"12345678")),
        ("BIGINT[]", (b"\1", struct.pack("<QQ", 0, 0), b"")),
    ],
)
def test_buffers_that_are_no_cells_are_refused(
    type_: str, buffers: tuple[bytes, bytes | None, bytes]
) -> None:
    found = Column(type_)
    with pytest.raises((ValueError, OverflowError)):
        found.fill(1, *buffers)
    assert len(found) == 0


def test_uuids_are_whole() -> None:
    [back] = read("UUID", column("UUID", [UUID(int=5)]).tobytes(), 1)
    assert str(back) == "00000000-0000-0000-0000-000000000005" and hash(back) == hash(UUID(int=5))
    assert repr(back) == repr(UUID(int=5)) and back.is_safe is UUID(int=5).is_safe
