"""Where the questions are asked: servers of every kind, with and without the module, with the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pytest

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.embedded import Cluster
from tests.oracle import zoo
from tests.oracle.judge import Oracle
from tests.servers import binary

# The shared servers by their fixtures, the others as (server, shards). What differs between servers is the
# scan, not the plan: the whole zoo is asked where the module's two plans run, one table on every server.
PLACES: dict[str, str | tuple[str, int]] = {
    "valkey-9.1": "one_server",
    "valkey-9.1 3 shards": "three_shards",
    "portable": "plain_server",
    "portable 3 shards": "plain_shards",
    "valkey-8.1": ("valkey-8.1", 1),
    "redis-8.2": ("redis-8.2", 1),
    "redis-7.0": ("redis-7.0", 1),
    "redis-7.0 3 shards": ("redis-7.0", 3),
}


@dataclass(frozen=True)
class Place:
    """A connection to servers that hold the zoo, and the tables to ask there."""

    connection: gearsql.Connection
    tables: tuple[str, ...]


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """DuckDB with the rows of the zoo in native tables."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # as on the shards
        for name in zoo.TABLES:
            connection.execute(zoo.native(name), {"odd": zoo.ODD_IDS})
        yield Oracle(connection)


@pytest.fixture(scope="session", params=PLACES)
def place(request: pytest.FixtureRequest, oracle: Oracle) -> Iterator[Place]:
    """Servers that hold the zoo, of each kind in turn."""
    match PLACES[request.param]:
        case str(fixture):
            with filled(request.getfixturevalue(fixture).url, oracle) as connection:
                yield Place(connection, ("zoo", "nobody") if "plain" in fixture else tuple(zoo.TABLES))
        case (server, shards):
            with Cluster(shards, server=binary(server)) as cluster, filled(cluster.url, oracle) as connection:
                yield Place(connection, ("zoo",))


@contextmanager
def filled(url: str, oracle: Oracle) -> Iterator[gearsql.Connection]:
    """Load and declare the zoo's tables."""
    shards = Shards(url)
    with gearsql.connect(url) as connection:
        for name, (template, _, rows) in zoo.TABLES.items():
            native = oracle.connection.sql(f"SELECT * EXCLUDE (_key) FROM {name}")
            assert load(shards, native, parse_template(template)).hashes == rows
            connection.execute(zoo.create(name))
        shards.close()
        yield connection
