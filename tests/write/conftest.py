"""The places that statements write to: one server, three shards, and three shards without the module."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster


@pytest.fixture(params=["one_server", "three_shards", "plain_shards"])
def place(request: pytest.FixtureRequest) -> Cluster:
    """Each kind of servers in turn."""
    cluster: Cluster = request.getfixturevalue(request.param)
    return cluster


@pytest.fixture
def connection(place: Cluster) -> Iterator[Connection]:
    """A connection on which no table is left from another test."""
    with gearsql.connect(place.url) as connection:
        yield connection
        for name, *_ in connection.execute("SHOW TABLES").fetchall():
            quoted = name.replace('"', '""')
            with suppress(gearsql.Error):
                connection.execute(f'DELETE FROM "{quoted}"')
            connection.execute(f'DROP TABLE IF EXISTS "{quoted}"')
