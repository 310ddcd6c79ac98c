"""Random tables and queries answer as in DuckDB: one server, three shards, with and without the module.

GEARSQL_EXAMPLES sets the number of tables (default 50). Each is asked sixty queries, by turns of the
places; CI draws the same ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.embedded import Cluster
from tests.oracle.cases import Case
from tests.oracle.judge import Oracle, judge
from tests.oracle.pieces import MOST_ROWS, World, query, worlds

EXAMPLES = int(os.environ.get("GEARSQL_EXAMPLES", "50"))
QUERIES = 60
PLACES = ("one_server", "three_shards", "plain_shards")

pytestmark = pytest.mark.timeout(600 if EXAMPLES <= 50 else 36_000)


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Iterator[list[gearsql.Connection]]:
    clusters: list[Cluster] = [request.getfixturevalue(name) for name in PLACES]
    connections = [gearsql.connect(cluster.url) for cluster in clusters]
    yield connections
    for connection in connections:
        connection.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the message has all there is to know
    suppress_health_check=list(HealthCheck),
)
@given(worlds())
def test_any_query_answers_as_duckdb_does(places: list[gearsql.Connection], world: World) -> None:
    with duckdb.connect(config={"threads": 1}) as native:
        create(native, world)
        oracle = Oracle(native)
        for connection in places:
            fill(connection, native, world)
        for number in range(QUERIES):
            text, place = query(world, number), number % len(places)
            try:
                judge(places[place], oracle, Case(text, text))
            except BaseException as error:
                error.add_note(f"asked of {PLACES[place]}, of {world}:\n{text}")
                raise


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
