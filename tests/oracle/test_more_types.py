"""Columns of DuckDB's rarer types: written in every way, read and asked as DuckDB's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import gearsql
from gearsql.errors import DataError, MisfitError
from tests.oracle.cases import Case
from tests.oracle.judge import Oracle, ask, judge

# name → type, value of the n-th row
TYPES = {
    "s": ("TIMESTAMP_S", "(TIMESTAMP '1969-12-31 23:59:55' + INTERVAL (n % 11) SECOND)::TIMESTAMP_S"),
    "ms": ("TIMESTAMP_MS", "(TIMESTAMP '1969-12-31 23:59:59.99' + INTERVAL (n) MILLISECOND)::TIMESTAMP_MS"),
    "ns": ("TIMESTAMP_NS", "make_timestamp_ns(n::BIGINT * 1234567891 - 20000000000)"),
    "tz": (
        "TIME WITH TIME ZONE",
        "(['01:02:03.5+02:30', '00:00:00-15:59:59', '23:59:59.999999+00', '01:02:03+15'][1 + n % 4])::TIMETZ",
    ),
    "ar": (
        "INTEGER[3]",
        "(CASE n % 3 WHEN 0 THEN [n, NULL, 3] WHEN 1 THEN [NULL, NULL, NULL] ELSE [1, 2, n % 5] END)"
        "::INTEGER[3]",
    ),
    "aa": (
        'STRUCT("v" VARCHAR, "d" DOUBLE[2])[2]',
        "[{'v': 'x' || n % 4, 'd': [n / 8, 'inf'::DOUBLE]}, NULL]::STRUCT(v VARCHAR, d DOUBLE[2])[2]",
    ),
    "mi": ("MAP(INTEGER, DATE)", "MAP {n % 5: DATE '2024-02-29' + (n % 4)::INTEGER, -1: NULL}"),
    "md": (
        "MAP(TIMESTAMP, MAP(DECIMAL(4,1), VARCHAR))",
        "MAP {TIMESTAMP '2024-02-29 01:02:03.5': MAP {0.5: 'x' || n % 3, -1: NULL}}"
        "::MAP(TIMESTAMP, MAP(DECIMAL(4,1), VARCHAR))",
    ),
    "tn": ("TIME_NS", "(['00:00:00', '23:59:59.999999999', '01:02:03.1200005'][1 + n % 3])::TIME_NS"),
}
COLUMNS = "n INTEGER, g INTEGER, " + ", ".join(f"{name} {type_}" for name, (type_, _) in TYPES.items())
VALUES = {
    name: f"CASE WHEN n % {4 + at} > 0 THEN {value} END"
    for at, (name, (_, value)) in enumerate(TYPES.items())
}
ROWS = f"SELECT n::INTEGER, (n % 3)::INTEGER, {', '.join(VALUES.values())} FROM range(40) t(n)"
ALL = f"SELECT n, g, {', '.join(f'{name}::VARCHAR' for name in TYPES)} FROM rare ORDER BY n"
OF_EACH = [
    "SELECT n, {0}, {0}::VARCHAR, typeof({0}) FROM rare ORDER BY n",
    "SELECT {0}, count(*), count(n), any_value(g ORDER BY n) FROM rare GROUP BY {0}",
    "SELECT g, max({0}), min({0}), count({0}), count(DISTINCT {0}), max({0}, 2) FROM rare GROUP BY g",
    "SELECT g, arg_max({0}, n), arg_max(n, {0}) IS NULL, list({0} ORDER BY n), first({0} ORDER BY n), "
    "any_value({0} ORDER BY n) FROM rare GROUP BY g",
    "SELECT n, {0} FROM rare WHERE g = 1 ORDER BY {0} DESC NULLS FIRST, n LIMIT 5",
    "SELECT count(*), sum(a.n) FROM rare a JOIN rare b ON a.{0} = b.{0} AND a.n < b.n",
    "SELECT DISTINCT {0} FROM rare WHERE {0} IS NOT NULL",
    "SELECT n, lag({0}) OVER (ORDER BY n) FROM rare",
    "SELECT mode({0}) IS NULL, [max({0})], {{'x': min({0})}} FROM rare",
    "SELECT n FROM rare WHERE {0} = (SELECT max({0}) FROM rare)",
]


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def rare(request: pytest.FixtureRequest) -> Iterator[gearsql.Connection]:
    with gearsql.connect(request.getfixturevalue(request.param).url, files=True) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE rare ({COLUMNS}) WITH (key = 'rare:{{n}}')")
        connection.execute(f"CREATE OR REPLACE TABLE again ({COLUMNS}) WITH (key = 'again:{{n}}')")
        connection.execute(f"INSERT INTO rare {ROWS}")
        yield connection
        for table in ("rare", "again"):
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"DROP TABLE {table}")


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE rare ({COLUMNS})")
        connection.execute(f"INSERT INTO rare {ROWS}")
        yield Oracle(connection)


@pytest.mark.parametrize("column", TYPES)
def test_answers_are_duckdbs(rare: gearsql.Connection, native: Oracle, column: str) -> None:
    for query in OF_EACH:
        text = query.format(column)
        judge(rare, native, Case(text, text))


@pytest.mark.parametrize("how", ["INSERT", "csv", "parquet", "UPDATE"])
def test_what_is_written_is_read_back(
    rare: gearsql.Connection, native: Oracle, tmp_path: Path, how: str
) -> None:
    rare.execute("DELETE FROM again")
    if how == "INSERT":
        rare.execute("INSERT INTO again SELECT * FROM rare")
    elif how == "UPDATE":
        rare.execute("INSERT INTO again (n, g) SELECT n, g FROM rare")
        for name, value in VALUES.items():
            rare.execute(f"UPDATE again SET {name} = {value}")
    else:
        rare.execute(f"COPY rare TO '{tmp_path}/rare.{how}'")
        rare.execute(f"COPY again FROM '{tmp_path}/rare.{how}'")
    expected = native.ask(ALL).rows if how != "parquet" else through_parquet(native, tmp_path)
    assert ask(rare, ALL.replace("rare", "again")).rows == expected


def test_a_summary_is_duckdbs(rare: gearsql.Connection, native: Oracle) -> None:
    exact = ("column_name", "column_type", "min", "max", "avg", "count", "null_percentage")
    text = f"SUMMARIZE SELECT {', '.join(TYPES)} FROM rare"
    found, expected = ask(rare, text), native.ask(text)
    for name in exact:
        place = expected.names.index(name)
        assert [row[place] for row in found.rows] == [row[place] for row in expected.rows], name


def through_parquet(native: Oracle, path: Path) -> list[tuple[object, ...]]:
    """Return what a file makes of the rows in DuckDB itself: times in UTC."""
    with native.connection.cursor() as cursor:
        cursor.execute(f"COPY rare TO '{path}/native.parquet'")
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE again ({COLUMNS})")
        cursor.execute(f"COPY again FROM '{path}/native.parquet'")
        return cursor.execute(ALL.replace("rare", "again")).fetchall()


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("TIME WITH TIME ZONE", "01:02:03"),
        ("TIME WITH TIME ZONE", "01:02:03+16"),
        ("TIME_NS", "01:02:03.1234567891"),
        ("INTEGER[3]", "[1, 2]"),
        ("INTEGER[3]", "[1, 2, 3, 4]"),
        ("MAP(DECIMAL(4,1), INTEGER)", '{"1.5": 1, "1.50": 2}'),
    ],
)
def test_other_texts_are_misfits(rare: gearsql.Connection, type_: str, text: str) -> None:
    rare.execute("CREATE OR REPLACE TABLE raw (v VARCHAR) WITH (key = 'misfit:{id}')")
    rare.execute(f"CREATE OR REPLACE TABLE typed (v {type_}) WITH (key = 'misfit:{{id}}')")
    rare.execute("INSERT INTO raw VALUES (?, 'a')", [text])
    with pytest.raises(MisfitError, match=re.escape(f"is not a {type_}")):
        ask(rare, "SELECT v FROM typed")
    with pytest.raises(DataError, match=re.escape(f"is not a {type_}")):
        rare.execute("INSERT INTO typed VALUES (?, 'b')", [text])
    rare.execute(f"CREATE OR REPLACE TABLE typed (v {type_}) WITH (key = 'misfit:{{id}}', on_error = 'null')")
    assert ask(rare, "SELECT v FROM typed").rows == [(None,)]
    rare.execute("DELETE FROM raw")
