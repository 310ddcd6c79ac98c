"""Blocks of a query ship what the query reads of them: answers are DuckDB's, and EXPLAIN tells."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import MisfitError
from tests.oracle.judge import Oracle, ask

COLUMNS = "id INTEGER, name VARCHAR, salary INTEGER, ok BOOLEAN, dept VARCHAR, bad INTEGER"
ROWS = """SELECT i::INTEGER AS id, 'n' || i AS name, (i * 10)::INTEGER AS salary, i % 3 > 0 AS ok,
    CASE WHEN i % 5 > 0 THEN 'd' || i % 4 END AS dept, 7 AS bad FROM range(40) r(i)"""
VIEW = "CREATE OR REPLACE VIEW pruned_view AS SELECT id, name, salary, ok, bad FROM pruned"

# What the parts' scans read on several shards.
READS = {
    "WITH s AS (SELECT * FROM pruned) SELECT name FROM s WHERE ok": ["name", "ok"],
    "WITH s AS MATERIALIZED (SELECT * FROM pruned) SELECT s.name"
    " FROM s JOIN s t ON s.id = t.id": ["id", "name"],
    "SELECT count(*) FROM pruned_view WHERE ok": ["ok"],
    "SELECT name, salary FROM pruned_view WHERE id = 3": ["id", "name", "salary"],
    "SELECT sum(salary) FROM (SELECT * FROM pruned)": ["salary"],
    "SELECT count(*) FROM (SELECT * FROM pruned)": [],
    "SELECT count(*) FROM (SELECT * FROM pruned WHERE ok)": ["ok"],
    "SELECT count(*) FROM (SELECT sum(bad), max(bad) FROM pruned)": [],
    "SELECT count(*) FROM (SELECT max(bad) FROM pruned HAVING count(name) > 99)": ["name"],
    "SELECT count(*) FROM (SELECT bad + 1 FROM pruned GROUP BY dept, bad + 1 LIMIT 0)": ["bad", "dept"],
    "SELECT s FROM (SELECT dept, sum(salary) AS s, max(bad) FROM pruned GROUP BY 1)": ["dept", "salary"],
    "SELECT count(*) FROM (SELECT dept, min(bad) FROM pruned GROUP BY ALL)": ["dept"],
    "SELECT name FROM (SELECT bad, name, salary"
    " FROM pruned ORDER BY 3 DESC LIMIT 3 OFFSET 1)": ["name", "salary"],
    "SELECT id FROM (SELECT id, bad AS x, salary AS name"
    " FROM pruned ORDER BY name LIMIT 7)": ["id", "salary"],
    "SELECT id FROM (SELECT id, bad AS x, ok AS y FROM pruned WHERE y)": ["id", "ok"],
    "SELECT sum(salary) FROM (SELECT DISTINCT dept, salary FROM pruned)": ["dept", "salary"],
    "SELECT id FROM (SELECT id, bad FROM pruned UNION ALL SELECT salary, bad FROM pruned)": ["id", "salary"],
    "SELECT dept FROM (SELECT dept, ok FROM pruned UNION SELECT name, ok"
    " FROM pruned)": ["dept", "name", "ok"],
    "SELECT dept FROM (SELECT dept, ok FROM pruned EXCEPT SELECT name, ok"
    " FROM pruned)": ["dept", "name", "ok"],
    "SELECT e.id, s.m FROM pruned e LEFT JOIN (SELECT dept, max(salary) AS m, min(bad) FROM pruned"
    " GROUP BY dept)"
    " s USING (dept)": ["dept", "id", "salary"],
    "SELECT s.dept, count(*), max(e.salary) FROM pruned e JOIN (SELECT * FROM pruned WHERE ok) s USING (id)"
    " GROUP BY s.dept": ["dept", "id", "ok", "salary"],
    "SELECT id FROM pruned WHERE EXISTS (FROM (SELECT *"
    " FROM pruned) s WHERE s.salary = id)": ["id", "salary"],
    "SELECT name FROM (SELECT *, NULL || name AS none FROM pruned) WHERE none IS NULL": ["name"],
    "SELECT r FROM (SELECT row_number() OVER (ORDER BY id) AS r, * FROM (SELECT * FROM pruned))": ["id"],
    "SELECT name FROM (SELECT name, bad::VARCHAR::DATE AS never FROM pruned)": ["name"],
}  # fmt: skip


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE pruned AS {ROWS}")
        connection.execute(VIEW)
        yield Oracle(connection)


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def connection(request: pytest.FixtureRequest, native: Oracle) -> Iterator[gearsql.Connection]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with gearsql.connect(cluster.url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE pruned ({COLUMNS}) WITH (key = 'pruned:{{id}}')")
        connection.cursor().executemany(
            "INSERT OR REPLACE INTO pruned VALUES (?, ?, ?, ?, ?, ?)", native.ask("FROM pruned").rows
        )
        connection.execute(VIEW)
        yield connection
        connection.execute("DROP VIEW pruned_view")
        connection.execute("DROP TABLE pruned")


def read(connection: gearsql.Connection, query: str) -> list[str]:
    """The columns that the parts' scans read."""
    lines = [line.strip() for (line,) in ask(connection, f"EXPLAIN {query}").rows]
    reads = [line.removeprefix("reads ").strip() for line in lines if line.startswith("reads ")]
    columns = [column for line in reads if "no column" not in line for column in line.split(", ")]
    return sorted({column.split()[0] for column in columns})


@pytest.mark.parametrize("query", READS)
def test_what_is_not_read_changes_no_answer(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    found, expected = ask(connection, query), native.ask(query)
    assert (found.names, found.types) == (expected.names, expected.types)
    assert sorted(map(repr, found.rows)) == sorted(map(repr, expected.rows))
    if connection.engine._shards.all[1:]:
        assert read(connection, query) == READS[query]


@pytest.mark.parametrize("name", ["one_server", "three_shards", "plain_shards"])
def test_a_misfit_in_a_column_that_nothing_reads_is_no_error(
    request: pytest.FixtureRequest, name: str
) -> None:
    cluster: Cluster = request.getfixturevalue(name)
    with gearsql.connect(cluster.url) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE mm (id INTEGER, a INTEGER, b INTEGER) WITH (key = 'mm:{id}')"
        )
        shards = connection.engine._shards
        for row in range(3):
            shards.owner(f"mm:{row}".encode()).ask("HSET", f"mm:{row}", "a", str(row), "b", "x")
        assert ask(connection, "SELECT sum(a) FROM (SELECT * FROM mm)").rows == [(3,)]
        assert ask(connection, "SELECT a FROM (SELECT * FROM mm WHERE id = 2)").rows == [(2,)]
        assert ask(connection, "SELECT count(*) FROM (SELECT a, sum(b) FROM mm GROUP BY a)").rows == [(3,)]
        with pytest.raises(MisfitError, match="column b"):
            ask(connection, "SELECT sum(a) FROM (SELECT * FROM mm) WHERE b > 0")
        connection.execute("DROP TABLE mm")


def test_a_dropped_call_of_a_users_function_is_not_called(three_shards: Cluster) -> None:
    with gearsql.connect(three_shards.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE pf (id INTEGER, a INTEGER) WITH (key = 'pf:{id}')")
        connection.execute("INSERT INTO pf VALUES (1, 5), (2, 6)")
        define = "CREATE OR REPLACE FUNCTION pruned_fails(x INTEGER) RETURNS INTEGER LANGUAGE python"
        connection.execute(f"{define} AS $$ return 1 // 0 $$")
        assert ask(connection, "SELECT sum(a) FROM (SELECT a, pruned_fails(a) FROM pf)").rows == [(11,)]
        connection.execute("DROP FUNCTION pruned_fails")
        connection.execute("DELETE FROM pf")
        connection.execute("DROP TABLE pf")
