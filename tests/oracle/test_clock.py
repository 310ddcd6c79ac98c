"""Readings of the clock are the client's literals, and what differs from call to call is called once."""

from __future__ import annotations

import datetime
import uuid

import pytest

import gearsql
from gearsql.embedded import Cluster

CLOCKS = {
    "now()": "TIMESTAMP WITH TIME ZONE",
    "current_timestamp": "TIMESTAMP WITH TIME ZONE",
    "transaction_timestamp()": "TIMESTAMP WITH TIME ZONE",
    "today()": "DATE",
    "current_date": "DATE",
    "localtimestamp": "TIMESTAMP",
    "localtime": "TIME",
    "current_time": "TIME WITH TIME ZONE",
}


@pytest.fixture(params=["one_server", "three_shards", "plain_shards"])
def connection(request: pytest.FixtureRequest) -> gearsql.Connection:
    cluster: Cluster = request.getfixturevalue(request.param)
    connection = gearsql.connect(cluster.url)
    connection.execute("CREATE OR REPLACE TABLE ticks (id BIGINT, n BIGINT) WITH (key = 'tick:{id}')")
    connection.execute(
        "INSERT OR REPLACE INTO ticks VALUES " + ", ".join(f"({n}, {n % 3})" for n in range(30))
    )
    return connection


@pytest.mark.parametrize(("call", "type_"), CLOCKS.items())
def test_the_clock_is_one_for_all_rows(connection: gearsql.Connection, call: str, type_: str) -> None:
    cursor = connection.execute(f"SELECT {call}, count(*) FROM ticks GROUP BY {call}")
    assert cursor.description is not None
    assert cursor.description[0][:2] == (call, type_)
    [(_, count)] = cursor.fetchall()
    assert count == 30


def test_the_clock_goes_on(connection: gearsql.Connection) -> None:
    query = "SELECT max(now()) FROM ticks"
    before = datetime.datetime.now(datetime.UTC)
    [(first,)], [(second,)] = (connection.execute(query).fetchall() for _ in range(2))
    assert before <= first < second <= datetime.datetime.now(datetime.UTC)


def test_a_column_of_such_a_name_is_a_column(connection: gearsql.Connection) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE odd (id BIGINT, \"current_date\" VARCHAR) WITH (key = 'tick:{id}')"
    )
    assert connection.execute("SELECT DISTINCT current_date FROM odd").fetchall() == [(None,)]


def test_random_values_differ_from_row_to_row(connection: gearsql.Connection) -> None:
    rows = connection.execute("SELECT n, random(), uuid() FROM ticks WHERE n < 2").fetchall()
    assert len(rows) == 20 == len({value for _, value, _ in rows})
    assert all(0 <= value < 1 and isinstance(name, uuid.UUID) for _, value, name in rows)
    some = connection.execute("SELECT count(*) FROM ticks WHERE random() < 2 AND n = 1").fetchall()
    assert some == [(10,)]
    joined = "SELECT count(DISTINCT u) FROM (SELECT a.n, uuid() AS u FROM ticks a JOIN ticks b USING (id))"
    assert connection.execute(joined).fetchall() == [(30,)]
