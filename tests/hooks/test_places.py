"""Users' functions wherever SQL takes an expression, on every server: as DuckDB with the same Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from tests.hooks.conftest import drop_all
from tests.hooks.scene import OPTIONS, fill, native
from tests.oracle.cases import Case
from tests.oracle.judge import Oracle, judge
from tests.servers import binary

# (a shared fixture, or a server and its shards; isolation)
PLACES = [
    ("lone", "process"),
    ("trio", "session"),
    ("trio", "process"),
    ("valkey-8.1", 1, "session"),
    ("redis-8.2", 1, "process"),
    ("redis-7.0", 3, "session"),
]
SELECTS = [
    "SELECT n, initial(s), half(x), hundreds(n) FROM t",
    "SELECT initial(id), initial(s || 'x'), half(n) + half(x) FROM t",
    "SELECT n FROM t WHERE hundreds(n) = 3 AND initial(s) IS NOT NULL",
    "SELECT n FROM t WHERE half(x) BETWEEN 10 AND 20 OR hundreds(n) IN (0, 5)",
    "SELECT hundreds(n) AS h, count(*), sum(x) FROM t GROUP BY h",
    "SELECT hundreds(n), initial(s), count(*) FROM t GROUP BY ALL",
    "SELECT k, half(sum(n)) FROM t GROUP BY k",
    "SELECT k, count(*) FROM t GROUP BY k HAVING half(sum(n)) > 12800",
    "SELECT k, count(*) FROM t GROUP BY k HAVING sum(hundreds(n)) > 210",
    "SELECT n, s FROM t ORDER BY -hundreds(n), half(n) DESC LIMIT 150",
    "SELECT k, sum(n) FROM t GROUP BY k ORDER BY half(sum(x)) DESC",
    "SELECT n FROM t WHERE s IS NOT NULL ORDER BY initial(s), n LIMIT 5 OFFSET 20",
    "SELECT DISTINCT hundreds(n), initial(s) FROM t",
    "SELECT sum(half(x)), avg(half(n)), min(initial(s)), count(DISTINCT hundreds(n)) FROM t",
    "SELECT sum(n) FILTER (WHERE hundreds(n) = 2), count(*) FILTER (WHERE initial(s) = 'w') FROM t",
    "SELECT hundreds(hundreds(n * 100)), half(half(half(x))), initial(initial(s)) FROM t",
    "SELECT half(sum(half(n))), half(avg(x)) FROM t",
    "SELECT hundreds(max(hundreds(n * 100))) AS h, k FROM t GROUP BY k",
    "SELECT CASE WHEN n > 300 THEN hundreds(n) ELSE -1 END AS c, coalesce(initial(s), '?') FROM t",
    "SELECT k, median(half(x)), stddev(half(n)) FROM t GROUP BY k",
    "SELECT k, max(n) FILTER (WHERE half(x) < 40) FROM t GROUP BY k HAVING initial(min(s)) = 'w' ORDER BY k",
    "SELECT initial('constant'), half(3), count(*) FROM t",
    "SELECT count(*) FROM t WHERE initial(s) = 'nothing like it'",
    "SELECT half(sum(x)) FROM t WHERE n < 0",
    # In joins, and wherever else one table is not enough.
    "SELECT a.n, initial(b.s) FROM t a JOIN t b ON hundreds(a.n) = b.n WHERE half(a.x) < 60",
    "SELECT initial(a.s) AS i, count(*), sum(half(b.x)) FROM t a LEFT JOIN t b"
    " ON a.k = b.n AND initial(b.s) = 'w' GROUP BY i",
    "WITH h AS (SELECT hundreds(n) AS h, count(*) AS c FROM t GROUP BY h)"
    " SELECT t.n, h.c, half(h.c) FROM t JOIN h ON hundreds(t.n) = h.h WHERE t.k = 3",
    "SELECT n FROM t WHERE hundreds(n) IN (SELECT k FROM t WHERE half(x) > 140)",
    "SELECT n, rank() OVER (PARTITION BY hundreds(n) ORDER BY half(x) DESC NULLS LAST, n) AS r"
    " FROM t QUALIFY half(n) > 250",
    "SELECT initial(s) AS i FROM t UNION SELECT initial(id) FROM t",
    "SELECT n, (SELECT half(max(x)) FROM t u WHERE u.k = hundreds(t.n)) AS m FROM t WHERE n < 300",
    "SELECT hundreds(n) AS h, k, sum(half(x)) FROM t GROUP BY ROLLUP (h, k)",
]


def initial(text: str) -> str:
    return text[:1]


def half(x: float) -> float:
    return x / 2


def hundreds(n: int) -> int:
    return n // 100


FUNCTIONS = (initial, half, hundreds)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with native() as connection:
        for function in FUNCTIONS:
            connection.create_function(function.__name__, function)
        yield Oracle(connection)


@pytest.fixture(scope="module", params=PLACES, ids=str)
def asked(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection to servers that know the functions, in that isolation."""
    match request.param:
        case (str(fixture), str(isolation)):
            with knowing(request.getfixturevalue(fixture), isolation) as connection:
                yield connection
        case (str(name), int(shards), str(isolation)):
            with Cluster(shards, server=binary(name), module_options=OPTIONS) as cluster:
                fill(cluster)
                with knowing(cluster, isolation) as connection:
                    yield connection


@contextmanager
def knowing(cluster: Cluster, isolation: Any) -> Iterator[Connection]:
    with gearsql.connect(cluster.url) as connection:
        for function in FUNCTIONS:
            connection.create_function(function, isolation=isolation, replace=True)
        yield connection
        drop_all(connection)


@pytest.mark.parametrize("sql", SELECTS)
def test_functions_stand_wherever_an_expression_does(asked: Connection, oracle: Oracle, sql: str) -> None:
    judge(asked, oracle, Case(sql, sql))


def test_a_function_runs_on_the_shards_if_it_can(trio: Cluster) -> None:
    with gearsql.connect(trio.url) as connection:
        for function in FUNCTIONS:
            connection.create_function(function, replace=True)
        assert _runs(connection, "SELECT k, count(*) FROM t WHERE half(x) < 3 GROUP BY k") == ("half", "")
        assert _runs(connection, "SELECT hundreds(n), count(*) FROM t GROUP BY 1") == ("hundreds", "")
        assert _runs(connection, "SELECT half(sum(x)) FROM t") == ("", "half")
        assert _runs(connection, "SELECT half(sum(half(x))) FROM t") == ("half", "half")
        drop_all(connection)


def _runs(connection: Connection, sql: str) -> tuple[str, str]:
    """The functions that EXPLAIN names on the shards, and once."""
    text = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {sql}").fetchall())
    shards, _, once = text.partition("\nonce\n")
    return _named(shards), _named(once)


def _named(part: str) -> str:
    lines = [line.split(None, 1)[1] for line in part.splitlines() if line.strip().startswith("hooks ")]
    return ", ".join(line.partition(" (")[0] for line in lines)


def test_the_oracle_calls_python(oracle: Oracle) -> None:
    assert isinstance(oracle.connection, duckdb.DuckDBPyConnection)
    assert oracle.ask("SELECT half(3)").rows == [(1.5,)]
