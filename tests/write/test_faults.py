"""Slots that move and servers that die under a statement that writes: sent again where safe, else counted."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.crc import key_slot

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import Error, ShardUnreachableError

ROWS = [(n, n) for n in range(300)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[Connection]:
    with gearsql.connect(cluster.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE m (id INTEGER, a INTEGER) WITH (key = 'm:{{tag}}:{id}')")
        connection.execute("DELETE FROM m")
        yield connection


SLOT = key_slot(b"{tag}")


def clients(cluster: Cluster) -> list[redis.Redis]:
    return [redis.Redis(port=port) for port in cluster.ports]


def owner(cluster: Cluster) -> int:
    for index, client in enumerate(clients(cluster)):
        told = client.execute_command("CLUSTER", "SLOTS")
        for first, last, (_, port, *_), *_ in told:
            if first <= SLOT <= last:
                return cluster.ports.index(port)
        return index
    raise AssertionError


def give(cluster: Cluster, source: int, target: int) -> None:
    """Let a slot without keys change hands, known to all."""
    nodes = clients(cluster)
    name = nodes[target].execute_command("CLUSTER", "MYID")
    for node in (nodes[target], nodes[source], *nodes):
        node.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", name)


def test_rows_follow_a_slot_that_has_moved(cluster: Cluster, connection: Connection) -> None:
    source = owner(cluster)
    target = (source + 1) % 3
    assert connection.execute("SELECT count(*) FROM m").fetchall() == [(0,)]
    give(cluster, source, target)
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO m VALUES (?, ?)", ROWS)
    assert cursor.rowcount == len(ROWS)
    assert connection.execute("SELECT count(*), sum(a) FROM m").fetchall() == [(300, sum(range(300)))]
    assert connection.execute("DELETE FROM m").rowcount == len(ROWS)
    give(cluster, target, source)


def test_rows_follow_a_slot_that_is_moving(cluster: Cluster, connection: Connection) -> None:
    source = owner(cluster)
    target = (source + 1) % 3
    nodes = clients(cluster)
    connection.execute("INSERT INTO m VALUES (-1, 1), (-2, 2)")
    ids = [node.execute_command("CLUSTER", "MYID") for node in nodes]
    nodes[target].execute_command("CLUSTER", "SETSLOT", SLOT, "IMPORTING", ids[source])
    nodes[source].execute_command("CLUSTER", "SETSLOT", SLOT, "MIGRATING", ids[target])
    cursor = connection.cursor()
    cursor.executemany("INSERT OR REPLACE INTO m VALUES (?, ?)", [*ROWS, (-1, 7)])
    assert cursor.rowcount == len(ROWS) + 1
    # New keys are where the slot goes, old ones where they were.
    assert nodes[source].execute_command("CLUSTER", "COUNTKEYSINSLOT", SLOT) == 2
    assert nodes[target].execute_command("CLUSTER", "COUNTKEYSINSLOT", SLOT) == len(ROWS)
    keys = nodes[source].execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 10)
    nodes[source].execute_command("MIGRATE", "127.0.0.1", cluster.ports[target], "", 0, 5000, "KEYS", *keys)
    give(cluster, source, target)
    assert connection.execute("SELECT count(*), min(a) FROM m WHERE id >= 0 OR a = 7").fetchall() == [
        (301, 0)
    ]
    connection.execute("DELETE FROM m")


class Dying:
    """Kills a server when its second chunk of rows is on the way."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.cluster, self.index, self.chunks = cluster, index, 0

    def wrap(self, send: Any) -> Any:
        def sending(connection: Any, commands: list[bytes]) -> None:
            if connection.name.endswith(f":{self.cluster.ports[self.index]}") and b"EVALSHA" in commands[-1]:
                self.chunks += 1
                if self.chunks == 2:
                    self.cluster.kill(self.index)
            send(connection, commands)

        return sending


@pytest.mark.parametrize(
    "statement", ["INSERT INTO m VALUES (?, ?)", "INSERT OR REPLACE INTO m VALUES (?, ?)"]
)
def test_a_server_that_dies_is_named_and_rows_are_counted(
    cluster: Cluster, connection: Connection, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    from gearsql.cluster.connection import ShardConnection

    index = owner(cluster)
    dying = Dying(cluster, index)
    monkeypatch.setattr(ShardConnection, "send_packed", dying.wrap(ShardConnection.send_packed))
    try:
        with pytest.raises(Error) as raised:
            connection.cursor().executemany(statement, [(n, n) for n in range(5000)])
    finally:
        monkeypatch.undo()
        cluster.restart(index)
    assert isinstance(raised.value, ShardUnreachableError)
    told = raised.value.written
    assert told is not None
    assert told.rows == 1000 and told.rows + told.left + told.unsure == 5000
    assert "first key not written" in str(raised.value)
