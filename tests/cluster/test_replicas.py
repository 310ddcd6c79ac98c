"""Queries that replicas answer: exactly, and as freshly as they are asked; or the primary, which is said."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
import redis
from redis.crc import key_slot

import gearsql
from gearsql.cluster.control import ShardProgress
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import DataReplacedError, HookError, ShardError
from gearsql.plan.stages import ReadFrom
from tests.module.raw import Scan, execute_words

ROWS = 3000
COUNT = 'SELECT count(*), sum(n) FROM "row:*"'
RIGHT = [(ROWS, sum(range(ROWS)))]


@pytest.fixture(scope="module")
def replicated() -> Iterator[Cluster]:
    with Cluster(3, replicas=1, debug=True, node_timeout_ms=20_000) as cluster:
        with redis.RedisCluster(host="127.0.0.1", port=cluster.ports[0]) as client:
            pipe = client.pipeline()
            for i in range(ROWS):
                pipe.hset(f"row:{i}", "n", i)
            pipe.execute()
        yield cluster


@pytest.fixture
def connection(replicated: Cluster) -> Iterator[Connection]:
    with gearsql.connect(replicated.url, read_from="replica", timeout=60) as connection:
        yield connection


def told(replicated: Cluster, index: int) -> dict[str, object]:
    with redis.Redis(port=replicated.replica_ports[index]) as client:
        return client.info("gearsql")


def notes(cursor: gearsql.dbapi.Cursor) -> list[str]:
    return [str(message) for _, message in cursor.messages]


def test_the_replicas_answer_and_it_is_said(replicated: Cluster, connection: Connection) -> None:
    before = [told(replicated, i)["gearsql_stages_total"] for i in range(3)]
    cursor = connection.execute(COUNT)
    assert cursor.fetchall() == RIGHT
    said = notes(cursor)
    assert len(said) == 3 and all("bytes behind, and caught up" in note for note in said), said
    after = [told(replicated, i)["gearsql_stages_total"] for i in range(3)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]  # type: ignore[operator]


def test_what_was_written_before_the_query_is_seen(replicated: Cluster, connection: Connection) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=replicated.ports[0]) as client:
        for i in range(50):
            client.hset(f"fresh:{i}", "n", i)
            assert connection.execute('SELECT count(*) FROM "fresh:*"').fetchall() == [(i + 1,)]
        for i in range(50):
            client.delete(f"fresh:{i}")


def test_strings_are_read_of_the_primaries_and_it_is_said(
    replicated: Cluster, connection: Connection
) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=replicated.ports[0]) as client:
        for i in range(50):
            client.set(f"text:{i}", f'{{"n": {i}}}')
    for type_, columns, value in (("string", "", "length(value)"), ("json", "(n BIGINT)", "n")):
        connection.execute(
            f"CREATE OR REPLACE TABLE x {columns} WITH (key = 'text:{{id}}', type = '{type_}')"
        )
        assert connection.execute("SELECT count(*) FROM x").fetchall() == [(50,)]
        cursor = connection.execute(f"SELECT sum({value}) FROM x")
        assert cursor.fetchall() == [(440 if type_ == "string" else 1225,)]
        assert len(notes(cursor)) == 3
        assert all("was read itself: a cluster's replicas do not give strings" in n for n in notes(cursor))
        with (
            gearsql.connect(replicated.url, read_from="replica-only") as strict,
            pytest.raises(ShardError, match="is not read: a cluster's replicas do not give strings"),
        ):
            strict.execute(f"SELECT sum({value}) FROM x")
    connection.execute("DROP TABLE x")


def test_a_paused_replica_is_left_out_and_its_primary_answers(
    replicated: Cluster, connection: Connection
) -> None:
    with redis.Redis(port=replicated.replica_ports[0]) as client:
        pid = client.info("server")["process_id"]
    connection.execute(COUNT)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        cursor = connection.execute(COUNT)
        assert cursor.fetchall() == RIGHT
        assert time.monotonic() - began < 10
        assert any("was read itself" in note for note in notes(cursor))
        with (
            gearsql.connect(replicated.url, read_from="replica-only") as strict,
            pytest.raises(ShardError, match="is not read: it has no replica"),
        ):
            strict.execute(COUNT)
    finally:
        os.kill(pid, signal.SIGCONT)


SLOW = """CREATE OR REPLACE FUNCTION slow(n BIGINT) RETURNS BIGINT LANGUAGE python AS $$
import time
time.sleep(0.002)
if n == 77:
    raise ValueError("seventy-seven")
return n$$"""
SUM = 'SELECT count(*), sum(slow(n + 78)) - 78 * count(*) FROM "row:*"'


@pytest.fixture
def slow(replicated: Cluster, connection: Connection) -> Iterator[Connection]:
    connection.execute(SLOW)
    deadline = time.monotonic() + 10
    while any(told(replicated, i)["gearsql_functions"] == 0 for i in range(3)):
        assert time.monotonic() < deadline
    yield connection
    connection.execute("DROP FUNCTION slow")


def test_progress_and_the_key_of_an_error_come_from_the_replicas(
    replicated: Cluster, slow: Connection
) -> None:
    heard: list[tuple[ShardProgress, ...]] = []
    cursor = slow.cursor()
    cursor.shard_progress = heard.append
    assert cursor.execute(SUM).fetchall() == RIGHT
    replicas = {f"127.0.0.1:{port}" for port in replicated.replica_ports}
    at_work = [parts for parts in heard if any(part.rows for part in parts)]
    assert at_work and {part.shard for part in at_work[-1]} == replicas
    with pytest.raises(HookError, match="for key 'row:77'") as raised:
        slow.execute('SELECT sum(slow(n)) FROM "row:*"')
    assert raised.value.key == b"row:77" and raised.value.shard in replicas


@pytest.mark.parametrize("wish", ["replica", "replica-only"])
def test_a_replica_that_stops_under_a_query_is_given_up(
    replicated: Cluster, slow: Connection, wish: ReadFrom
) -> None:
    with (
        redis.Redis(port=replicated.replica_ports[2]) as client,
        gearsql.connect(replicated.url, read_from=wish, timeout=60) as own,
    ):
        pid, cursor, caught = client.info("server")["process_id"], own.cursor(), []

        def work() -> None:
            try:
                cursor.execute(SUM)
            except ShardError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while not client.info("gearsql")["gearsql_stages_running"]:
            time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)
        try:
            thread.join(30)
            assert not thread.is_alive()
        finally:
            os.kill(pid, signal.SIGCONT)
        if wish == "replica":
            assert cursor.fetchall() == RIGHT
            assert any("was read itself" in note for note in notes(cursor))
        else:
            assert "is not read: it has no replica" in str(caught[0])


def test_a_replica_without_its_primary_is_not_read(replicated: Cluster, connection: Connection) -> None:
    with redis.Redis(port=replicated.ports[0]) as primary:
        primary.execute_command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
        try:
            primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
            time.sleep(0.5)
            cursor = connection.execute(COUNT)
            assert cursor.fetchall() == RIGHT
            assert any("was read itself" in note for note in notes(cursor))
        finally:
            primary.execute_command("ACL", "SETUSER", "default", "+@all")
    deadline = time.monotonic() + 30
    while any("was read itself" in note for note in notes(connection.execute(COUNT))):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("resync", ["resync", "flush"])
def test_a_stage_ends_by_name_when_a_replica_gets_other_data(replicated: Cluster, resync: str) -> None:
    slow = "SELECT sum(a.n * b.n * c.n) FROM scan_0 a, scan_0 b, scan_0 c"
    words = execute_words(slow, Scan("row:*", [("n", "BIGINT", "fn")]), stage=f"on-replica-{resync}")
    caught: list[Exception] = []
    index = 1

    def work() -> None:
        with redis.Redis(port=replicated.replica_ports[index], socket_timeout=30, retry=None) as client:
            try:
                client.execute_command(*words[:6], "NODE", "replica", *words[6:])
            except redis.RedisError as error:
                caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    with redis.Redis(port=replicated.replica_ports[index]) as replica:
        host_port = replica.info("replication")["master_port"]
        with redis.Redis(port=host_port) as primary:
            if resync == "flush":
                saved = {key: primary.hgetall(key) for key in primary.keys("row:*")}
                primary.flushall()
            else:
                # Another history: the replica cannot go on from where it was.
                primary.execute_command("DEBUG", "CHANGE-REPL-ID")
                primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
            thread.join(20)
            if resync == "flush":
                for key, row in saved.items():
                    primary.hset(key, mapping=row)
    assert [str(error).split(" ")[0] for error in caught] == ["GEARSREPLACED"], caught
    deadline = time.monotonic() + 30
    with gearsql.connect(replicated.url, read_from="replica") as connection:
        while any("was read itself" in note for note in notes(connection.execute(COUNT))):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert connection.execute(COUNT).fetchall() == RIGHT


def test_a_replica_counts_the_slots_it_is_asked_for_only(replicated: Cluster) -> None:
    words = execute_words("SELECT count(*) AS n FROM scan_0", Scan("row:*"), stage="some-slots")
    total = 0
    for slots in ((0, 99), (100, 16383)):
        for port in replicated.replica_ports:
            with redis.Redis(port=port) as client:
                client.execute_command("READONLY")
                frame, _, _ = client.execute_command(
                    *words[:6], "NODE", "replica", "SLOTS", 1, *slots, *words[6:]
                )
                total += pa.ipc.open_stream(frame).read_all()["n"][0].as_py()
        if slots == (0, 99):
            assert total == sum(key_slot(b"row:%d" % i) < 100 for i in range(ROWS))
    assert total == ROWS


def test_a_primary_refuses_a_stage_for_replicas_and_the_other_way_round(replicated: Cluster) -> None:
    words = execute_words("SELECT 1", Scan(), stage="wrong-node")
    for port, node in ((replicated.ports[0], "replica"), (replicated.replica_ports[0], "primary")):
        with redis.Redis(port=port) as client, pytest.raises(redis.ResponseError, match="GEARSREPLICA"):
            client.execute_command(*words[:6], "NODE", node, *words[6:])


def test_who_cannot_read_replicas_says_so(one_server: Cluster, replicated: Cluster) -> None:
    with gearsql.connect(one_server.url, read_from="replica") as connection:
        said = notes(connection.execute('SELECT count(*) FROM "none:*"'))
        assert said == ["replicas are read in a cluster only: the server was read itself"]
    for url, options in ((one_server.url, {}), (replicated.url, {"reader": "portable"})):
        with (
            gearsql.connect(url, read_from="replica-only", **options) as connection,  # type: ignore[arg-type]
            pytest.raises(gearsql.NotSupportedError),
        ):
            connection.execute('SELECT count(*) FROM "row:*"')
    with pytest.raises(gearsql.InterfaceError, match="read_from is"):
        gearsql.connect(replicated.url, read_from="backup")  # type: ignore[arg-type]
    assert issubclass(DataReplacedError, ShardError)
