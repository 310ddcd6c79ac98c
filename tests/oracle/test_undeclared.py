"""An undeclared table: types come from the values, its answers are those of a table of these types."""

from __future__ import annotations

import duckdb
import pytest

from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from tests.oracle.cases import Case
from tests.oracle.conftest import Place
from tests.oracle.judge import Oracle, ask, judge

# Fewer rows than are sampled of a shard, so every value decides.
ROWS = 400
TYPES = {
    "n": "BIGINT",
    "zip": "VARCHAR",
    "flag": "BOOLEAN",
    "stamp": "TIMESTAMP",
    "x": "DOUBLE",
    "mixed": "VARCHAR",
    "huge": "VARCHAR",
    "empty": "VARCHAR",
    "day": "VARCHAR",
    "odd name": "BIGINT",
    "N_1": "BIGINT",
    "raw": "BLOB",
}
VALUES = """
    i AS n,
    CASE WHEN i % 5 = 0 THEN '0' ELSE '' END || (10000 + i % 90) AS zip,
    [NULL, true, false][1 + i % 3] AS flag,
    TIMESTAMP '2024-02-28 23:59:59' + INTERVAL (i * 7) HOUR + INTERVAL (i % 4 * 250) MILLISECOND AS stamp,
    CASE WHEN i % 6 = 0 THEN NULL WHEN i % 6 = 1 THEN i ELSE i / 8 - 20.0 END::DOUBLE AS x,
    CASE WHEN i % 100 = 99 THEN 'x' ELSE (i % 7)::VARCHAR END AS mixed,
    9223372036854775807::HUGEINT + i % 3 AS huge,
    CASE WHEN i % 2 = 0 THEN '' ELSE '5' END AS empty,
    DATE '2024-01-01' + i::INTEGER AS day,
    i % 11 AS "odd name",
    -i AS "N_1",
    CASE WHEN i % 3 = 0 THEN '\\xFF'::BLOB ELSE 'ab'::BLOB END AS raw
"""
QUERIES = (
    "SELECT * EXCLUDE (_key) FROM t",
    "SELECT zip, count(*), count(DISTINCT mixed), sum(n) FROM t GROUP BY zip ORDER BY zip",
    "SELECT flag, count(*), avg(x), min(stamp), max(stamp) FROM t GROUP BY flag",
    "SELECT date_trunc('month', stamp) AS m, count(*), median(x) FROM t GROUP BY m ORDER BY m",
    "SELECT mixed, list(n ORDER BY n DESC) FROM t GROUP BY mixed HAVING count(*) < 60",
    "SELECT max(huge), min(day), max(empty), min(raw), count(DISTINCT raw), max(N_1) FROM t",
    'SELECT "odd name", "ODD NAME" + 1 AS next, count(*) FROM t GROUP BY "odd name" ORDER BY 1 LIMIT 4',
    "SELECT _key, n FROM t WHERE empty = '' AND x IS NOT NULL ORDER BY x, n LIMIT 9",
    "SELECT zip::INTEGER AS number, day::DATE AS date FROM t WHERE zip < '1' ORDER BY ALL",
    "SELECT count(DISTINCT stamp), count(DISTINCT x), count(DISTINCT (flag, mixed)) FROM t",
)


@pytest.fixture(scope="module")
def mini() -> Oracle:
    connection = duckdb.connect(config={"threads": 1})
    columns = ", ".join(f'"{name}"::{type_} AS "{name}"' for name, type_ in TYPES.items())
    rows = f"SELECT {VALUES}, i AS row FROM range({ROWS}) r(i)"
    connection.execute(f"CREATE TABLE hashes AS {rows}")
    connection.execute(f"""CREATE TABLE "mini:*" AS SELECT {columns}, 'mini:' || row AS _key FROM hashes""")
    return Oracle(connection)


@pytest.fixture(scope="module")
def loaded(place: Place, mini: Oracle) -> Place:
    load(place.connection.engine._shards, mini.connection.table("hashes"), parse_template("mini:{row}"))
    return place


def test_types_are_inferred_from_every_value(loaded: Place) -> None:
    described = ask(loaded.connection, 'DESCRIBE "mini:*"').rows
    assert {name: type_ for name, type_, _ in described} == {**TYPES, "_key": "VARCHAR"}


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_answers_are_duckdbs(loaded: Place, mini: Oracle, query: str) -> None:
    text = query.replace("FROM t", 'FROM "mini:*"')
    case = Case(query, text.replace("* EXCLUDE (_key)", '"' + '", "'.join(TYPES) + '"'), native=text)
    judge(loaded.connection, mini, case)
