"""Functions over time, through SQL: restarts, replicas, shards that join, redefinitions by others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import FunctionChangedError, UnknownFunctionError
from tests.faults.scene import wait_until
from tests.hooks.scene import ROWS, define, fill, rows, value
from tests.servers import binary

TOTAL = """
class total:
    def __init__(self): self.sum = 0
    def accumulate(self, n): self.sum += n
    def merge(self, other): self.sum += other.sum
    def finish(self): return self.sum
"""
KINDS = {
    "plus": "SELECT sum(plus(n)) FROM t",
    "total": "SELECT total(n) FROM t",
    "steps": "SELECT sum(v) FROM t, steps(n)",
}
ALL = sum(range(ROWS))
RIGHT = {"plus": ALL + ROWS, "total": ALL, "steps": 2 * ALL}


def define_all(connection: Connection, *options: str) -> None:
    define(connection, "plus(n BIGINT) RETURNS BIGINT", "return n + 1", *options)
    define(connection, "total(n BIGINT) RETURNS HUGEINT", TOTAL, *options, aggregate=True)
    define(connection, "steps(n BIGINT) RETURNS TABLE (v BIGINT)", "yield n\nyield n", *options)


def assert_all(connection: Connection) -> None:
    assert {name: int(value(connection, sql)) for name, sql in KINDS.items()} == RIGHT


@pytest.mark.parametrize(
    ("name", "shards", "isolation"),
    [
        ("valkey-9.1", 3, "process"),
        ("valkey-8.1", 1, "session"),
        ("redis-8.2", 1, "process"),
        ("redis-7.0", 1, "session"),
    ],
)
def test_functions_survive_a_restart(name: str, shards: int, isolation: str, tmp_path: Path) -> None:
    with Cluster(shards, server=binary(name), directory=tmp_path) as cluster:
        fill(cluster)
        with gearsql.connect(cluster.url) as connection:
            define_all(connection, f"ISOLATION {isolation}")
            define(connection, "gone(n BIGINT) RETURNS BIGINT", "return n")
            connection.execute("DROP FUNCTION gone")
            shown = rows(connection, "SHOW FUNCTIONS")
    again = Cluster(shards, server=binary(name), directory=tmp_path)
    with again as cluster, gearsql.connect(cluster.url) as connection:
        assert rows(connection, "SHOW FUNCTIONS") == shown
        assert_all(connection)
        with pytest.raises(UnknownFunctionError):
            connection.execute("SELECT gone(n) FROM t")


def test_a_restarted_shard_gets_its_functions_from_the_others() -> None:
    """Its data is lost, it had no RDB; the functions come by the cluster's bus."""
    with Cluster(3) as cluster, gearsql.connect(cluster.url) as connection:
        fill(cluster)
        define_all(connection)
        assert_all(connection)
        cluster.kill(1)
        cluster.restart(1)
        wait_until(lambda: _lists(cluster, 1) == {"plus", "total", "steps"}, "nobody told the shard")
        fill_again = {name: value(connection, sql) for name, sql in KINDS.items()}
        assert 0 < fill_again["plus"] < RIGHT["plus"], "two thirds of the rows are left"


def _lists(cluster: Cluster, shard: int) -> set[str]:
    with cluster.client(shard) as client:
        listed = [
            dict(zip(told[::2], told[1::2], strict=True))
            for told in client.execute_command("GEARSQL.FUNCTIONS")
        ]
    return {told[b"name"].decode() for told in listed if not told[b"deleted"]}


@pytest.fixture(scope="module")
def pairs() -> Iterator[Cluster]:
    """Three shards, each with a replica."""
    with Cluster(3, replicas=1, node_timeout_ms=2000) as cluster:
        fill(cluster)
        yield cluster


def test_functions_survive_a_failover(pairs: Cluster) -> None:
    with gearsql.connect(pairs.url, timeout=40) as connection:
        define_all(connection)
        assert_all(connection)
        with pairs.client(0) as client:
            assert client.wait(1, 5000) == 1
        pairs.kill(0)
        assert_all(connection)
        define(connection, "plus(n BIGINT) RETURNS BIGINT", "return n + 2")
        assert value(connection, KINDS["plus"]) == ALL + 2 * ROWS
        pairs.restart(0)
        wait_until(lambda: _lists(pairs, 0) == {"plus", "total", "steps"}, "the old primary knows nothing")
        assert value(connection, KINDS["plus"]) == ALL + 2 * ROWS


def test_a_shard_that_joins_later_runs_functions(tmp_path: Path) -> None:
    with (
        Cluster(3) as cluster,
        Cluster(1, config={"cluster-enabled": "yes"}, debug=True) as late,
        late.client() as newcomer,
        gearsql.connect(cluster.url) as connection,
    ):
        fill(cluster)
        define_all(connection)
        assert_all(connection)
        newcomer.execute_command("CLUSTER", "MEET", "127.0.0.1", cluster.ports[0])
        wait_until(lambda: _lists(late, 0) == {"plus", "total", "steps"}, "nobody told the newcomer")
        _give_slots(cluster, late, range(60))
        assert_all(connection)
        define(connection, "plus(n BIGINT) RETURNS BIGINT", "return n + 2")
        assert value(connection, KINDS["plus"]) == ALL + 2 * ROWS


def _give_slots(cluster: Cluster, late: Cluster, slots: range) -> None:
    """Move slots with their keys from the first shard to the newcomer."""
    with cluster.client(0) as giver, late.client() as taker:
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (giver, taker)]
        wait_until(lambda: ids[1] in str(giver.execute_command("CLUSTER", "NODES")), "they have not met")
        wait_until(lambda: "state:ok" in str(taker.execute_command("CLUSTER", "INFO")), "it is not ready")
        for slot in slots:
            taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            keys = giver.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
            if keys:
                giver.execute_command("MIGRATE", "127.0.0.1", late.ports[0], "", 0, 5000, "KEYS", *keys)
            taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])


# ---- other versions ------------------------------------------------------------------------------------


def test_another_connections_plan_does_not_outlive_a_redefinition(
    connection: Connection, place: Cluster
) -> None:
    sql = "SELECT sum(plus(n)) FROM t"
    with gearsql.connect(place.url) as other:
        for step in (1, 5, 1):
            define(other, "plus(n BIGINT) RETURNS BIGINT", f"return n + {step}")
            assert value(connection, sql) == ALL + step * ROWS
            assert value(connection, sql) == ALL + step * ROWS
        # Another type of the result, another number of parameters, another kind.
        define(other, "plus(n BIGINT) RETURNS DOUBLE", "return n + 0.5")
        assert value(connection, sql) == ALL + 0.5 * ROWS
        define(
            other, "plus(n BIGINT) RETURNS BIGINT", TOTAL.replace("class total", "class plus"), aggregate=True
        )
        assert value(connection, "SELECT plus(n) FROM t") == ALL
        other.execute("DROP FUNCTION plus")
        with pytest.raises(UnknownFunctionError):
            connection.execute("SELECT plus(n) FROM t")
        define(other, "plus(n BIGINT, m BIGINT) RETURNS BIGINT", "return n + m")
        assert value(connection, "SELECT sum(plus(n, 1)) FROM t") == ALL + ROWS


def test_an_answer_is_that_of_one_version(place: Cluster) -> None:
    """Redefined again and again while others ask: each row, of each shard, is of the same version."""
    over = threading.Event()
    answers: list[set[tuple[int, ...]]] = []
    failures: list[BaseException] = []

    def ask() -> None:
        sql = "SELECT DISTINCT edition(n), edition(n + 1), edition(max(n)) FROM t GROUP BY n"
        try:
            with gearsql.connect(place.url) as own:
                while not over.is_set():
                    try:
                        answers.append(set(rows(own, sql)))
                    except FunctionChangedError:
                        answers.append(set())
        except BaseException as error:
            failures.append(error)

    with gearsql.connect(place.url) as connection:
        define(connection, "edition(n BIGINT) RETURNS BIGINT", "return 0")
        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        begun, number = time.monotonic(), 0
        while time.monotonic() - begun < 2.5 or number < 10:
            number += 1
            so_far = len(answers)
            define(connection, "edition(n BIGINT) RETURNS BIGINT", f"return {number}")
            # One of the three asks anew; the others are on their way.
            wait_until(lambda more=so_far + 1: len(answers) >= more or bool(failures), "no answer came")
        over.set()
        for asker in askers:
            asker.join(30)
        connection.execute("DROP FUNCTION edition")
    assert not failures, failures[0]
    mixed = [answer for answer in answers if len(answer) > 1 or any(len(set(row)) > 1 for row in answer)]
    assert not mixed, mixed[0]
    seen = {row[0] for answer in answers for row in answer}
    assert len(seen) > 3, "queries ran between redefinitions"
    given_up = sum(not answer for answer in answers)
    assert given_up <= len(answers) // 3


def test_a_function_that_is_redefined_while_it_runs_stays_what_it_was(lone: Cluster) -> None:
    with gearsql.connect(lone.url) as connection, gearsql.connect(lone.url) as other:
        slow = "import time\ntime.sleep(0.002)\nreturn {}"
        define(connection, "slow(n BIGINT) RETURNS BIGINT", slow.format(1))
        found: list[list[tuple[int, ...]]] = []
        thread = threading.Thread(target=lambda: found.append(rows(other, "SELECT DISTINCT slow(n) FROM t")))
        thread.start()
        time.sleep(0.3)
        define(connection, "slow(n BIGINT) RETURNS BIGINT", slow.format(2))
        connection.execute("DROP FUNCTION slow")
        thread.join(30)
        assert found == [[(1,)]]
