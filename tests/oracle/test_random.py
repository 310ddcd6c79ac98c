"""Random tables and queries answer as in DuckDB: one server, three shards, with and without the module.

GEARSQL_EXAMPLES sets the number of tables (default 50); CI draws the same ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.embedded import Cluster
from tests.oracle.cases import Case
from tests.oracle.judge import Oracle, judge
from tests.oracle.pieces import MOST_ROWS, World, worlds

EXAMPLES = int(os.environ.get("GEARSQL_EXAMPLES", "50"))
PLACES = ("one_server", "three_shards", "plain_shards")


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Iterator[dict[str, gearsql.Connection]]:
    clusters: dict[str, Cluster] = {name: request.getfixturevalue(name) for name in PLACES}
    connections = {name: gearsql.connect(cluster.url) for name, cluster in clusters.items()}
    yield connections
    for connection in connections.values():
        connection.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(worlds())
def test_any_query_answers_as_duckdb_does(places: dict[str, gearsql.Connection], world: World) -> None:
    with duckdb.connect(config={"threads": 1}) as native:
        create(native, world)
        oracle = Oracle(native)
        for connection in places.values():
            fill(connection, native, world)
        for query in world.queries:
            case = Case(query, query)
            for connection in places.values():
                judge(connection, oracle, case)


def create(native: duckdb.DuckDBPyConnection, world: World) -> None:
    """The oracle's table."""
    columns = ", ".join(f"{name} {type_}" for name, type_ in world.columns.items())
    native.execute(f"CREATE TABLE t ({columns})")
    marks = ", ".join("?" * len(world.columns))
    for n, row in enumerate(world.rows):
        native.execute(f"INSERT INTO t VALUES ({marks})", [n, *row])


def fill(connection: gearsql.Connection, native: duckdb.DuckDBPyConnection, world: World) -> None:
    """The same rows as hashes, in place of those before."""
    shards = connection.engine._shards
    for row in range(MOST_ROWS):
        shards.owner(f"random:{row}".encode()).ask("DEL", f"random:{row}")
    load(shards, native.sql("SELECT n AS row, * FROM t"), parse_template("random:{row}"))
    columns = ", ".join(f"{name} {type_}" for name, type_ in world.columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE t ({columns}) WITH (key = 'random:{{row}}')")
