"""Primaries that die, stall or step down while a query counts their rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import CancelledError, ShardUnreachableError
from tests.faults.scene import COUNT, RIGHT, SLOWLY, Background, fill, wait_until, wait_until_busy


@pytest.fixture(scope="module")
def pairs() -> Iterator[Cluster]:
    """Three slow shards with a replica each."""
    with Cluster(3, replicas=1, node_timeout_ms=1000, module_options=SLOWLY) as cluster:
        fill(cluster.url)
        for shard in range(3):
            with cluster.client(shard) as client:
                assert client.wait(1, 5000) == 1
        yield cluster


def role(cluster: Cluster, server: int) -> str:
    with cluster.client(server) as client:
        return str(client.role()[0].decode())


def primary_and_replica(cluster: Cluster, shard: int) -> tuple[int, int]:
    """Return the two servers of a shard as they are now."""
    wait_until(lambda: is_whole(cluster), "the cluster does not heal")
    first, second = shard, shard + 3
    return (first, second) if role(cluster, first) == "master" else (second, first)


def is_whole(cluster: Cluster) -> bool:
    roles = []
    for server in range(6):
        with cluster.client(server) as client:
            told = client.info("replication")
            synced = told["role"] == "master" or told["master_link_status"] == "up"
            ok = b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO")
            roles.append((told["role"], synced and ok))
    return sorted(roles) == [("master", True)] * 3 + [("slave", True)] * 3


def test_a_query_outlives_the_death_of_a_primary(pairs: Cluster) -> None:
    primary, replica = primary_and_replica(pairs, 1)
    query = Background(pairs.url, COUNT)
    wait_until_busy(pairs)
    pairs.kill(primary)
    assert query.end() == RIGHT
    # One that came back before would be a primary still, and empty.
    assert role(pairs, replica) == "master"
    pairs.restart(primary)


def test_a_query_outlives_a_primary_that_steps_down(pairs: Cluster) -> None:
    _, replica = primary_and_replica(pairs, 2)
    query = Background(pairs.url, COUNT)
    time.sleep(0.5)
    with pairs.client(replica) as client:
        client.execute_command("CLUSTER", "FAILOVER")
    assert query.end() == RIGHT


def test_a_query_goes_to_the_successor_of_a_stopped_primary(pairs: Cluster) -> None:
    primary, replica = primary_and_replica(pairs, 0)
    query = Background(pairs.url, COUNT)
    time.sleep(0.5)
    with stopped(pairs, primary):
        assert query.end() == RIGHT
        # The query may have been done with that shard before it was stopped.
        wait_until(lambda: role(pairs, replica) == "master", "the replica does not take over")
        # Who connects now, by the URL of the stopped one, is told so in time.
        if primary == 0:
            begun = time.monotonic()
            with pytest.raises(ShardUnreachableError):
                gearsql.connect(pairs.url, timeout=1)
            assert time.monotonic() - begun < 3
    with gearsql.connect(pairs.url) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT


@contextmanager
def stopped(cluster: Cluster, server: int) -> Iterator[None]:
    cluster.pause(server)
    try:
        yield
    finally:
        cluster.resume(server)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_stopped_server_keeps_nobody_beyond_his_time(when: str) -> None:
    with Cluster(1, module_options=SLOWLY) as server:
        fill(server.url, 10_000)
        with gearsql.connect(server.url, timeout=2) as connection:
            connection.execute(COUNT)
            query = Background(server.url, COUNT, timeout=2)
            if when == "while":
                wait_until_busy(server)
            with stopped(server, 0):
                begun = time.monotonic()
                for ends in (query.end, lambda: connection.execute(COUNT)):
                    with pytest.raises((CancelledError, ShardUnreachableError)):
                        ends()
                assert time.monotonic() - begun < 6
