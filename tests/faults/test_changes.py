"""Keys that are no hashes, that come and go while a query reads, and databases of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

import gearsql
from gearsql.cluster.presence import Wanted
from gearsql.embedded import Cluster
from gearsql.errors import DataReplacedError, UnknownColumnError
from tests.faults.scene import COUNT, RIGHT, ROWS, SLOWLY, Background, assert_well, fill, wait_until_busy

OTHERS = {
    "string": ("SET", "text"),
    "list": ("RPUSH", "a", "b"),
    "set": ("SADD", "a"),
    "zset": ("ZADD", "1", "a"),
    "stream": ("XADD", "*", "n", "5"),
    "log": ("PFADD", "a"),
}


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_keys_of_other_types_are_skipped_and_counted(quick_shards: Cluster, reader: Wanted) -> None:
    with gearsql.connect(quick_shards.url, reader=reader) as connection:
        owner = connection.engine._shards.owner
        for name, (command, *values) in OTHERS.items():
            owner(f"row:{name}".encode()).ask(command, f"row:{name}", *values)
        cursor = connection.execute(COUNT)
        assert cursor.fetchall() == RIGHT
        assert [str(note) for _, note in cursor.messages] == [
            "6 keys of another type than hash were left out"
        ]
        for name in OTHERS:
            owner(f"row:{name}".encode()).ask("DEL", f"row:{name}")
    assert_well(quick_shards)


@pytest.fixture
def slow_one() -> Iterator[Cluster]:
    with Cluster(1, module_options=SLOWLY | {"PAUSE_US": 3000}, debug=True) as server:
        fill(server.url)
        yield server


@pytest.fixture(scope="module")
def quick_one() -> Iterator[Cluster]:
    with Cluster(1) as server:
        fill(server.url)
        yield server


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_rows_that_stay_are_counted_once_while_another_client_writes(
    quick_one: Cluster, reader: Wanted
) -> None:
    """As with SCAN: what is added or removed meanwhile may count or not, the rest counts once."""
    done = threading.Event()

    def churn() -> None:
        with quick_one.client() as client:
            number = 0
            while not done.is_set():
                pipe = client.pipeline(transaction=False)
                for key in range(number, number + 200):
                    pipe.hset(f"row:new{key % 20_000}", mapping={"n": 1_000_000, "g": 7, "w": "new"})
                    pipe.unlink(f"row:new{(key - 5000) % 20_000}")
                pipe.execute()
                number += 200

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        with gearsql.connect(quick_one.url, reader=reader) as connection:
            for _ in range(2):
                old = connection.execute(
                    'SELECT count(*), sum(n), count(DISTINCT n) FROM "row:*" WHERE n < 1000000'
                )
                assert old.fetchall() == [(ROWS, ROWS * (ROWS - 1) // 2, ROWS)]
                values = connection.execute('SELECT DISTINCT g, w FROM "row:*" WHERE n >= 1000000').fetchall()
                assert values == [(7, "new")]
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB", "SWAPDB 0 1", "SWAPDB 2 0", "DEBUG RELOAD"]
)
def test_a_database_that_is_replaced_under_a_query_is_named(slow_one: Cluster, command: str) -> None:
    query = Background(slow_one.url, COUNT)
    wait_until_busy(slow_one)
    with slow_one.client() as client:
        client.execute_command(*command.split())
    with pytest.raises(DataReplacedError, match="while the query read it"):
        query.end()
    fill(slow_one.url)
    assert_well(slow_one)


def test_another_database_may_be_emptied(slow_one: Cluster) -> None:
    query = Background(slow_one.url, COUNT)
    wait_until_busy(slow_one)
    with redis.Redis(port=slow_one.ports[0], db=1) as client:
        client.flushdb()
        client.swapdb(2, 3)
    assert query.end() == RIGHT


def test_databases_have_rows_and_tables_of_their_own(one_server: Cluster) -> None:
    third = f"{one_server.url}/3"
    with redis.Redis(port=one_server.ports[0], db=3) as client:
        client.hset("own:1", mapping={"n": 3, "here": "yes"})
    with one_server.client() as client:
        client.hset("own:1", mapping={"n": 0})
    with gearsql.connect(one_server.url) as zero, gearsql.connect(third) as three:
        assert zero.execute('SELECT n FROM "own:*"').fetchall() == [(0,)]
        assert three.execute('SELECT n, here FROM "own:*"').fetchall() == [(3, "yes")]
        with pytest.raises(UnknownColumnError):
            zero.execute('SELECT here FROM "own:*"')
        three.execute("CREATE TABLE of_three (n BIGINT) WITH (key = 'own:{id}')")
        assert ("of_three", "own:{id}", "hash") in three.execute("SHOW TABLES").fetchall()
        assert ("of_three", "own:{id}", "hash") not in zero.execute("SHOW TABLES").fetchall()
        with pytest.raises(UnknownColumnError):
            zero.execute("SELECT n FROM of_three")
        assert three.execute("SELECT n FROM of_three").fetchall() == [(3,)]
    with redis.Redis(port=one_server.ports[0], db=3) as client:
        client.flushdb()
    with one_server.client() as client:
        client.delete("own:1")
