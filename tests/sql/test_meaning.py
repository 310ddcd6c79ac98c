"""What two texts mean is compared: the same rows are told from others, however close their texts are."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from gearsql.sql.meaning import same_meaning
from gearsql.sql.plans import plan_of
from gearsql.sql.sandbox import open_sandbox

SAME = [
    ("FROM emp", "SELECT id, name, dept, ok, pay FROM emp"),
    ("SELECT b FROM (SELECT id + 1 AS b FROM emp) WHERE b > 3", "SELECT id + 1 FROM emp WHERE id + 1 > 3"),
    ("FROM (FROM emp WHERE ok) WHERE id = 3 AND pay > 1", "FROM emp WHERE pay > 1 AND id = 3 AND ok"),
    (
        "SELECT d, n FROM (SELECT dept d, count(*) n FROM emp GROUP BY ALL) WHERE d > 'a' AND n > 2",
        "SELECT dept, count(*) FROM emp WHERE dept > 'a' GROUP BY dept HAVING count(*) > 2",
    ),
    ("FROM (SELECT DISTINCT dept FROM emp) WHERE dept > ''", "SELECT DISTINCT dept FROM emp WHERE dept > ''"),
    ("FROM (SELECT id FROM emp ORDER BY pay) WHERE id > 3", "SELECT id FROM emp WHERE id > 3 ORDER BY pay"),
    (
        "SELECT n FROM (SELECT e.name n, boss FROM emp e JOIN dept USING (dept) WHERE ok) WHERE boss = 1",
        "SELECT name FROM emp JOIN dept USING (dept) WHERE boss = 1 AND ok",
    ),
    (
        "SELECT name FROM (FROM emp WHERE ok) e LEFT JOIN dept d USING (dept)",
        "SELECT name FROM emp e LEFT JOIN dept d USING (dept) WHERE e.ok",
    ),
    (
        "SELECT id, row_number() OVER (ORDER BY id) FROM (SELECT pay, id FROM emp)",
        "SELECT id, row_number() OVER (ORDER BY id) FROM emp",
    ),
    (
        "WITH v AS (FROM emp) SELECT count(*) FROM v JOIN v w USING (id)",
        "WITH v AS (SELECT dept, id FROM emp) SELECT count(*) FROM v JOIN v w USING (id)",
    ),
    (
        "SELECT x FROM (SELECT id, x FROM emp, unnest([id, 1]) u(x)) WHERE id > 3",
        "SELECT x FROM emp, unnest([id, 1]) u(x) WHERE id > 3",
    ),
    (
        "SELECT list_transform([1], lambda x: x + i) FROM (SELECT id AS i FROM emp)",
        "SELECT list_transform([1], lambda x: x + id) FROM emp",
    ),
]  # fmt: skip
OTHER = [
    ("SELECT id FROM emp", "SELECT boss FROM dept"),
    ("SELECT id FROM emp", "SELECT id::BIGINT FROM emp"),
    ("SELECT id, name FROM emp", "SELECT name, id FROM emp"),
    ("FROM emp WHERE ok", "FROM emp WHERE ok IS NOT NULL"),
    ("FROM emp WHERE ok OR id = 3", "FROM emp WHERE ok AND id = 3"),
    ("FROM (FROM emp LIMIT 3) WHERE ok", "FROM emp WHERE ok LIMIT 3"),
    ("FROM emp ORDER BY id LIMIT 3", "FROM emp ORDER BY id LIMIT 3 OFFSET 1"),
    ("FROM emp ORDER BY id LIMIT 3", "FROM emp ORDER BY id DESC LIMIT 3"),
    (
        "FROM (SELECT DISTINCT ON (dept) dept, id FROM emp ORDER BY id) WHERE id > 3",
        "SELECT DISTINCT ON (dept) dept, id FROM emp WHERE id > 3 ORDER BY id",
    ),
    ("SELECT DISTINCT dept, id FROM emp", "SELECT DISTINCT ON (dept) dept, id FROM emp"),
    ("SELECT dept FROM (SELECT DISTINCT dept, id FROM emp)", "SELECT DISTINCT dept FROM emp"),
    ("SELECT count(*) FROM emp WHERE false", "FROM (SELECT count(*) FROM emp) WHERE false"),
    ("SELECT count(*) FROM emp WHERE ok", "SELECT count(*) FROM emp"),
    ("SELECT sum(pay) FROM emp", "SELECT sum(DISTINCT pay) FROM emp"),
    ("SELECT sum(pay) FROM emp", "SELECT sum(pay) FILTER (ok) FROM emp"),
    ("SELECT dept FROM emp GROUP BY dept", "SELECT dept FROM emp GROUP BY dept, id"),
    ("SELECT dept, sum(id) FROM emp GROUP BY dept", "SELECT dept, sum(id) FROM emp GROUP BY ROLLUP (dept)"),
    (
        "FROM (SELECT dept, sum(id) FROM emp GROUP BY CUBE (dept, ok)) WHERE dept = 'x'",
        "SELECT dept, sum(id) FROM emp WHERE dept = 'x' GROUP BY CUBE (dept, ok)",
    ),
    (
        "FROM (SELECT dept, row_number() OVER (ORDER BY id) FROM emp) WHERE dept = 'x'",
        "SELECT dept, row_number() OVER (ORDER BY id) FROM emp WHERE dept = 'x'",
    ),
    ("FROM emp JOIN dept USING (dept)", "FROM emp LEFT JOIN dept USING (dept)"),
    (
        "SELECT e.id FROM emp e LEFT JOIN (FROM dept WHERE boss = 1) d USING (dept)",
        "SELECT e.id FROM emp e LEFT JOIN dept d USING (dept) WHERE boss = 1",
    ),
    (
        "SELECT x FROM emp LEFT JOIN (SELECT dept, coalesce(boss, 0) AS x FROM dept) d USING (dept)",
        "SELECT coalesce(boss, 0) FROM emp LEFT JOIN dept d USING (dept)",
    ),
    ("SELECT a.id FROM emp a JOIN emp b USING (dept)", "SELECT b.id FROM emp a JOIN emp b USING (dept)"),
    ("FROM emp SEMI JOIN dept USING (dept)", "FROM emp ANTI JOIN dept USING (dept)"),
    ("SELECT id FROM emp UNION SELECT boss FROM dept", "SELECT id FROM emp UNION ALL SELECT boss FROM dept"),
    ("SELECT id FROM emp EXCEPT SELECT boss FROM dept", "SELECT boss FROM dept EXCEPT SELECT id FROM emp"),
    (
        "WITH v AS (FROM emp), w AS (FROM emp WHERE ok) SELECT v.id FROM v JOIN w USING (id)",
        "WITH v AS (FROM emp), w AS (FROM emp WHERE ok) SELECT v.id FROM v JOIN v w USING (id)",
    ),
    (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 6) FROM r",
    ),
    (
        "SELECT list_transform([1], lambda x: x + id) FROM emp",
        "SELECT list_transform([1], lambda x: x - id) FROM emp",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_sandbox() as connection:
        columns = "id INTEGER, name VARCHAR, dept VARCHAR, ok BOOLEAN, pay DOUBLE"
        connection.execute(f"CREATE TABLE emp ({columns})")
        connection.execute("CREATE TABLE dept (dept VARCHAR, boss INTEGER)")
        yield connection


def compared(sandbox: duckdb.DuckDBPyConnection, one: str, other: str, pruned: bool) -> bool:
    plans = [plan_of(sandbox, text, pruned=pruned) for text in (one, other)]
    assert all(plan.nodes is not None for plan in plans), plans
    return same_meaning(*plans)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_rows_are_known_for_the_same(
    sandbox: duckdb.DuckDBPyConnection, one: str, other: str, pruned: bool
) -> None:
    assert compared(sandbox, one, other, pruned)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_rows_are_never_taken_for_the_same(
    sandbox: duckdb.DuckDBPyConnection, one: str, other: str, pruned: bool
) -> None:
    assert compared(sandbox, one, one, pruned)
    assert compared(sandbox, other, other, pruned)
    assert not compared(sandbox, one, other, pruned)
