"""Servers whose hooks are tested from SQL to rows: all isolations are allowed, runaways have little time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.hooks.scene import OPTIONS, fill


@pytest.fixture(scope="session")
def lone() -> Iterator[Cluster]:
    """One server with rows."""
    with Cluster(1, module_options=OPTIONS, debug=True) as server:
        fill(server)
        yield server


@pytest.fixture(scope="session")
def trio() -> Iterator[Cluster]:
    """Three shards with the same rows."""
    with Cluster(3, module_options=OPTIONS, debug=True) as cluster:
        fill(cluster)
        yield cluster


@pytest.fixture(scope="session", params=["lone", "trio"])
def place(request: pytest.FixtureRequest) -> Cluster:
    """The one and the other."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Cluster)
    return found


@pytest.fixture
def connection(place: Cluster) -> Iterator[gearsql.Connection]:
    """A connection to both in turn; its functions are dropped in the end."""
    with gearsql.connect(place.url) as connection:
        yield connection
        drop_all(connection)


@pytest.fixture
def trio_connection(trio: Cluster) -> Iterator[gearsql.Connection]:
    """A connection to the three shards."""
    with gearsql.connect(trio.url) as connection:
        yield connection
        drop_all(connection)


def drop_all(connection: gearsql.Connection) -> None:
    """Leave no function behind."""
    for name, *_ in connection.execute("SHOW FUNCTIONS").fetchall():
        connection.execute(f"DROP FUNCTION {name}")
