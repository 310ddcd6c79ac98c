"""Real servers for the tests. A cluster takes two seconds to start: tests share it and own key prefixes."""

from collections.abc import Iterator

import pytest

from gearsql.embedded import Cluster


@pytest.fixture(scope="session")
def one_server() -> Iterator[Cluster]:
    """A single Valkey server with the module."""
    with Cluster(1, debug=True) as server:
        yield server


@pytest.fixture(scope="session")
def three_shards() -> Iterator[Cluster]:
    """A Valkey cluster of three shards with the module."""
    with Cluster(3, debug=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Cluster]:
    """A single Valkey server without the module."""
    with Cluster(1, module=False) as server:
        yield server


@pytest.fixture(scope="session")
def plain_shards() -> Iterator[Cluster]:
    """A Valkey cluster of three shards without the module."""
    with Cluster(3, module=False) as cluster:
        yield cluster
