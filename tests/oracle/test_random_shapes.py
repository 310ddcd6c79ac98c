"""Random queries of any shape answer as in DuckDB: one server, three shards, with and without the module.

GEARSQL_WORLDS sets the number of data sets (default 20). Each is asked a hundred queries, by turns of the
places; CI draws the same ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.embedded import Cluster
from tests.oracle.compare import Answer, assert_same
from tests.oracle.judge import Oracle, ask
from tests.oracle.shapes import Table, World, query, source_and_condition, worlds
from tests.oracle.shapes_words import MOST_ROWS, Sql

WORLDS = int(os.environ.get("GEARSQL_WORLDS", "20"))
QUERIES, CONDITIONS = 100, 6
PLACES = ("one_server", "three_shards", "plain_shards")

pytestmark = pytest.mark.timeout(900 if WORLDS <= 20 else 36_000)

random = settings(
    max_examples=WORLDS,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the message has all there is to know
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Iterator[list[gearsql.Connection]]:
    clusters: list[Cluster] = [request.getfixturevalue(name) for name in PLACES]
    connections = [gearsql.connect(cluster.url) for cluster in clusters]
    yield connections
    for connection in connections:
        connection.close()


@random
@given(worlds())
def test_any_query_answers_as_duckdb_does(places: list[gearsql.Connection], world: World) -> None:
    with duckdb.connect(config={"threads": 1}) as native:
        fill(places, native, world)
        oracle = Oracle(native)
        for number in range(QUERIES):
            text, ordered = query(world, number)
            place = number % len(places)
            with described(world, text, PLACES[place]):
                judge(places[place], oracle, text, ordered)


@random
@given(worlds())
def test_rows_are_where_a_condition_is_true_or_false_or_null(
    places: list[gearsql.Connection], world: World
) -> None:
    with duckdb.connect(config={"threads": 1}) as native:
        fill(places, native, world)
        oracle = Oracle(native)
        for number in range(CONDITIONS):
            place = number % len(places)
            source, condition = source_and_condition(world, number)
            ways = ("", f" WHERE {condition}", f" WHERE NOT ({condition})", f" WHERE ({condition}) IS NULL")
            texts = [f"SELECT count(*) FROM {source}{way}" for way in ways]
            with described(world, texts[1], PLACES[place]):
                if any(answer(oracle, text) is None for text in texts):
                    with pytest.raises(gearsql.Error):
                        [ask(places[place], text) for text in texts]
                else:
                    whole, *thirds = [ask(places[place], text).rows[0][0] for text in texts]
                    assert whole == sum(thirds), thirds


@contextmanager
def described(world: World, text: str, place: str) -> Iterator[None]:
    """Say with a failure what was asked, where, and of which rows."""
    try:
        yield
    except BaseException as error:
        script = ";\n".join(line for item in world.tables.items() for line in statements(*item))
        error.add_note(f"asked of {place}:\n{script};\n{text}")
        raise


def judge(connection: gearsql.Connection, oracle: Oracle, text: str, ordered: bool) -> None:
    """What DuckDB answers is the answer; what it refuses is refused."""
    expected = answer(oracle, text)
    if expected is None:
        with pytest.raises(gearsql.Error):
            ask(connection, text)
    else:
        assert_same(ask(connection, text), expected, ordered=ordered)


def answer(oracle: Oracle, text: str) -> Answer | None:
    """DuckDB's answer; None if it refuses."""
    try:
        return oracle.ask(text)
    except duckdb.Error:
        return None


def fill(places: list[gearsql.Connection], native: duckdb.DuckDBPyConnection, world: World) -> None:
    """The tables in DuckDB; and as hashes, in place of those before."""
    for name, table in world.tables.items():
        for statement in statements(name, table):
            native.execute(statement)
        for connection in places:
            hashes(connection, native, name, table)


def statements(name: str, table: Table) -> Iterator[str]:
    yield f"CREATE TABLE {name} ({columns(table)})"
    rows = [f"({', '.join(map(literal, row))})" for row in table.rows]
    if rows:
        yield f"INSERT INTO {name} VALUES {', '.join(rows)}"


def literal(value: object) -> str:
    """A value in SQL; the column casts the text."""
    if value is None:
        return "NULL"
    if isinstance(value, Sql):
        return value
    text = str(value).replace("'", "''")
    return f"'{text}'" if "\0" not in text else f"'{text}'".replace("\0", "' || chr(0) || '")


def columns(table: Table) -> str:
    return ", ".join(f"{column} {type_}" for column, type_ in table.columns.items())


def hashes(
    connection: gearsql.Connection, native: duckdb.DuckDBPyConnection, name: str, table: Table
) -> None:
    shards = connection.engine._shards
    for row in range(MOST_ROWS):
        shards.owner(f"{name}:{row}".encode()).ask("DEL", f"{name}:{row}")
    template = f"{name}:{{{name}_row}}"  # a column more, which no NATURAL JOIN finds on both sides
    load(shards, native.sql(f"SELECT n AS {name}_row, * FROM {name}"), parse_template(template))
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({columns(table)}) WITH (key = '{template}')")
