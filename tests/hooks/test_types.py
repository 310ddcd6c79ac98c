"""Values of every type go to a function and come back, in every kind and isolation, here and on shards.

DuckDB's client is the oracle: what it hands out for a value is what a function sees.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.hooks.scene import ROWS, define, native, rows

TYPES = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127", "0"],
    "SMALLINT": ["-32768", "32767", "-1"],
    "INTEGER": ["-2147483648", "2147483647", "7"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807", "-1"],
    "HUGEINT": [
        "'-170141183460469231731687303715884105728'",
        "'170141183460469231731687303715884105727'",
        "18446744073709551616",
        "-1",
    ],
    "UTINYINT": ["0", "255"],
    "USMALLINT": ["0", "65535"],
    "UINTEGER": ["0", "4294967295"],
    "UBIGINT": ["0", "18446744073709551615", "9223372036854775808"],
    "UHUGEINT": ["'340282366920938463463374607431768211455'", "18446744073709551616", "0"],
    "FLOAT": ["'nan'", "'inf'", "'-inf'", "'-0.0'", "3.4028235e38", "1.4e-45", "0.1", "16777217"],
    "DOUBLE": ["'nan'", "'inf'", "'-inf'", "'-0.0'", "1.7976931348623157e308", "5e-324", "0.1", "1e22"],
    "DECIMAL(4,2)": ["-99.99", "99.99", "0.01"],
    "DECIMAL(9,9)": ["0.999999999", "-0.000000001"],
    "DECIMAL(18,6)": ["-999999999999.999999", "0.1"],
    "DECIMAL(38,0)": ["'99999999999999999999999999999999999999'", "-1"],
    "DECIMAL(38,38)": ["'0.99999999999999999999999999999999999999'", "'-0.1'"],
    "VARCHAR": [
        *(
            "''",
            "'é'",
            "'日本 語'",
            "'a' || chr(0) || 'b'",
            "chr(128512) || 'e' || chr(769)",
            "'twelve bytes'",
        ),
        *("'thirteen byte'", "repeat('ß', 30000)", "' \r\n\t'"),
    ],
    "BLOB": ["''::BLOB", "'\\x00\\xFF'::BLOB", "repeat('\\xC3'::BLOB, 20000)", "'abc'::BLOB"],
    "DATE": ["'0001-01-01'", "'9999-12-31'", "'2024-02-29'", "'1969-12-31'"],
    "TIME": ["'00:00:00'", "'23:59:59.999999'", "'12:00:00.000001'"],
    "TIMESTAMP": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"],
    "TIMESTAMP WITH TIME ZONE": ["'1970-01-01 00:00:00+00'", "'2024-07-01 12:00:00.000001+05:30'"],
    "INTERVAL": ["INTERVAL '-3 days -5 seconds'", "INTERVAL '1 day 0.000001 seconds'", "INTERVAL '0 days'"],
    "UUID": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "BIGINT[]": ["[]", "[1, NULL, -9223372036854775808]", "[NULL]", "range(5000)"],
    "VARCHAR[][]": ["[[], NULL, ['é', NULL, repeat('x', 99)]]", "[]"],
    'STRUCT("a b" BIGINT, "s" VARCHAR)': ["{'a b': 1, 's': NULL}", "{'a b': NULL, 's': ''}"],
    'STRUCT("d" DECIMAL(9,2), "l" STRUCT("u" UUID, "z" BLOB)[])[]': [
        "[{'d': 0.01, 'l': [{'u': NULL, 'z': 'z'::BLOB}, NULL]}, NULL]",
        "[{'d': NULL, 'l': []}]",
    ],
}
NAMES = {type_: f"t{number}" for number, type_ in enumerate(TYPES)}

SCALARS = {
    "session": "",
    "process": "ISOLATION process",
    "lists": "VECTORISED",
    "numpy": "VECTORISED USING numpy",
    "arrow": "VECTORISED USING arrow",
}
ISOLATIONS = ("session", "process")

KEEP = """
class {name}:
    def __init__(self):
        self.kept = []

    def accumulate(self, number, value):
        self.kept.append((number, value))

    def merge(self, other):
        self.kept += other.kept

    def finish(self):
        return [value for number, value in sorted(self.kept, key=lambda pair: pair[0])]
"""


def sql_value(type_: str) -> str:
    """SQL over a row's n: each literal in turn, then NULL."""
    literals = TYPES[type_]
    whens = " ".join(f"WHEN {number} THEN ({literal})::{type_}" for number, literal in enumerate(literals))
    return f"(CASE n % {len(literals) + 1} {whens} END)"


def seen(value: Any) -> str:
    """What tells values apart: -0.0 and 0.0, NaNs, Decimals of other scales; UTC has several names."""
    if isinstance(value, list) and any(isinstance(item, datetime.datetime) for item in value):
        return f"[{', '.join(map(seen, value))}]"
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return f"utc {value.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S.%f}"
    return f"{type(value).__name__} {value!r}"


@pytest.fixture(scope="module")
def oracle() -> Iterator[duckdb.DuckDBPyConnection]:
    with native() as connection:
        yield connection


@pytest.fixture(scope="module")
def here(lone: Cluster) -> Iterator[gearsql.Connection]:
    """One server: functions run on it."""
    with gearsql.connect(lone.url, session="types") as connection:
        yield connection


@pytest.fixture(scope="module")
def there(trio: Cluster) -> Iterator[gearsql.Connection]:
    """Three shards: what the merge calls runs in this client."""
    with gearsql.connect(trio.url, session="types") as connection:
        yield connection


def expected(oracle: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(map(seen, row)) for row in sorted(oracle.sql(sql).fetchall(), key=lambda row: row[0])]


def found(connection: gearsql.Connection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(map(seen, row)) for row in sorted(rows(connection, sql), key=lambda row: row[0])]


@pytest.mark.parametrize("form", SCALARS)
@pytest.mark.parametrize("type_", TYPES)
def test_values_go_to_a_function_and_come_back(
    here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection, type_: str, form: str
) -> None:
    name = f"same_{form.replace(' ', '_')}_{NAMES[type_]}"
    define(here, f"{name}(v {type_}) RETURNS {type_}", "return v", SCALARS[form])
    value = sql_value(type_)
    if form == "arrow" and type_.endswith("HUGEINT"):  # Arrow's whole numbers end at 38 digits
        value = f"(n * 10::HUGEINT ** 34)::{type_}"
    answer = here.execute(f"SELECT n, {name}({value}) AS v FROM t")
    native_answer = oracle.sql(f"SELECT n, {value} AS v FROM t")
    assert [column[1] for column in answer.description or ()] == [str(t) for t in native_answer.types]
    assert found(here, f"SELECT n, {name}({value}) AS v FROM t") == expected(
        oracle, f"SELECT n, {value} FROM t"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_a_function_sees_what_duckdbs_client_sees(
    here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection, type_: str
) -> None:
    define(
        here,
        f"seen_{NAMES[type_]}(v {type_}) RETURNS VARCHAR",
        "import datetime\n"
        "if isinstance(v, datetime.datetime) and v.tzinfo is not None:\n"
        "    assert v.utcoffset() == datetime.timedelta(0)\n"
        "    return f'utc {v:%Y-%m-%d %H:%M:%S.%f}'\n"
        "return f'{type(v).__name__} {v!r}'",
        "CALLED ON NULL INPUT",
    )
    value = sql_value(type_)
    answer = sorted(rows(here, f"SELECT n, seen_{NAMES[type_]}({value}) FROM t"))
    assert answer == [
        (number, seen(v)) for number, v in sorted(oracle.sql(f"SELECT n, {value} FROM t").fetchall())
    ]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("type_", TYPES)
def test_values_travel_in_states(
    there: gearsql.Connection, oracle: duckdb.DuckDBPyConnection, type_: str, isolation: str
) -> None:
    name = f"keep_{isolation}_{NAMES[type_]}"
    define(
        there,
        f"{name}(number BIGINT, v {type_}) RETURNS {type_}[]",
        KEEP.format(name=name),
        f"CALLED ON NULL INPUT ISOLATION {isolation}",
        aggregate=True,
    )
    value = sql_value(type_)
    assert "partial states" in "\n".join(
        line for (line,) in rows(there, f"EXPLAIN SELECT k, {name}(n, {value}) FROM t GROUP BY k")
    )
    assert found(there, f"SELECT k, {name}(n, {value}) FROM t GROUP BY k") == expected(
        oracle, f"SELECT k, list({value} ORDER BY n) FROM t GROUP BY k"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_values_come_as_rows(here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection, type_: str) -> None:
    name = f"twice_{NAMES[type_]}"
    define(
        here,
        f"{name}(v {type_}) RETURNS TABLE (place BIGINT, v {type_})",
        "yield 0, v\nyield 1, v",
        "CALLED ON NULL INPUT",
    )
    value = sql_value(type_)
    assert found(here, f"SELECT 2 * n + f.place, f.v FROM t, {name}({value}) AS f") == expected(
        oracle, f"SELECT 2 * n + place, {value} FROM t, range(2) r(place)"
    )


@pytest.mark.parametrize("type_", TYPES)
def test_values_go_to_a_function_of_the_merge(
    there: gearsql.Connection, oracle: duckdb.DuckDBPyConnection, type_: str
) -> None:
    name = f"same_merge_{NAMES[type_]}"
    define(there, f"{name}(v {type_}) RETURNS {type_}", "return v")
    value = sql_value(type_)
    sql = f"SELECT min(n) AS m, {name}(first({value})) FROM t GROUP BY n"
    assert found(there, sql) == expected(oracle, f"SELECT n, {value} FROM t")


def test_every_type_has_enough_rows() -> None:
    assert max(map(len, TYPES.values())) * 7 < ROWS
