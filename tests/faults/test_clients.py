"""Clients that vanish, interrupt, close in the middle, or work side by side."""

from __future__ import annotations

import signal
import time

import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import CancelledError, InterfaceError
from tests.faults.scene import (
    COUNT,
    RIGHT,
    ROWS,
    Background,
    another_process,
    assert_well,
    stages,
    wait_until_busy,
    wait_until_idle,
)
from tests.module.raw import status


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_client_that_is_killed_frees_its_stages(slow_shards: Cluster, how: signal.Signals) -> None:
    with another_process(slow_shards, COUNT) as client:
        wait_until_busy(slow_shards)
        client.send_signal(how)
        client.wait(10)
        # Less than the second or two that the query takes.
        begun = time.monotonic()
        wait_until_idle(slow_shards)
        assert time.monotonic() - begun < 1
    assert_well(slow_shards)


def test_a_client_that_is_killed_while_it_fetches_frees_its_stages(slow_shards: Cluster) -> None:
    with another_process(slow_shards, 'SELECT *, repeat(w, 200) FROM "row:*"') as client:
        wait_until_busy(slow_shards)
        time.sleep(0.3)
        client.kill()
        client.wait(10)
        wait_until_idle(slow_shards)
    assert_well(slow_shards)


def test_ctrl_c_ends_the_stages_and_the_connection_lives_on(slow_shards: Cluster) -> None:
    def interrupt(done: int, total: int) -> None:
        assert stages(slow_shards) > 0
        signal.raise_signal(signal.SIGINT)

    with gearsql.connect(slow_shards.url) as connection:
        cursor = connection.cursor()
        cursor.progress = interrupt
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            cursor.execute(COUNT)
        wait_until_idle(slow_shards)
        assert time.monotonic() - begun < 3
        assert connection.execute(COUNT).fetchall() == RIGHT
    assert_well(slow_shards)


def test_a_timeout_ends_the_stages(slow_shards: Cluster) -> None:
    with gearsql.connect(slow_shards.url, timeout=0.3) as connection:
        with pytest.raises(CancelledError, match="time is up"):
            connection.execute(COUNT)
        wait_until_idle(slow_shards)
    assert_well(slow_shards)


def test_a_stage_cancelled_by_an_operator_is_an_error(slow_shards: Cluster) -> None:
    query = Background(slow_shards.url, COUNT)
    wait_until_busy(slow_shards)
    with slow_shards.client(1) as client:
        (stage,) = status(client)["stages"]
        assert client.execute_command("GEARSQL.CANCEL", stage[stage.index(b"id") + 1]) == 1
    with pytest.raises(CancelledError, match=str(slow_shards.ports[1])):
        query.end()
    assert_well(slow_shards)


def test_a_cursor_closed_in_the_middle_leaves_the_others_alone(quick_shards: Cluster) -> None:
    with gearsql.connect(quick_shards.url) as connection:
        first, second = connection.cursor(), connection.cursor()
        first.execute('SELECT n FROM "row:*"')
        second.execute('SELECT n FROM "row:*" ORDER BY n')
        assert first.fetchone() is not None and second.fetchone() == (0,)
        first.close()
        with pytest.raises(InterfaceError):
            first.fetchone()
        assert second.fetchmany(2) == [(1,), (2,)]
        assert len(second.fetchall()) == ROWS - 3
    assert_well(quick_shards)


def test_a_connection_closed_in_the_middle_of_its_rows_frees_all(quick_shards: Cluster) -> None:
    connection = gearsql.connect(quick_shards.url)
    cursor = connection.execute('SELECT n FROM "row:*"')
    assert cursor.fetchone() is not None
    connection.close()
    with pytest.raises(InterfaceError):
        cursor.fetchone()
    assert_well(quick_shards)


def test_threads_with_a_connection_each_do_not_disturb_each_other(quick_shards: Cluster) -> None:
    some = [(0, ROWS // 100), (1, ROWS // 100)]
    queries = {
        COUNT: RIGHT,
        'SELECT count(DISTINCT w) FROM "row:*"': [(ROWS,)],
        'SELECT g, count(*) FROM "row:*" GROUP BY g HAVING g < 2 ORDER BY g': some,
        'SELECT n FROM "row:*" ORDER BY n DESC LIMIT 1': [(ROWS - 1,)],
    }
    for _ in range(3):
        asked = [(Background(quick_shards.url, query), right) for query, right in queries.items()]
        for query, right in asked:
            assert query.end() == right
    assert_well(quick_shards)
