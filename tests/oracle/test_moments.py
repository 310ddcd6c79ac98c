"""Columns of TIMESTAMP_S, TIMESTAMP_MS and TIMESTAMP_NS: written, read and asked as DuckDB's own."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import gearsql
from gearsql.errors import DataError, MisfitError
from tests.oracle.cases import Case
from tests.oracle.judge import Oracle, ask, judge

COLUMNS = "n INTEGER, g INTEGER, s TIMESTAMP_S, ms TIMESTAMP_MS, ns TIMESTAMP_NS, l TIMESTAMP_NS[]"
ROWS = """SELECT i::INTEGER, (i % 3)::INTEGER,
    CASE WHEN i % 7 > 0 THEN (TIMESTAMP '1969-12-31 23:59:55' + INTERVAL (i % 11) SECOND)::TIMESTAMP_S END,
    CASE WHEN i % 5 > 0
        THEN (TIMESTAMP '1969-12-31 23:59:59.99' + INTERVAL (i) MILLISECOND)::TIMESTAMP_MS END,
    CASE WHEN i % 4 > 0 THEN make_timestamp_ns(i * 1234567891 - 20000000000) END,
    CASE WHEN i % 6 > 0 THEN [make_timestamp_ns(i), NULL] END
    FROM range(40) t(i)"""
QUERIES = [
    "SELECT n, s, ms, ns::VARCHAR, l::VARCHAR, typeof(s), typeof(l) FROM moments ORDER BY n",
    "SELECT n, ns FROM moments WHERE ns > TIMESTAMP_NS '1970-01-01 00:00:00.000000001' OR s IS NULL",
    "SELECT s, count(*), max(ms), min(ns), count(DISTINCT ms) FROM moments GROUP BY s",
    "SELECT g, first(s ORDER BY n), arg_max(ns, n)::VARCHAR, list(ms ORDER BY n) FROM moments GROUP BY g",
    "SELECT max(ns)::VARCHAR, min(s), median(n), any_value(ms ORDER BY n), mode(s) IS NULL FROM moments",
    "SELECT ms FROM moments WHERE g = 1 ORDER BY ms DESC NULLS FIRST, n LIMIT 5",
    "SELECT a.n, b.n FROM moments a JOIN moments b ON a.s = b.s AND a.ns < b.ns",
    "SELECT n, lag(s) OVER (ORDER BY n), unnest(l)::VARCHAR FROM moments",
    "SELECT DISTINCT s, ms > s, ns - ns, date_trunc('minute', ms) FROM moments",
]


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def moments(request: pytest.FixtureRequest) -> Iterator[gearsql.Connection]:
    with gearsql.connect(request.getfixturevalue(request.param).url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE moments ({COLUMNS}) WITH (key = 'moment:{{n}}')")
        connection.execute(f"INSERT INTO moments {ROWS}")
        yield connection
        connection.execute("DELETE FROM moments")
        connection.execute("DROP TABLE moments")


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE moments ({COLUMNS})")
        connection.execute(f"INSERT INTO moments {ROWS}")
        yield Oracle(connection)


@pytest.mark.parametrize("text", QUERIES)
def test_answers_are_duckdbs(moments: gearsql.Connection, native: Oracle, text: str) -> None:
    judge(moments, native, Case(text, text))


def test_a_summary_is_duckdbs(moments: gearsql.Connection, native: Oracle) -> None:
    exact = ("column_name", "column_type", "min", "max", "avg", "count", "null_percentage")
    text = "SUMMARIZE SELECT s, ms, ns FROM moments"
    found, expected = ask(moments, text), native.ask(text)
    for name in exact:
        place = expected.names.index(name)
        assert [row[place] for row in found.rows] == [row[place] for row in expected.rows], name


def test_what_is_finer_than_the_type_is_a_misfit(moments: gearsql.Connection) -> None:
    moments.execute("CREATE OR REPLACE TABLE fine (v TIMESTAMP_MS) WITH (key = 'fine:{id}')")
    moments.execute("CREATE OR REPLACE TABLE coarse (v TIMESTAMP_S) WITH (key = 'fine:{id}')")
    moments.execute("INSERT INTO fine VALUES ('2024-02-29 01:02:03.5', 'a')")
    with pytest.raises(MisfitError, match="is not a TIMESTAMP_S"):
        ask(moments, "SELECT v FROM coarse")
    with pytest.raises(DataError, match="is not a TIMESTAMP_MS"):
        moments.execute("INSERT INTO fine VALUES ('2024-02-29 01:02:03.0005', 'b')")
    moments.execute("DELETE FROM fine")
