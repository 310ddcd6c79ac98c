"""Parts of one table that share its scan: what they ship comes through whole, and the table is read once."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from tests.oracle.judge import Oracle, ask

ROWS = """CREATE TABLE twice AS SELECT i::INTEGER AS id, 'p' || i % 7 AS part, (i % 40) / 8.0::DOUBLE AS x,
    CASE WHEN i % 9 > 0 THEN (i % 13)::SMALLINT END AS y, i::HUGEINT * -170141183460469231731687303 AS huge,
    (i * 0.37)::DECIMAL(12,2) AS price, md5(i::VARCHAR)::UUID AS uid,
    DATE '2024-02-27' + (i % 50)::INTEGER AS day,
    TIMESTAMPTZ '2024-02-27 01:02:03.5+00' + INTERVAL (i) MINUTE AS moment,
    INTERVAL (i % 31) DAY AS span, [i, i % 3]::INTEGER[] AS pair, {'a': i::INTEGER, 'b': 'x' || i} AS two
    FROM range(500) r(i)"""
DECLARE = """CREATE OR REPLACE TABLE twice (id INTEGER, part VARCHAR, x DOUBLE, y SMALLINT, huge HUGEINT,
    price DECIMAL(12,2), uid UUID, day DATE, moment TIMESTAMPTZ, span INTERVAL, pair INTEGER[],
    two STRUCT(a INTEGER, b VARCHAR)) WITH (key = 'twice:{id}')"""

SHARED = [
    "SELECT 'all' AS k, count(*), avg(x) FROM twice WHERE y > 3"
    " UNION ALL SELECT part, count(DISTINCT y), median(x) FROM twice WHERE id < 400 GROUP BY part",
    "SELECT (SELECT count(*) FROM twice WHERE part = 'p1'), (SELECT max(uid) FROM twice),"
    " (SELECT string_agg(part, ',' ORDER BY id) FROM twice WHERE id < 30), (SELECT sum(huge) FROM twice)",
    "WITH means AS (SELECT part, avg(x) AS mean FROM twice GROUP BY part)"
    " SELECT id, mean, huge, price, uid, day, moment, span, pair, two"
    " FROM twice JOIN means USING (part) WHERE x > mean",
    "SELECT id, y FROM twice WHERE y > 3 INTERSECT SELECT id, y FROM twice WHERE id > 100",
    "(SELECT id, part FROM twice ORDER BY x DESC, id LIMIT 5) UNION ALL"
    " (SELECT id, part FROM twice ORDER BY x, id LIMIT 3 OFFSET 2)",
    "SELECT id AS a, id AS a FROM twice UNION ALL SELECT y, NULL FROM twice WHERE y IS NULL",
    "SELECT part FROM twice EXCEPT SELECT DISTINCT part FROM twice WHERE id % 7 < 3",
    "SELECT histogram(y) FROM twice UNION ALL SELECT histogram(y) FROM twice WHERE id < 0",
    "SELECT count(*) FROM twice UNION ALL SELECT count(*) FROM twice WHERE x > 4.5",
    "SELECT mode(part ORDER BY id DESC) FROM twice UNION ALL SELECT min(part) FROM twice WHERE x > 1",
    "SELECT count(*) FROM (SELECT id FROM twice WHERE x > 1) a POSITIONAL JOIN (SELECT y FROM twice) b",
]
APART = [
    # What is sent to the shards is known before they read again.
    "WITH means AS (SELECT part, avg(x) AS mean FROM twice GROUP BY part)"
    " SELECT part, count(*) FROM twice JOIN means USING (part) WHERE x > mean GROUP BY part",
    # Keys that a filter names are read by their names.
    "SELECT part FROM twice WHERE id = 7 UNION ALL SELECT min(part) FROM twice",
    "SELECT histogram(y) FROM twice UNION ALL SELECT histogram(y) FROM twice WHERE false",
]


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(ROWS)
        yield Oracle(connection)


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def cluster(request: pytest.FixtureRequest, native: Oracle) -> Cluster:
    cluster: Cluster = request.getfixturevalue(request.param)
    rows = native.connection.sql("SELECT * REPLACE (pair::VARCHAR AS pair, to_json(two) AS two) FROM twice")
    with gearsql.connect(cluster.url) as connection:
        connection.execute(DECLARE)
        insert = f"INSERT OR REPLACE INTO twice VALUES ({', '.join('?' * len(rows.columns))})"
        connection.cursor().executemany(insert, rows.fetchall())
    return cluster


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[gearsql.Connection]:
    with gearsql.connect(cluster.url) as connection:
        yield connection


def measured(connection: gearsql.Connection, query: str) -> int:
    return sum("measured" in line for (line,) in ask(connection, f"EXPLAIN ANALYZE {query}").rows)


@pytest.mark.parametrize("query", SHARED)
def test_parts_of_one_table_are_read_by_one_scan(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    for _ in range(2):
        found, expected = ask(connection, query), native.ask(query)
        assert (found.names, found.types) == (expected.names, expected.types)
        assert sorted(map(repr, found.rows)) == sorted(map(repr, expected.rows))
    assert measured(connection, query) == 1


@pytest.mark.parametrize("query", APART)
def test_other_parts_have_scans_of_their_own(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    assert sorted(map(repr, ask(connection, query).rows)) == sorted(map(repr, native.ask(query).rows))


def test_the_plan_tells_who_shares(three_shards: Cluster) -> None:
    query = "SELECT count(*) FROM tw WHERE x > 4 UNION ALL SELECT sum(y) FROM tw WHERE x < 1"
    with gearsql.connect(three_shards.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE tw (x DOUBLE, y BIGINT) WITH (key = 'tw:{id}')")
        lines = [line for (line,) in ask(connection, f"EXPLAIN {query}").rows]
        connection.execute("DROP TABLE tw")
    start = lines.index("scan_part_0 and scan_part_1 by one scan, where they are wanted together")
    assert lines[start + 1 : start + 6] == [
        "  on each of 3 shards",
        "    keys     tw:*",
        "    reads    x DOUBLE, y BIGINT",
        '    sql      WITH kept_rows AS MATERIALIZED (FROM scan_0 WHERE ("x" > 4) OR ("x" < 1)) '
        'SELECT [part_row] AS p0 FROM (SELECT COUNT(*) AS s0 FROM kept_rows WHERE ("x" > 4)) AS part_row '
        'UNION ALL BY NAME SELECT [part_row] AS p1 FROM (SELECT SUM("y") AS s0 FROM kept_rows '
        'WHERE ("x" < 1)) AS part_row',
        "",
    ]


def test_other_values_are_filled_in(connection: gearsql.Connection, native: Oracle) -> None:
    query = "SELECT count(*) FROM twice WHERE x > ? UNION ALL SELECT sum(y) FROM twice WHERE part <> ?"
    for values in ([1.5, "p1"], [2.5, "p2"], [0.5, "it's"]):
        assert sorted(ask(connection, query, values).rows) == sorted(native.ask(query, values).rows)


def test_a_row_is_dropped_for_who_reads_what_does_not_fit(three_shards: Cluster) -> None:
    with gearsql.connect(three_shards.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE raw (a VARCHAR, b VARCHAR) WITH (key = 'skips:{id}')")
        connection.execute("INSERT OR REPLACE INTO raw VALUES ('1', '1', '1'), ('2', 'x', '2')")
        connection.execute(
            "CREATE OR REPLACE TABLE skips (a INTEGER, b INTEGER)"
            " WITH (key = 'skips:{id}', on_error = 'skip')"
        )
        query = "SELECT sum(a) FROM skips UNION ALL SELECT sum(b) FROM skips ORDER BY 1"
        assert ask(connection, query).rows == [(1,), (3,)]
        connection.execute("DROP TABLE raw")
        connection.execute("DROP TABLE skips")


def test_what_shards_cannot_keep_is_read_by_several_scans(three_shards: Cluster) -> None:
    query = "SELECT left(body, 3) FROM wide UNION SELECT count(*)::VARCHAR FROM wide WHERE body LIKE 'x%'"
    with gearsql.connect(three_shards.url, limits={"memory": 16 << 20}) as connection:
        connection.execute("CREATE OR REPLACE TABLE wide (body VARCHAR) WITH (key = 'wide:{id}')")
        with redis.RedisCluster.from_url(three_shards.url) as client:
            for number in range(90):
                client.hset(f"wide:{number}", "body", "x" * 700_000)
        assert sorted(ask(connection, query).rows) == [("90",), ("xxx",)]
        assert measured(connection, query) == 3
        with redis.RedisCluster.from_url(three_shards.url) as client:
            client.delete(*(f"wide:{number}" for number in range(90)))
        connection.execute("DROP TABLE wide")
