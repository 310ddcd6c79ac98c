"""Bounds of a query: what is over one ends it by name, in the servers and in a reader in the client."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import ByteLimitError, InterfaceError, MemoryLimitError, ResourceLimitError, RowLimitError
from gearsql.plan.stages import ScanMode
from tests.faults.scene import COUNT, RIGHT, ROWS, fill

LEAST = 16 << 20
# Each shard holds a third of the rows, and some.
ALL_ROWS = 'SELECT n, w FROM "row:*"'


@pytest.mark.parametrize("reader", ["module", "portable"])
@pytest.mark.parametrize(
    ("limits", "error", "told"),
    [
        ({"rows": 100}, RowLimitError, "more than 100 rows were read"),
        ({"shipped_rows": 100}, RowLimitError, "more than 100 rows (would be|were) shipped"),
        ({"shipped_bytes": 1000}, ByteLimitError, "more than 1000 bytes (would be|were) shipped"),
    ],
)
def test_what_is_read_and_shipped_is_bounded_by_either_reader(
    quick_shards: Cluster, reader: str, limits: dict[str, int], error: type[ResourceLimitError], told: str
) -> None:
    with gearsql.connect(quick_shards.url, limits=limits, reader=reader) as connection:  # type: ignore[arg-type]
        with pytest.raises(error, match=told) as raised:
            connection.execute(ALL_ROWS)
        assert raised.value.shard is not None
        assert connection.execute('SELECT count(*) FROM "none:*"').fetchall() == [(0,)]
    within = {"rows": ROWS, "shipped_rows": ROWS, "shipped_bytes": 1 << 30}
    with gearsql.connect(quick_shards.url, limits=within, reader=reader) as connection:  # type: ignore[arg-type]
        assert connection.execute(COUNT).fetchall() == RIGHT


@pytest.fixture(scope="module")
def alone() -> Iterator[Cluster]:
    """One server, which does all of a query."""
    with Cluster(1) as server:
        fill(server.url)
        yield server


GREEDY = 'SELECT count(*), max(length(s)) FROM (SELECT DISTINCT repeat(w, 200) AS s FROM "row:*")'
GREED = [(ROWS, 1200)]


def test_a_frame_of_rows_that_are_too_wide_is_refused(alone: Cluster) -> None:
    """One frame waits at a time, of a mebibyte or of the 2,048 rows that it could not be cut in."""
    wide = 'SELECT n, repeat(w, 200) FROM "row:*"'
    with gearsql.connect(alone.url, limits={"frame_bytes": 3 << 20}) as connection:
        assert len(connection.execute(wide).fetchall()) == ROWS
        with pytest.raises(MemoryLimitError, match="bytes would wait in one frame"):
            connection.execute('SELECT repeat(w, 2000) FROM "row:*"')


def test_memory_is_bounded_for_one_query_and_for_no_other(alone: Cluster) -> None:
    with (
        gearsql.connect(alone.url, limits={"memory": LEAST}) as bounded,
        gearsql.connect(alone.url) as free,
    ):
        define(free)
        for connection in (bounded, free, bounded):
            assert connection.execute(COUNT).fetchall() == RIGHT
            assert connection.execute('SELECT sum(same(n)) FROM "row:*" WHERE n < 9').fetchall() == [(36,)]
            if connection is free:
                assert free.execute(GREEDY).fetchall() == GREED
            else:
                with pytest.raises(MemoryLimitError, match="Out of Memory") as raised:
                    bounded.execute(GREEDY)
                assert raised.value.shard is not None


@pytest.mark.parametrize(
    ("type_", "scan", "options"),
    [
        ("VARCHAR", "sliced", ""),
        ("VARCHAR", "snapshot", ""),
        ("VARCHAR[]", "sliced", ""),
        ("VARCHAR", "sliced", ", cast = 'duckdb'"),
    ],
)
def test_a_value_beyond_the_bound_ends_its_query_only(
    alone: Cluster, type_: str, scan: ScanMode, options: str
) -> None:
    """DuckDB has no room for the value while it is read: it must not be asked under the server's lock."""
    with alone.client() as client, gearsql.connect(alone.url, scan=scan, limits={"memory": LEAST}) as bounded:
        client.hset("vast:1", "body", f'["{"x" * (30 << 20)}"]')
        create = f"CREATE OR REPLACE TABLE vast (body {type_}) WITH (key = 'vast:{{id}}'{options})"
        bounded.execute(create)
        for _ in range(2):
            with pytest.raises(MemoryLimitError):
                bounded.execute("SELECT max(length(body)) FROM vast")
            assert client.ping()
            assert bounded.execute(COUNT).fetchall() == RIGHT
        client.delete("vast:1")
        bounded.execute("DROP TABLE vast")


def test_memory_of_the_merge_is_bounded_as_well(quick_shards: Cluster) -> None:
    # Rows travel, since the order matters; none of the shards holds them.
    query = (
        'SELECT count(DISTINCT s) FROM (SELECT repeat(w, 200) || lag(n) OVER (ORDER BY n) AS s FROM "row:*")'
    )
    with gearsql.connect(quick_shards.url) as connection:
        assert connection.execute(query).fetchall() == [(ROWS - 1,)]
    with gearsql.connect(quick_shards.url, limits={"memory": LEAST}) as connection:
        with pytest.raises(MemoryLimitError, match="the merge needs more memory"):
            connection.execute(query)
        assert connection.execute(COUNT).fetchall() == RIGHT


def test_a_server_bounds_the_memory_of_each_query() -> None:
    with Cluster(1, module_options={"QUERY_MEMORY_MB": 16}) as server:
        fill(server.url)
        with gearsql.connect(server.url) as connection:
            with pytest.raises(MemoryLimitError):
                connection.execute(GREEDY)
            assert connection.execute(COUNT).fetchall() == RIGHT


def test_limits_that_are_none_are_refused(quick_shards: Cluster) -> None:
    for limits in ({"memory": 1}, {"rows": 0}, {"keys": 5}, {"memory": "1GB"}):
        with pytest.raises(InterfaceError):
            gearsql.connect(quick_shards.url, limits=limits)  # type: ignore[arg-type]


SMALL = """
    repeat(w, 3); repeat([n, n], 2); repeat(w::BLOB, 2); repeat(NULL, n); repeat(w, NULL); repeat(w, -3)
    repeat(w, '3')
    repeat(w, n::TINYINT); try(repeat(w, 3)); list_transform([w], lambda x: repeat(x, 2))
    lpad(w, 9, '-'); rpad(w, 9, 'ä'); lpad(w, 1, 'x'); lpad(NULL, 3, 'x'); lpad(w, NULL, 'x')
    lpad(w, '5', 'x')
    range(n); range(2, n); range(1, n, 2); range(n, 0, -1); range(NULL); range(1, NULL); [x for x in range(n)]
    generate_series(n); generate_series(1, n); generate_series(n, 1, -2); unnest(range(n))
    range(DATE '2020-01-01', DATE '2020-01-05', INTERVAL 1 DAY)
    generate_series(TIMESTAMP '2020-03-01', TIMESTAMP '2020-01-01', INTERVAL (-1) MONTH)
    list_resize([n], 3); list_resize([n], 3, n); array_resize([w], 2, 'x'); list_resize(NULL, 3)
    list_resize([n], NULL)
"""
LARGE = """
    repeat('x', 600000000); length(repeat(w, 600000000)); try(repeat(w, 600000000)); repeat([n, n], 100000000)
    lpad(w, 300000000, 'x'); rpad('x', 300000000, w); range(100000000); range(n, 100000000)
    generate_series(0, 100000000, 1); list_resize([n], 60000000); list_resize([n], 60000000, n)
    range(TIMESTAMP '2000-01-01', TIMESTAMP '2100-01-01', INTERVAL 1 MILLISECOND)
"""


def each(expressions: str) -> list[str]:
    return [one.strip() for one in expressions.strip().replace("\n", ";").split(";")]


def test_functions_that_make_much_of_little_are_bounded_and_else_duckdbs(alone: Cluster) -> None:
    own = duckdb.connect()
    own.execute(f"CREATE TABLE t AS SELECT i AS n, 'w' || i AS w FROM range({ROWS}) r(i)")
    with gearsql.connect(alone.url) as connection:
        for expression in each(SMALL):
            answer = connection.execute(f'SELECT {expression} FROM "row:*" WHERE n = 7')
            native = own.sql(f"SELECT {expression} FROM t WHERE n = 7")
            assert answer.fetchall() == native.fetchall(), expression
            assert [column[0] for column in answer.description or ()] == native.columns
        for expression in each(LARGE):
            with pytest.raises(MemoryLimitError, match="more than 256 MiB"):
                connection.execute(f'SELECT {expression} FROM "row:*" WHERE n = 7')
        with pytest.raises(MemoryLimitError, match="more than 256 MiB"):
            connection.execute('SELECT sum(length(repeat(w, 100000))) FROM "row:*"')
        assert connection.execute(COUNT).fetchall() == RIGHT


def define(connection: Connection) -> None:
    """A function, which each DuckDB has to be told of."""
    connection.execute("CREATE FUNCTION same(n BIGINT) RETURNS BIGINT LANGUAGE python AS $$return n$$")
