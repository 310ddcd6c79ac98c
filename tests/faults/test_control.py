"""Queries that are ended before their end: cancelled, or out of time, wherever they are."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gearsql
from gearsql.cluster.control import Control
from gearsql.dbapi import Cursor
from gearsql.embedded import Cluster
from gearsql.errors import CancelledError, InterfaceError, QueryTimeoutError
from tests.faults.scene import COUNT, RIGHT, SECONDS, assert_well, wait_until_busy, wait_until_idle
from tests.module.raw import status

# 100 ms is the promise; the rest is for a machine that does other things.
SOON = 1.0
ENDLESS = """CREATE OR REPLACE FUNCTION endless(n BIGINT) RETURNS BIGINT LANGUAGE python AS $$
while n is not None:
    n += 1
return n$$"""


@contextmanager
def running(cursor: Cursor, query: str) -> Iterator[list[BaseException]]:
    """Run a query on a thread; afterwards the list holds what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            cursor.execute(query)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield raised
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_cancel_from_another_thread_ends_all_shards(slow_shards: Cluster) -> None:
    with gearsql.connect(slow_shards.url) as connection:
        cursor = connection.cursor()
        with running(cursor, COUNT) as raised:
            wait_until_busy(slow_shards)
            begun = time.monotonic()
            cursor.cancel()
            wait_until_idle(slow_shards)
        assert time.monotonic() - begun < SOON
        (error,) = raised
        assert type(error) is CancelledError
        assert error.query_id == cursor.query_id
        assert "the query was cancelled" in str(error)
        assert cursor.execute(COUNT).fetchall() == RIGHT
    assert_well(slow_shards)


def test_what_a_user_sees_of_a_query_has_its_id(slow_shards: Cluster) -> None:
    with gearsql.connect(slow_shards.url) as connection:
        cursor = connection.cursor()
        assert cursor.query_id is None
        with running(cursor, COUNT):
            wait_until_busy(slow_shards)
            query_id = cursor.query_id
            for shard in range(3):
                with slow_shards.client(shard) as client:
                    (stage,) = status(client)["stages"]
                assert stage[stage.index(b"id") + 1].decode().startswith(f"{query_id}.")
        assert cursor.query_id == query_id
        cursor.execute(COUNT)
        assert cursor.query_id != query_id


def test_a_statements_own_time_goes_before_the_connections(slow_shards: Cluster) -> None:
    with gearsql.connect(slow_shards.url, timeout=0.2) as connection:
        assert connection.execute(COUNT, timeout=60).fetchall() == RIGHT
        assert connection.execute(COUNT, timeout=math.inf).fetchall() == RIGHT
        begun = time.monotonic()
        with pytest.raises(QueryTimeoutError, match=r"time is up, after 0\.1 s") as caught:
            connection.execute(COUNT, timeout=0.1)
        wait_until_idle(slow_shards)
        assert time.monotonic() - begun < SOON
        assert caught.value.query_id
        with pytest.raises(QueryTimeoutError, match=r"time is up, after 0\.2 s"):
            connection.execute(COUNT)
        for wrong in (0, -1, math.nan):
            with pytest.raises(InterfaceError, match="a timeout is a number of seconds"):
                connection.execute(COUNT, timeout=wrong)
    assert_well(slow_shards)


def test_a_reader_in_the_client_is_ended_as_well(slow_shards: Cluster) -> None:
    query = 'SELECT count(*) FROM "row:*" WHERE w <> $$x$$'
    with gearsql.connect(slow_shards.url, reader="portable") as connection:
        cursor = connection.cursor()
        with running(cursor, query) as raised:
            time.sleep(0.1)
            begun = time.monotonic()
            cursor.cancel()
        assert time.monotonic() - begun < SOON
        assert [type(error) for error in raised] == [CancelledError]
        with pytest.raises(QueryTimeoutError):
            connection.execute(query, timeout=0.05)
        assert connection.execute(COUNT).fetchall() == RIGHT


@pytest.mark.parametrize("query", ['SELECT endless(n) FROM "row:*"', 'SELECT endless(count(*)) FROM "row:*"'])
def test_a_function_that_does_not_end_is_ended(quick_shards: Cluster, query: str) -> None:
    with gearsql.connect(quick_shards.url, session="control") as connection:
        connection.execute(ENDLESS)
        cursor = connection.cursor()
        with running(cursor, query) as raised:
            time.sleep(0.7)
            begun = time.monotonic()
            cursor.cancel()
            wait_until_idle(quick_shards)
        assert time.monotonic() - begun < SOON
        assert [type(error) for error in raised] == [CancelledError]
        connection.execute("DROP FUNCTION endless")
    assert_well(quick_shards)


def test_a_query_that_waits_for_a_failover_is_ended() -> None:
    with (
        Cluster(3, replicas=1, node_timeout_ms=60_000) as cluster,
        gearsql.connect(cluster.url) as connection,
    ):
        cursor = connection.execute('SELECT count(*) FROM "none:*"')
        shards = connection.engine._shards
        while not all(shard.replicas for shard in shards.all):
            time.sleep(0.1)
            shards.refresh()
        cluster.kill(1)
        with running(cursor, 'SELECT count(*) FROM "none:*"') as raised:
            time.sleep(0.5)
            assert not raised
            begun = time.monotonic()
            cursor.cancel()
        assert time.monotonic() - begun < SOON
        assert [type(error) for error in raised] == [CancelledError]


def test_a_cancel_that_comes_too_late_or_too_early_harms_nobody(quick_shards: Cluster) -> None:
    with gearsql.connect(quick_shards.url) as connection:
        cursor = connection.cursor()
        cursor.cancel()
        for _ in range(3):
            assert cursor.execute(COUNT).fetchall() == RIGHT
            cursor.cancel()


def test_whoever_stops_insists() -> None:
    # DuckDB forgets an interrupt that comes before it runs.
    control, stops = Control(), []
    with pytest.raises(CancelledError), control.running(), control.stopping(lambda: stops.append(1)):
        control.cancel()
        while len(stops) < 3:
            time.sleep(0.01)
        raise ValueError("what comes of it")
