"""The ten group-by questions of H2O's db-benchmark: answers are DuckDB's, on one server and on three shards.

The table is G1 with a twentieth of NULLs in every column. GEARSQL_H2O_ROWS sets its rows (default 20,000).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.oracle.cases import Case, read_cases
from tests.oracle.judge import Oracle, judge
from tests.oracle.tables import filled

ROWS = int(os.environ.get("GEARSQL_H2O_ROWS", "20000"))
CASES = read_cases(Path(__file__).with_name("h2o.sql"))

# The benchmark's k, a hundred for its million rows; two columns together have a hundred rows a group.
LARGE = 100 if ROWS >= 1_000_000 else 10
SMALL = ROWS // LARGE

# Each column's values, from a number that is as good as random.
G1 = {
    "id1": f"format('id{{:03d}}', 1 + random % {LARGE})",
    "id2": f"format('id{{:03d}}', 1 + random % {LARGE})",
    "id3": f"format('id{{:010d}}', 1 + random % {SMALL})",
    "id4": f"(1 + random % {LARGE})::INTEGER",
    "id5": f"(1 + random % {LARGE})::INTEGER",
    "id6": f"(1 + random % {SMALL})::INTEGER",
    "v1": "(1 + random % 5)::INTEGER",
    "v2": "(1 + random % 15)::INTEGER",
    "v3": "round((random % 1000000007) / 10000000.07, 6)",
}

pytestmark = pytest.mark.timeout(120 if ROWS <= 20_000 else 1800)


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    """The same rows each time."""
    with duckdb.connect(config={"threads": 2}) as connection:
        columns = ", ".join(_column(name, value) for name, value in G1.items())
        connection.execute(f"CREATE TABLE x AS SELECT n, {columns} FROM range({ROWS}) rows(n)")
        yield Oracle(connection)


@pytest.fixture(scope="module", params=[1, 3], ids=["one", "three"])
def connection(request: pytest.FixtureRequest, native: Oracle) -> Iterator[gearsql.Connection]:
    """Servers of their own: others would scan these keys, too."""
    with Cluster(request.param) as cluster, filled(cluster.url, native, {"x": "x:{n}"}) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=[f"Q{number}" for number in range(1, 11)])
def test_answers_are_duckdbs(connection: gearsql.Connection, native: Oracle, case: Case) -> None:
    judge(connection, native, case)


def _column(name: str, value: str) -> str:
    """Another number for each row and column, and its value; or NULL, where another number says so."""
    random = f"(md5_number_lower('{name}' || n) >> 4)::BIGINT"
    null = f"md5_number_upper('{name}' || n) % 20 = 0"
    return f"CASE WHEN {null} THEN NULL ELSE {value.replace('random', random)} END AS {name}"
