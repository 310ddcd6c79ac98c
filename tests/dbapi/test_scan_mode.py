"""How the servers are read: chosen for a connection or a statement, and said when it was not possible."""

from __future__ import annotations

import pytest
from redis.cluster import RedisCluster

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import InterfaceError, NotSupportedError
from gearsql.plan.stages import ScanMode

SQL = 'SELECT count(*) FROM "mode:*"'


def test_a_mode_that_is_none_is_refused(one_server: Cluster) -> None:
    with pytest.raises(InterfaceError, match="'sliced' or 'snapshot', not 'whole'"):
        gearsql.connect(one_server.url, scan="whole")  # type: ignore[arg-type]
    with gearsql.connect(one_server.url) as connection, pytest.raises(InterfaceError, match="not ''"):
        connection.execute(SQL, scan="")  # type: ignore[arg-type]


def test_the_portable_reader_refuses_snapshots(plain_server: Cluster) -> None:
    with plain_server.client() as client:
        client.hset("mode:1", "n", 1)
    with gearsql.connect(plain_server.url, scan="snapshot") as connection:
        with pytest.raises(NotSupportedError, match="the portable reader takes no snapshots"):
            connection.execute(SQL)
        assert connection.execute(SQL, scan="sliced").fetchall() == [(1,)]


def fill(cluster: Cluster, count: int) -> None:
    with RedisCluster.from_url(cluster.url) as client:
        for i in range(count):
            client.hset(f"mode:{i}", mapping={"n": i, "text": "x" * (i % 40)})


@pytest.mark.parametrize("where", ["connection", "statement"])
def test_a_cluster_answers_from_snapshots(three_shards: Cluster, where: str) -> None:
    fill(three_shards, 500)
    sql = 'SELECT count(*), sum(n), sum(length(text)) FROM "mode:*"'
    mode: ScanMode = "snapshot" if where == "connection" else "sliced"
    with gearsql.connect(three_shards.url, scan=mode) as connection:
        cursor = connection.execute(sql, scan="snapshot" if where == "statement" else None)
        assert cursor.fetchall() == [(500, 124_750, sum(i % 40 for i in range(500)))]
        assert cursor.messages == []


def test_a_refused_snapshot_is_said(three_shards: Cluster) -> None:
    fill(three_shards, 500)
    with three_shards.client(1) as client, gearsql.connect(three_shards.url, scan="snapshot") as connection:
        client.config_set("rdb-key-save-delay", 20_000)
        client.bgsave()
        try:
            cursor = connection.execute(SQL)
        finally:
            client.config_set("rdb-key-save-delay", 0)
        assert cursor.fetchall() == [(500,)]
        (note,) = [str(message) for _, message in cursor.messages]
        port = three_shards.ports[1]
        assert note.startswith(f"127.0.0.1:{port} read in slices, and took no snapshot: the server is saving")
        assert connection.execute(SQL, scan="sliced").messages == []
