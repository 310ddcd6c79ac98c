"""Keys of other types as rows: what the scan does with expired, large and changing keys, and with misfits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import KeyChangedError, MemoryLimitError, MisfitError, ProgrammingError


@pytest.fixture(params=["one_server", "plain_server"])
def server(request: pytest.FixtureRequest) -> Cluster:
    """With the module, and without."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(server: Cluster) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.ports[0]) as client:
        yield client
        for key in client.scan_iter("el:*", count=10_000):
            client.unlink(key)


@pytest.fixture
def connection(server: Cluster, client: redis.Redis) -> Iterator[gearsql.Connection]:
    with gearsql.connect(server.url) as connection:
        yield connection


def declare(connection: gearsql.Connection, rest: str) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE el {rest}")


def rows(connection: gearsql.Connection, text: str) -> list[tuple[object, ...]]:
    return connection.execute(text).fetchall()


def test_expired_keys_have_no_elements(client: redis.Redis, connection: gearsql.Connection) -> None:
    for i in range(100):
        client.sadd(f"el:{i}", "a", "b")
        if i % 2:
            client.pexpire(f"el:{i}", 1)
    time.sleep(0.02)
    declare(connection, "WITH (key = 'el:{k}', type = 'set')")
    assert rows(connection, "SELECT count(*), count(DISTINCT k) FROM el") == [(100, 50)]


@pytest.mark.parametrize("type_", ["string", "set", "list", "zset"])
def test_a_table_without_keys_is_empty(connection: gearsql.Connection, type_: str) -> None:
    declare(connection, f"WITH (key = 'el:none:{{k}}', type = '{type_}')")
    assert rows(connection, "SELECT * FROM el") == []
    assert rows(connection, "SELECT count(*) FROM el") == [(0,)]


def test_a_stream_that_lost_its_entries_is_empty(client: redis.Redis, connection: gearsql.Connection) -> None:
    client.xadd("el:s", {"n": 1}, id="1-1")
    client.xdel("el:s", "1-1")
    declare(connection, "(n INTEGER) WITH (key = 'el:{k}', type = 'stream')")
    assert rows(connection, "SELECT * FROM el") == []


def test_a_misfit_names_key_column_and_value(client: redis.Redis, connection: gearsql.Connection) -> None:
    client.zadd("el:z", {"ok": 1, "half": 2.5})
    declare(connection, "(score INTEGER) WITH (key = 'el:{k}', type = 'zset')")
    with pytest.raises(MisfitError, match=r"key 'el:z', column score: '2\.5' is not a INTEGER"):
        rows(connection, "SELECT sum(score) FROM el")
    assert rows(connection, "SELECT count(member) FROM el") == [(2,)], "score is not read"
    declare(connection, "(score INTEGER) WITH (key = 'el:{k}', type = 'zset', on_error = 'null')")
    assert rows(connection, "SELECT member, score FROM el ORDER BY 1") == [("half", None), ("ok", 1)]
    declare(connection, "(score INTEGER) WITH (key = 'el:{k}', type = 'zset', on_error = 'skip')")
    assert rows(connection, "SELECT member, score FROM el") == [("ok", 1)]


NO_OBJECTS = [
    "",
    "[1]",
    '{"n": 1',
    '{"n": 01}',
    '{"n": 1,}',
    "{'n': 1}",
    '{"n": NaN}',
    '{"n": 1} x',
    '{"n": "\\ud800"}',
]


@pytest.mark.parametrize("text", NO_OBJECTS)
def test_what_is_no_json_object_is_a_misfit(
    client: redis.Redis, connection: gearsql.Connection, text: str
) -> None:
    client.set("el:0", text)
    client.set("el:1", '{"n": 1}')
    declare(connection, "(n VARCHAR) WITH (key = 'el:{k}', type = 'json')")
    with pytest.raises(MisfitError, match=r"key 'el:0', column n: .* is not a member of a JSON object"):
        rows(connection, "SELECT n FROM el")
    declare(connection, "(n VARCHAR) WITH (key = 'el:{k}', type = 'json', on_error = 'null')")
    assert rows(connection, "SELECT k, n FROM el ORDER BY k") == [("0", None), ("1", "1")]
    declare(connection, "(n VARCHAR) WITH (key = 'el:{k}', type = 'json', on_error = 'skip')")
    cursor = connection.cursor()
    assert cursor.execute("SELECT k, n FROM el").fetchall() == [("1", "1")]
    assert "1 row had a value that did not fit" in str(cursor.messages)


def test_null_values_hold_for_elements(client: redis.Redis, connection: gearsql.Connection) -> None:
    client.rpush("el:l", "1", "NA", "3")
    declare(connection, "(value INTEGER) WITH (key = 'el:{k}', type = 'list', null_values = 'NA')")
    assert rows(connection, 'SELECT "index", value FROM el ORDER BY 1') == [(0, 1), (1, None), (2, 3)]


def test_bytes_of_all_kinds_are_members(client: redis.Redis, connection: gearsql.Connection) -> None:
    members = {b"", b"\0", b"\xff\xfe", b"x" * 100}
    client.sadd("el:b", *members)
    declare(connection, "(member BLOB) WITH (key = 'el:{k}', type = 'set')")
    assert {row[0] for row in rows(connection, "SELECT member FROM el")} == members


def test_reading_a_string_does_not_change_how_it_is_kept(
    client: redis.Redis, connection: gearsql.Connection
) -> None:
    client.set("el:int", 12)
    client.set("el:short", "abc")
    before = [client.object("encoding", key) for key in ("el:int", "el:short")]
    declare(connection, "WITH (key = 'el:{k}', type = 'string')")
    assert rows(connection, "SELECT value FROM el ORDER BY 1") == [("12",), ("abc",)]
    assert [client.object("encoding", key) for key in ("el:int", "el:short")] == before


@pytest.mark.parametrize("type_", ["set", "zset", "list", "stream"])
def test_a_large_key_is_read_in_turns_while_it_changes(one_server: Cluster, type_: str) -> None:
    """What is there from begin to end is counted once; clients wait no longer than for a slice."""
    count = 300_000
    with redis.Redis(port=one_server.ports[0]) as client, gearsql.connect(one_server.url) as connection:
        pipe = client.pipeline(transaction=False)
        for start in range(0, count, 10_000):
            names = [f"m{i}" for i in range(start, start + 10_000)]
            match type_:
                case "set":
                    pipe.sadd("el:big", *names)
                case "zset":
                    pipe.zadd("el:big", dict.fromkeys(names, 1))
                case "list":
                    pipe.rpush("el:big", *names)
                case "stream":
                    for name in names:
                        pipe.xadd("el:big", {"value": name}, id=f"{int(name[1:]) + 1}-0")
        pipe.execute()
        columns = "(value VARCHAR)" if type_ == "stream" else ""
        declare(connection, f"{columns} WITH (key = 'el:{{k}}', type = '{type_}')")
        column = "value" if type_ in ("list", "stream") else "member"
        over, waits = threading.Event(), []

        def change() -> None:
            with redis.Redis(port=one_server.ports[0]) as other:
                number = 0
                while not over.is_set():
                    began = time.monotonic()
                    match type_:
                        case "set":
                            other.sadd("el:big", f"new{number}")
                            other.srem("el:big", f"new{number - 50}")
                        case "zset":
                            other.zadd("el:big", {f"new{number}": number, "m5": number})
                            other.zrem("el:big", f"new{number - 50}")
                        case "list":
                            other.rpush("el:big", f"new{number}")
                        case "stream":
                            other.xadd("el:big", {"value": f"new{number}"})
                    waits.append(time.monotonic() - began)
                    number += 1
                    time.sleep(0.001)

        writer = threading.Thread(target=change)
        writer.start()
        try:
            text = f"SELECT count(*), count(DISTINCT {column}) FROM el WHERE {column} LIKE 'm%'"
            assert rows(connection, text) == [(count, count)]
        finally:
            over.set()
            writer.join()
            client.unlink("el:big")
        assert sorted(waits)[len(waits) * 9 // 10] < 0.05


def test_a_list_whose_elements_move_is_an_error_or_right(one_server: Cluster) -> None:
    with redis.Redis(port=one_server.ports[0]) as client, gearsql.connect(one_server.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE el WITH (key = 'el:{k}', type = 'list')")
        for start in range(0, 200_000, 10_000):
            client.rpush("el:queue", *range(start, start + 10_000))
        over = threading.Event()

        def rotate() -> None:
            with redis.Redis(port=one_server.ports[0]) as other:
                while not over.is_set():
                    other.lmove("el:queue", "el:queue", "LEFT", "RIGHT")

        writer = threading.Thread(target=rotate)
        writer.start()
        try:
            with gearsql.connect(one_server.url, timeout=3) as hurried, pytest.raises(KeyChangedError):
                hurried.execute("SELECT count(DISTINCT value) FROM el").fetchall()
        finally:
            over.set()
            writer.join()
        assert rows(connection, "SELECT count(*), count(DISTINCT value) FROM el") == [(200_000, 200_000)]
        client.unlink("el:queue")


def test_what_a_declaration_may_not_say(connection: gearsql.Connection) -> None:
    with pytest.raises(ProgrammingError, match="keys of type zset have no age") as refused:
        declare(connection, "(age INTEGER) WITH (key = 'el:{k}', type = 'zset')")
    assert refused.value.hint == "columns are member and score, and the template's placeholders"
    with pytest.raises(ProgrammingError, match="type is one of 'hash', 'string'"):
        declare(connection, "WITH (key = 'el:{k}', type = 'bitmap')")
    with pytest.raises(ProgrammingError, match="the columns of a table of type json have to be listed"):
        declare(connection, "WITH (key = 'el:{k}', type = 'json')")


def test_the_type_is_told(connection: gearsql.Connection) -> None:
    declare(connection, "WITH (key = 'el:{k}', type = 'zset')")
    assert ("el", "el:{k}", "zset") in rows(connection, "SHOW TABLES")
    assert rows(connection, "DESCRIBE el") == [
        ("k", "VARCHAR", "key, {k}"),
        ("member", "VARCHAR", "value of the member"),
        ("score", "DOUBLE", "score of the member"),
        ("_key", "VARCHAR", "key"),
    ]
    assert "keys     el:* (type zset)" in "\n".join(
        str(row[0]) for row in rows(connection, "EXPLAIN SELECT * FROM el")
    )


@pytest.mark.parametrize("type_", ["set", "zset"])
def test_the_names_of_a_large_keys_members_count_as_memory(one_server: Cluster, type_: str) -> None:
    """And they are given back when the key ends: what one query may, it may again."""
    with redis.Redis(port=one_server.ports[0]) as client:
        for first in range(0, 300_000, 1000):
            members = {f"m{number:020}": number for number in range(first, first + 1000)}
            client.zadd("el:large", members) if type_ == "zset" else client.sadd("el:large", *members)
        try:
            for mebibytes, refused in ((16, True), (64, False), (16, True)):
                with gearsql.connect(one_server.url, limits={"memory": mebibytes << 20}) as connection:
                    declare(connection, f"WITH (key = 'el:{{k}}', type = '{type_}')")
                    if refused:
                        with pytest.raises(MemoryLimitError, match="bytes of names would be remembered"):
                            rows(connection, "SELECT count(member) FROM el")
                    else:
                        assert rows(connection, "SELECT count(member) FROM el") == [(300_000,)]
        finally:
            client.unlink("el:large")
