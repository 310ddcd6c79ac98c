"""The strict casts against a reference in Python: regexes, int, Decimal, float, datetime."""

from __future__ import annotations

import ctypes
import json
import math
import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gearsql.catalog.types import canonical_type, readable_types
from gearsql.native import cast_column

MISFIT = object()
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
ENUM = "ENUM('1', '', 'true', '1970-01-01')"
DECIMALS = ["DECIMAL(1,0)", "DECIMAL(4,1)", "DECIMAL(4,4)", "DECIMAL(9,2)", "DECIMAL(18,3)", "DECIMAL(38,0)"]
DECIMALS += ["DECIMAL(19,5)", "DECIMAL(38,10)", "DECIMAL(38,38)"]
INTEGER = re.compile(rb"-?(0|[1-9][0-9]*)")
NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
PLAIN_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
DATE = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = re.compile(rb"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
NANOSECONDS = re.compile(rb"(.{19}\.[0-9]{6})([0-9]{1,3})", re.DOTALL)
UNITS = {"TIMESTAMP_S": 10**9, "TIMESTAMP_MS": 10**6, "TIMESTAMP_NS": 1}
ZONE = re.compile(rb"(.*)(?:Z|([+-])(0[0-9]|1[0-5])(?::([0-5][0-9]))?)", re.DOTALL)
TIME_ZONE = re.compile(rb"(.*)(?:Z|([+-])(0[0-9]|1[0-5])(?::([0-5][0-9])(?::([0-5][0-9]))?)?)", re.DOTALL)
COUNT = rb"(0|-?[1-9][0-9]{0,9})"
INTERVAL = re.compile(
    rb"(?=[-0-9])(?:%b years?)?(?:(?: |^)%b months?)?(?:(?: |^)%b days?)?"
    rb"(?:(?: |^)(-?)([0-9]{2}|[1-9][0-9]{2,9}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,6}))?)?"
    % (COUNT, COUNT, COUNT)
)
UUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NAMED = {b"nan": math.nan, b"NaN": math.nan, b"inf": math.inf, b"Infinity": math.inf}
NAMED |= {b"-inf": -math.inf, b"-Infinity": -math.inf}


def read_integer(type: str, text: bytes) -> object:
    low, high = INTEGERS[type]
    fits = INTEGER.fullmatch(text) and text != b"-0" and (low < 0 or text[:1] != b"-")
    return int(text) if fits and low <= int(text) <= high else MISFIT


def read_double(type: str, text: bytes) -> object:
    if text in NAMED:
        return NAMED[text]
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    return MISFIT if math.isinf(value) else value


def read_decimal(type: str, text: bytes) -> object:
    if not PLAIN_NUMBER.fullmatch(text):
        return MISFIT
    precision, scale = map(int, type[8:-1].split(","))
    with localcontext(prec=len(text) + 80):
        value = Decimal(text.decode())
        kept = value.quantize(Decimal(1).scaleb(-scale), ROUND_DOWN)
        return kept if kept == value and abs(kept.scaleb(scale)) < 10**precision else MISFIT


def read_boolean(type: str, text: bytes) -> object:
    return {b"true": True, b"1": True, b"false": False, b"0": False}.get(text.lower(), MISFIT)


def read_date(type: str, text: bytes) -> object:
    try:
        return date.fromisoformat(text.decode()) if DATE.fullmatch(text) else MISFIT
    except ValueError:
        return MISFIT


def read_time(type: str, text: bytes) -> object:
    try:
        return time.fromisoformat(text.decode()) if TIME.fullmatch(text) else MISFIT
    except ValueError:
        return MISFIT


def read_time_ns(type: str, text: bytes) -> object:
    """Nanoseconds since midnight."""
    moment = read_time(type, text[:15])
    if not isinstance(moment, time) or not re.fullmatch(rb"[0-9]{0,3}", text[15:]):
        return MISFIT
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return (seconds * 10**6 + moment.microsecond) * 1000 + int(text[15:].ljust(3, b"0"))


def read_timetz(type: str, text: bytes) -> object:
    """DuckDB's number: microseconds, and below them how far the zone is from the last one, in seconds."""
    found = TIME_ZONE.fullmatch(text)
    moment = read_time(type, found[1]) if found else MISFIT
    if found is None or not isinstance(moment, time):
        return MISFIT
    east = (int(found[3] or 0) * 60 + int(found[4] or 0)) * 60 + int(found[5] or 0)
    micros = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 10**6 + moment.microsecond
    return micros << 24 | 57599 - (-east if found[2] == b"-" else east)


def read_timestamp(type: str, text: bytes) -> object:
    day = read_date(type, text[:10])
    moment = time() if len(text) == 10 else read_time(type, text[11:])
    if day is MISFIT or moment is MISFIT or (len(text) > 10 and text[10:11] not in (b"T", b" ")):
        return MISFIT
    assert isinstance(day, date) and isinstance(moment, time)
    return datetime.combine(day, moment)


def read_units(type: str, text: bytes) -> object:
    """How many units since 1970; what is finer than one is zeros."""
    found = NANOSECONDS.fullmatch(text) if type == "TIMESTAMP_NS" else None
    moment = read_timestamp(type, found[1] if found else text)
    if not isinstance(moment, datetime):
        return MISFIT
    nanoseconds = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000
    value, rest = divmod(nanoseconds + int(found[2].ljust(3, b"0") if found else 0), UNITS[type])
    fits = rest == 0 and nanoseconds // UNITS[type] >= -(2**63) and abs(value) < 2**63 - 1
    return value if fits else MISFIT


def read_timestamptz(type: str, text: bytes) -> object:
    found = ZONE.fullmatch(text)
    local = read_timestamp(type, found[1]) if found and len(found[1]) > 10 else MISFIT
    if found is None or not isinstance(local, datetime):
        return MISFIT
    east = timedelta(hours=int(found[3] or 0), minutes=int(found[4] or 0))
    try:
        return local.replace(tzinfo=UTC) - (-east if found[2] == b"-" else east)
    except OverflowError:
        return MISFIT


def read_interval(type: str, text: bytes) -> object:
    found = INTERVAL.fullmatch(text)
    if not found:
        return MISFIT
    years, months, days = (int(part or 0) for part in found.groups()[:3])
    clock = [int(part or 0) for part in found.groups()[4:7]]
    micros = ((clock[0] * 60 + clock[1]) * 60 + clock[2]) * 10**6 + int((found[8] or b"").ljust(6, b"0"))
    months += years * 12
    fits = -(2**31) <= months < 2**31 and -(2**31) <= days < 2**31 and micros <= (2**63 - 1) // 1000
    if not fits or (found[4] and micros == 0):
        return MISFIT
    return pa.MonthDayNano((months, days, (-micros if found[4] else micros) * 1000))


def read_uuid(type: str, text: bytes) -> object:
    return uuid.UUID(text.decode()) if UUID.fullmatch(text) else MISFIT


def read_text(type: str, text: bytes) -> object:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return MISFIT


def no_constant(name: str) -> object:
    raise ValueError(name)


def read_json(type: str, text: bytes) -> object:
    try:
        json.dumps(json.loads(text.decode(), parse_constant=no_constant), ensure_ascii=False).encode()
        return text.decode()
    except ValueError:
        return MISFIT


REFERENCES: dict[str, Callable[[str, bytes], object]] = {
    **dict.fromkeys(INTEGERS, read_integer),
    **dict.fromkeys(DECIMALS, read_decimal),
    "DOUBLE": read_double,
    "BOOLEAN": read_boolean,
    "DATE": read_date,
    "TIME": read_time,
    "TIME_NS": read_time_ns,
    "TIME WITH TIME ZONE": read_timetz,
    "TIMESTAMP": read_timestamp,
    **dict.fromkeys(UNITS, read_units),
    "TIMESTAMP WITH TIME ZONE": read_timestamptz,
    "INTERVAL": read_interval,
    ENUM: lambda type, text: text.decode() if text in (b"1", b"", b"true", b"1970-01-01") else MISFIT,
    "UUID": read_uuid,
    "VARCHAR": read_text,
    "BLOB": lambda type, text: text,
    "JSON": read_json,
}

EDGES = """
-|+|0|-0|+0|00|01|-01|1|-1|+1| 7|7 |7\t|\n7|0x10|1_000|1,000|1e3|1.0|1.|.1|-.1|-1.5|1.50|1.5000000000|
0.0|-0.0|0.5|99.9|99.99|100|100.0|127|128|-128|-129|255|256|32767|32768|-32768|-32769|65535|65536|
2147483647|2147483648|-2147483648|-2147483649|4294967295|4294967296|9223372036854775807|
9223372036854775808|-9223372036854775808|-9223372036854775809|18446744073709551615|18446744073709551616|
18446744073709551620|99999999999999999999|100000000000000000000|170141183460469231731687303715884105727|
170141183460469231731687303715884105728|-170141183460469231731687303715884105728|
-170141183460469231731687303715884105729|340282366920938463463374607431768211456|
999999999999999999999999999999999999999|99999999999999999999999999999999999999|
100000000000000000000000000000000000000|9999999999999999999999999999999999999999|
0.00000000000000000000000000000000000001|0.99999999999999999999999999999999999999|
0.000000000000000000000000000000000000010|1e400|-1e400|1e-400|1e308|1.7976931348623157e308|
1.7976931348623158e308|1.7976931348623159e308|2.2250738585072014e-308|2.2250738585072011e-308|4.9e-324|
2.4703282292062327e-324|2.4703282292062328e-324|1e22|1e23|1e-22|1e-23|9007199254740993|
9007199254740992e22|9007199254740993.00000000000000000000000000000000001|0.1|0.30000000000000004|
123456789.123456789|1E5|1e+5|1e-5|1e|1e+|1e5.0|e5|1ee5|0e99999999999999999999|1e99999999999999999999|
1e-99999999999999999999|0.0e-5|-0e0|nan|NaN|NAN|-nan|inf|-inf|Inf|+inf|Infinity|-Infinity|infinity|
INFINITY|true|TRUE|tRuE|false|False|t|f|yes|no|y|on|off|truE |TR\0E|2024-02-29|2023-02-29|1900-02-29|
2000-02-29|2100-02-29|0001-01-01|0000-01-01|0004-02-29|9999-12-31|10000-01-01|2024-00-01|2024-13-01|
2024-01-00|2024-01-32|2024-04-31|2024-1-1|2024/01/01|20240101|-2024-01-01|1969-12-31|1970-01-01|
2024-01-01BC|infinity|epoch|00:00:00|23:59:59|23:59:60|24:00:00|12:60:00|1:02:03|01:02|01:02:03.|
01:02:03.1|01:02:03.123456|01:02:03.1234567|01:02:03,5|01-02-03|2024-02-29T01:02:03|
2024-02-29 01:02:03.5|2024-02-29t01:02:03|2024-02-29 01:02|2024-02-29T|2024-02-29  01:02:03|
2024-02-29T01:02:03Z|2024-02-29 01:02:03+00|2024-02-29 01:02:03+02:00|2024-02-29 23:59:60|
1969-12-31 23:59:59.999999|0001-01-01 00:00:00|ba5eba11-0000-0000-0000-000000000001|
BA5EBA11-FFFF-0000-0000-00000000000f|{ba5eba11-0000-0000-0000-000000000001}|
ba5eba110000000000000000000000001|ba5eba11-0000-0000-0000-00000000000g|
ba5eba11-0000-0000-00000-00000000001|ba5eba11+0000-0000-0000-000000000001|
340282366920938463463374607431768211455|2024-02-29T01:02:03.5-15:59|2024-02-29 01:02:03+16|
2024-02-29 01:02:03+2|2024-02-29 01:02:03+0200|2024-02-29 01:02:03 +02|2024-02-29 01:02:03z|2024-02-29Z|
2024-02-29-02|2024-02-29 01:02:03+02:60|2024-02-29 01:02:03+02:|2024-02-29 01:02:03UTC|Z|+02|+02:00|
9999-12-31 23:59:59.999999Z|9999-12-31 23:59:59-00:01|0001-01-01 00:00:00+00|0001-01-01 00:00:00+00:01|
0001-01-01 00:30:00+00:30|2024-02-29 01:02:03.-02|1 year|-1 year|1 years|2 year|
1 year 2 months 3 days 04:05:06.7|-1 year -2 months -3 days -04:05:06.789123|00:00:00|-00:00:00|
-00:00:00.000001|100:00:00|0100:00:00|1:00:00|2562047:47:16.854775|2562047:47:16.854776|
-2562047:47:16.854775|9999999999:00:00|99999999999:00:00|00:60:00|00:00:60|1 day 1 month|1 day  2 days|
1 day |1  day| 1 day|1 day 1|1day|1 dayz|1 days 00:00|+1 day|0 days|-0 days|01 days|1 DAY|
1 month 30 days|14 months|178956970 years 7 months|178956970 years 8 months|2147483647 days|
2147483648 days|-2147483648 days|-2147483649 days|9999999999 years|99999999999 years|1.5 days|1 week|
1 hour|P1Y|1 year00:00:01|1 year -00:00:01|1 year 2 days 00:00:01.|day| day|-|
1 year 2 months 3 days 04:05:06.1234567|1969-12-31 23:59:58.000|2024-02-29T01:02:03.120|
2024-02-29 01:02:03.123456789|2024-02-29 01:02:03.1234567|2024-02-29 01:02:03.1234567890|
2024-02-29 01:02:03.000000000|2024-02-29 01:02:03.123456z|1677-09-21 00:12:43.145225|
1677-09-21 00:12:43.145224193|1677-09-21 00:12:43.145225001|2262-04-11 23:47:16.854775806|
2262-04-11 23:47:16.854775807|2262-04-11 23:47:16.854776|
01:02:03.123456789|01:02:03.12345678|01:02:03.1234567890|01:02:03.123456x|23:59:59.999999999|01:02:03Z|
01:02:03+02|01:02:03.5-02:30|01:02:03+15:59:59|01:02:03-15:59:59|
01:02:03-00:00:15|01:02:03+16|01:02:03+02:60|
01:02:03+02:30:60|01:02:03+02:30:|01:02:03 +02|01:02:03.1234567+00|24:00:00+00|00:00:00+00|01:02:03+-2|
:02:03:04|-02:03:04|1:02:03+02:03:04|01:02:03-00|"""
EDGE_TEXTS = [edge.encode() for edge in EDGES.replace("\n", "").split("|")]
EDGE_TEXTS += [b"1\0", b"\0", b"1\xc2\xb2", "１".encode(), b"1\x80", b"-", b"7\n", b" 7", b"\t7"]
EDGE_TEXTS += [b"0." + b"1" * 2000, b"1" * 400, b"0." + b"0" * 5000 + b"1", b"1" + b"0" * 5000 + b"e-5000"]
EDGE_TEXTS += [b"0." + b"0" * 400 + b"1e400", b"9" * 309, b"9" * 308, b"1." + b"0" * 900 + b"1"]
UTF8_EDGES = [
    *(
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc2\x80",
        b"\xc2\xc0",
        b"\xdf\xbf",
        b"\xe0\x80\x80",
    ),
    *(
        b"\xe0\x9f\xbf",
        b"\xe0\xa0\x80",
        b"\xe0\xa0",
        b"\xed\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xee\x80\x80",
    ),
    *(
        b"\xef\xbf\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf0\x90\x80",
        b"\xf4\x8f\xbf\xbf",
    ),
    *(
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"\xfe",
        b"\xe2\x82",
        b"\xe2\x28\xa1",
        b"\xf0\x28\x8c\xbc",
    ),
]
UTF8_TEXTS = [
    before + edge + after
    for edge in UTF8_EDGES
    for before in (b"", b"abcdefg", b"abcdefgh")
    for after in (b"", b"z" * 9)
]


def cast(type: str, text: bytes) -> object:
    result = cast_column(type, pa.array([text], pa.binary()), "null")
    assert result.misfits == (not result.array.is_valid()[0].as_py())
    if result.misfits:
        return MISFIT
    if type in UNITS:
        return result.array.cast(pa.int64())[0].as_py()
    if type == "TIME_NS":
        return result.array.cast(pa.int64())[0].as_py()
    value = result.array[0].as_py()
    if type.endswith("HUGEINT") or type == "TIME WITH TIME ZONE":
        return int.from_bytes(value, "little", signed=type == "HUGEINT")
    return value


def assert_read_as_reference(type: str, text: bytes) -> None:
    got, expected = cast(type, text), REFERENCES[type](type, text)
    if isinstance(expected, float) and isinstance(got, float):
        assert math.isnan(got) if math.isnan(expected) else bits_of(got) == bits_of(expected)
    else:
        assert got is expected or got == expected, (type, text)


def bits_of(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("type", REFERENCES)
def test_edges_are_read_as_the_grammar_says(type: str) -> None:
    for text in (*EDGE_TEXTS, *UTF8_TEXTS):
        assert_read_as_reference(type, text)


@pytest.mark.parametrize("type", REFERENCES)
@given(text=st.binary(max_size=12) | st.text(max_size=12).map(str.encode))
def test_any_bytes_are_read_as_the_grammar_says(type: str, text: bytes) -> None:
    assert_read_as_reference(type, text)


@pytest.mark.parametrize("type", REFERENCES)
@given(
    text=st.one_of(
        *(
            st.from_regex(p, fullmatch=True)
            for p in (NUMBER, PLAIN_NUMBER, INTEGER, DATE, TIME, UUID, INTERVAL)
        )
    )
)
def test_near_values_are_read_as_the_grammar_says(type: str, text: bytes) -> None:
    assert_read_as_reference(type, text)


@pytest.mark.parametrize("type", INTEGERS)
@given(data=st.data())
def test_integers_around_the_range(type: str, data: st.DataObject) -> None:
    low, high = INTEGERS[type]
    value = data.draw(st.integers(low - 2, high + 2) | st.sampled_from([low - 1, low, high, high + 1]))
    assert cast(type, str(value).encode()) == (value if low <= value <= high else MISFIT)


@pytest.mark.parametrize("type", DECIMALS)
@given(data=st.data())
def test_decimals_around_the_precision(type: str, data: st.DataObject) -> None:
    precision, scale = map(int, type[8:-1].split(","))
    digits = data.draw(st.integers(-(10 ** (precision + 1)), 10 ** (precision + 1)))
    with localcontext(prec=100):
        text = format(Decimal(digits).scaleb(-scale), "f").encode()
    assert_read_as_reference(type, text)
    assert_read_as_reference(type, text + (b"000" if scale else b".000"))


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_survives_its_repr(value: float) -> None:
    assert bits_of(cast("DOUBLE", repr(value).encode())) == bits_of(value)


@settings(max_examples=300)
@given(
    value=st.floats(min_value=0, allow_infinity=False), extra=st.sampled_from(["", "0", "1", "0" * 900 + "1"])
)
def test_a_double_half_way_is_rounded_to_even(value: float, extra: str) -> None:
    """The exact middle of two doubles has up to 767 digits; a digit behind them decides."""
    above = math.nextafter(value, math.inf)
    if math.isinf(above):
        return
    with localcontext(prec=2000):
        middle = format((Decimal(value) + Decimal(above)) / 2, "f")
    text = middle + ("" if "." in middle else ".0") + extra
    assert bits_of(cast("DOUBLE", text.encode())) == bits_of(float(text))


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_not_rounded_twice(value: float) -> None:
    text = repr(value).encode()
    assert bits_of(cast("FLOAT", text)) == bits_of(value)
    above = struct.unpack("<f", struct.pack("<I", struct.unpack("<I", struct.pack("<f", value))[0] + 1))[0]
    if math.isfinite(above) and value > 0:
        with localcontext(prec=400):
            just_over = (Decimal(value) + Decimal(above)) / 2 + Decimal("1e-200")
        assert cast("FLOAT", format(just_over, "f").encode()) == above


@pytest.mark.parametrize("text", [b"3.5e38", b"1e39", b"3.4028235677973367e38"])
def test_a_float_out_of_range_is_a_misfit(text: bytes) -> None:
    assert cast("FLOAT", text) is MISFIT


@example(text=b"a" * 7 + b"\xc3")
@given(
    text=st.binary(max_size=40)
    | st.text(max_size=20).map(str.encode)
    | st.lists(st.sampled_from(UTF8_EDGES)).map(b"".join)
)
def test_utf8_is_what_python_decodes(text: bytes) -> None:
    assert_read_as_reference("VARCHAR", text)


COLUMN = [b"1", None, b"x", b"3", b"", b"-5", None, b"7", b"99999999999", b"10", b"11"]


@pytest.mark.parametrize("arrow_type", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("start", [0, 1, 3, 9, 11])
def test_a_sliced_column_with_nulls_keeps_its_rows(arrow_type: pa.DataType, start: int) -> None:
    values = pa.array(COLUMN, arrow_type).slice(start)
    result = cast_column("INTEGER", values, "skip")
    assert result.array.to_pylist() == [1, None, None, 3, None, -5, None, 7, None, 10, 11][start:]
    assert result.misfit_rows.to_pylist() == [i in (2, 4, 8) for i in range(start, 11)]
    assert result.misfits == sum(i in (2, 4, 8) for i in range(start, 11))
    assert result.misfit is None
    text = cast_column("VARCHAR", values, "null")
    assert text.array.to_pylist() == [None if v is None else v.decode() for v in COLUMN[start:]]


def test_the_first_misfit_ends_the_cast_on_error() -> None:
    result = cast_column("INTEGER", pa.array(COLUMN, pa.binary()), "error")
    assert (result.misfit, result.misfits, result.misfit_rows) == (2, 1, None)
    assert cast_column("INTEGER", pa.array([b"1", None], pa.binary()), "error").misfit is None


@pytest.mark.parametrize("type", [*REFERENCES, "FLOAT"])
def test_duckdb_reads_a_cast_column_as_exactly_the_type(type: str) -> None:
    samples = pa.array([*EDGE_TEXTS, None], pa.binary())
    column = pa.table({"x": cast_column(type, samples, "null").array})
    relation = duckdb.connect().from_arrow(column)
    assert str(relation.types[0]) == ("VARCHAR" if type == ENUM else type)
    fits = [text for text in EDGE_TEXTS if cast(type, text) is not MISFIT]
    assert relation.count("x").fetchall() == [(len(fits),)]


@pytest.mark.parametrize(
    "type",
    [
        *INTEGERS,
        *DECIMALS,
        "DOUBLE",
        "FLOAT",
        "DATE",
        "TIME",
        "TIME_NS",
        "TIME WITH TIME ZONE",
        "TIMESTAMP",
        *UNITS,
        "UUID",
        "BOOLEAN",
        "TIMESTAMP WITH TIME ZONE",
        "INTERVAL",
    ],
)
def test_what_fits_is_what_duckdb_casts(type: str) -> None:
    """DuckDB's cast is lenient; where ours accepts a text, both give the same value."""
    fits = [text for text in EDGE_TEXTS if len(text) < 300 and cast(type, text) is not MISFIT]
    read = pa.table(
        {"x": cast_column(type, pa.array(fits, pa.binary()), "error").array, "t": [f.decode() for f in fits]}
    )
    rows = (
        duckdb.connect()
        .sql(f"SELECT t, x, t::{type} FROM read WHERE x IS DISTINCT FROM t::{type}")
        .fetchall()
    )
    assert rows == [] and read.num_rows > 0


def test_every_readable_type_is_known_by_its_canonical_name(leafs: ctypes.CDLL) -> None:
    leafs.gears_cast_parse_type.restype = ctypes.c_bool
    for name in (*(name for name in readable_types() if name not in ("DECIMAL", "ENUM")), *DECIMALS):
        assert canonical_type(name) == name
        assert leafs.gears_cast_parse_type(
            name.encode(), ctypes.c_size_t(len(name)), ctypes.create_string_buffer(16)
        )


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "INT",
            "bigint",
            "BIGINT ",
            "DECIMAL",
            "DECIMAL()",
            "DECIMAL(10)",
            "DECIMAL(10, 2)",
            "DECIMAL(39,0)",
        ),
        *("DECIMAL(0,0)", "DECIMAL(4,5)", "DECIMAL(100,1)", "DECIMAL(4,1", "DECIMAL(4,1) ", "DECIMAL(-4,1)"),
        *(
            "ENUM()",
            "ENUM('a'",
            "ENUM('a',)",
            "ENUM('a','b')",
            "ENUM('a', 'a')",
            "ENUM('a') ",
            "ENUM('\0')",
            "ENUM(a)",
        ),
    ],
)
def test_other_type_names_are_refused(leafs: ctypes.CDLL, name: str) -> None:
    leafs.gears_cast_parse_type.restype = ctypes.c_bool
    text = name.encode()
    assert not leafs.gears_cast_parse_type(text, ctypes.c_size_t(len(text)), ctypes.create_string_buffer(16))


@pytest.mark.parametrize(
    ("type", "text", "stored"),
    [
        ("BOOLEAN", b"true", b"\1"),
        ("SMALLINT", b"-2", b"\xfe\xff"),
        ("HUGEINT", b"-1", b"\xff" * 16),
        ("DECIMAL(4,1)", b"-1.5", struct.pack("<h", -15)),
        ("DECIMAL(9,2)", b"1.5", struct.pack("<i", 150)),
        ("DECIMAL(18,2)", b"1.5", struct.pack("<q", 150)),
        ("DECIMAL(19,2)", b"-1.5", (-150).to_bytes(16, "little", signed=True)),
        ("DATE", b"1970-01-02", struct.pack("<i", 1)),
        ("TIME", b"00:00:01.5", struct.pack("<q", 1_500_000)),
        ("TIME_NS", b"00:00:01.123456789", struct.pack("<q", 1_123_456_789)),
        ("TIME WITH TIME ZONE", b"00:00:01-00:00:02", struct.pack("<q", 1_000_000 << 24 | 57601)),
        ("TIMESTAMP", b"1969-12-31 23:59:59", struct.pack("<q", -1_000_000)),
        (ENUM, b"true", b"\2"),
        ("TIMESTAMP_S", b"1969-12-31 23:59:59", struct.pack("<q", -1)),
        ("TIMESTAMP_MS", b"1969-12-31 23:59:59.5", struct.pack("<q", -500)),
        ("TIMESTAMP_NS", b"1969-12-31 23:59:59.123456789", struct.pack("<q", -876543211)),
        ("UHUGEINT", b"1", b"\1" + bytes(15)),
        ("TIMESTAMP WITH TIME ZONE", b"1970-01-01 02:00:01+02", struct.pack("<q", 1_000_000)),
        ("INTERVAL", b"1 year 2 days -00:00:01", struct.pack("<iiq", 12, 2, -1_000_000)),
        ("UUID", b"80000000-0000-0000-0000-000000000001", b"\1" + bytes(15)),
        ("UUID", b"00000000-0000-0000-0000-000000000001", b"\1" + bytes(14) + b"\x80"),
    ],
)
def test_a_value_lies_in_a_slot_as_in_duckdbs_vectors(
    leafs: ctypes.CDLL, type: str, text: bytes, stored: bytes
) -> None:
    kind, slot = ctypes.create_string_buffer(16), ctypes.create_string_buffer(b"\xaa" * 17, 17)
    leafs.gears_cast_value.restype = ctypes.c_bool
    leafs.gears_cast_width.restype = ctypes.c_size_t
    assert leafs.gears_cast_parse_type(type.encode(), ctypes.c_size_t(len(type)), kind)
    assert not leafs.gears_cast_value(kind, b"?", ctypes.c_size_t(1), slot)
    assert slot.raw == b"\xaa" * 17
    assert leafs.gears_cast_value(kind, text, ctypes.c_size_t(len(text)), slot)
    assert leafs.gears_cast_width(kind) == len(stored)
    assert slot.raw == stored + b"\xaa" * (17 - len(stored))


@pytest.mark.parametrize("count", [1, 255, 256, 65_535, 65_536])
def test_an_enum_of_any_size_finds_its_values(count: int) -> None:
    values = [f"it's {number}" for number in range(count)]
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    texts = pa.array([*values, "it's", "it''s 0"], pa.string()).cast(pa.binary())
    read = cast_column(f"ENUM({quoted})", texts, "null")
    assert read.misfits == 2
    assert read.array.to_pylist() == [*values, None, None]
