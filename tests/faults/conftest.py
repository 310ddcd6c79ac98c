"""Servers to be ill-treated: shared where they survive it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.faults.scene import SLOWLY, fill


@pytest.fixture(scope="session")
def slow_shards() -> Iterator[Cluster]:
    """Three shards with rows, on which a scan takes a second or two."""
    with Cluster(3, module_options=SLOWLY) as cluster:
        fill(cluster.url)
        yield cluster


@pytest.fixture(scope="session")
def quick_shards() -> Iterator[Cluster]:
    """Three shards with the same rows."""
    with Cluster(3) as cluster:
        fill(cluster.url)
        yield cluster


@pytest.fixture
def connection(quick_shards: Cluster) -> Iterator[gearsql.Connection]:
    with gearsql.connect(quick_shards.url) as connection:
        yield connection
