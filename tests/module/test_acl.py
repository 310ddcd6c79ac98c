"""The server's ACL holds for stages: commands, key patterns, and users that change while a stage runs."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import Column, Scan, Word, connect, execute_words, run, stats_of
from tests.module.test_control import ENDLESS, Sent, stages, wait_for

# Redis 7.0 has no ACL categories for the commands of modules, so there each must be named.
RIGHTS = ["on", ">secret", "+@read", "+gearsql.execute", "+gearsql.fetch"]

# redis-py's names for its connections would take a right more.
READER: dict[str, Any] = {"username": "reader", "password": "secret", "lib_name": None, "lib_version": None}


@pytest.fixture
def reader(server: Cluster, client: redis.Redis) -> Iterator[redis.Redis]:
    """A user that may read user:* only."""
    client.execute_command("ACL", "SETUSER", "reader", "reset", *RIGHTS, "~user:*")
    for i in range(1000):
        client.hset(f"user:{i}", "age", 1)
        client.hset(f"secret:{i}", "age", 1)
    with connect(server, username="reader", password="secret") as reader:
        yield reader
    client.execute_command("ACL", "DELUSER", "reader")


def test_a_user_reads_the_keys_it_may_read(reader: redis.Redis) -> None:
    assert run(reader, "SELECT count(*) FROM scan_0", Scan("user:*")).rows == [(1000,)]


@pytest.mark.parametrize("pattern", ["*", "secret:*", "*:1"])
def test_a_pattern_that_matches_forbidden_keys_is_refused(reader: redis.Redis, pattern: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(reader, "SELECT count(*) FROM scan_0", Scan(pattern))


@pytest.mark.parametrize("selector", ["(+ping ~*)", "(+set ~secret:*)", "(+hgetall %W~*)", "(+smembers ~*)"])
def test_a_selectors_keys_are_for_its_own_commands(
    client: redis.Redis, reader: redis.Redis, selector: str
) -> None:
    client.execute_command("ACL", "SETUSER", "reader", selector)
    assert run(reader, "SELECT count(*) FROM scan_0", Scan("user:*")).rows == [(1000,)]
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(reader, "SELECT count(*) FROM scan_0", Scan("secret:*"))
    client.execute_command("ACL", "SETUSER", "reader", "(+hgetall ~secret:*)")
    assert run(reader, "SELECT count(*) FROM scan_0", Scan("secret:*")).rows == [(1000,)]


def test_write_only_keys_cannot_be_read(client: redis.Redis, reader: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "resetkeys", "%W~*", "%R~secret:1*")
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(reader, "SELECT count(*) FROM scan_0")
    assert run(reader, "SELECT count(*) FROM scan_0", Scan("secret:1*")).rows == [(111,)]


def test_a_user_without_the_command_runs_nothing(client: redis.Redis, reader: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "-gearsql.execute")
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(reader, "SELECT count(*) FROM scan_0")


@pytest.mark.parametrize("mode", ["sliced", "snapshot"])
def test_keys_that_may_not_be_read_are_left_out_and_counted_if_asked_for(
    reader: redis.Redis, mode: str
) -> None:
    words = execute_words("SELECT count(*) FROM scan_0", Scan("*"))
    answer, _, told = reader.execute_command(*words[:6], "ACL", "skip", "MODE", mode, *words[6:])
    assert stats_of(told)["keys_withheld"] == 1000
    assert pa.ipc.open_stream(answer).read_all().to_pydict() == {"count_star()": [1000]}


@pytest.mark.parametrize("loss", [("resetkeys", "~other:*"), ("-gearsql.fetch",), ("-gearsql.execute",)])
def test_a_user_that_loses_its_rights_midway_gets_an_error(
    client: redis.Redis, reader: redis.Redis, loss: tuple[str, ...]
) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(30_000):
        pipe.hset(f"user:{i}", "city", "x" * 200)
    pipe.execute()
    _, more, _ = reader.execute_command(*execute_words("SELECT city, _key FROM scan_0", Scan("user:*")))
    assert more
    client.execute_command("ACL", "SETUSER", "reader", *loss)
    with pytest.raises(redis.exceptions.NoPermissionError):
        while more:
            _, more, _ = reader.execute_command("GEARSQL.FETCH", "q")


def test_a_user_that_may_run_no_stages_any_more_loses_the_one_that_runs(
    server: Cluster, client: redis.Redis, reader: redis.Redis
) -> None:
    """Without another word of its client: this one only waits for its answer."""
    pipe = client.pipeline(transaction=False)
    for i in range(30_000):
        pipe.hset(f"user:{i}", "age", 1)
    pipe.execute()
    # Each chunk of 2,048 rows keeps DuckDB busy between two turns of the scan.
    sent = Sent(
        server, "SELECT sum(hash(u, age)) FROM (SELECT age, unnest(range(20000)) AS u FROM scan_0)", **READER
    )
    while not any(stage["rows_scanned"] for stage in stages(client)):
        time.sleep(0.005)
    client.execute_command("ACL", "SETUSER", "reader", "-gearsql.execute")
    assert "lost the right" in sent.end()


@pytest.fixture
def second(server: Cluster, client: redis.Redis) -> Iterator[redis.Redis]:
    """A connection to database 1, where there are the same keys as in database 0."""
    with connect(server, db=1) as second:
        for database in (client, second):
            pipe = database.pipeline(transaction=False)
            for i in range(5000):
                pipe.hset(f"user:{i}", mapping={"city": "x" * 400})
            pipe.execute()
        yield second


def of_databases(client: redis.Redis, *rules: str) -> None:
    """A reader of other rights; Valkey 9.1 alone has those to databases."""
    try:
        client.execute_command("ACL", "SETUSER", "reader", "reset", *rules)
    except redis.ResponseError:
        pytest.skip("this server knows no rights to databases")


def test_rights_to_a_database_are_those_of_the_database_that_is_asked_in(
    server: Cluster, client: redis.Redis, reader: redis.Redis, second: redis.Redis
) -> None:
    rights = (
        *RIGHTS,
        "+select",
        "+client|list",
        "+client|kill",
        "+gearsql.status",
        "+gearsql.cancel",
        "~user:*",
    )
    of_databases(client, *rights, "resetdbs", "db=1")
    with connect(server, db=1, **READER) as there:
        assert run(there, "SELECT count(*) FROM scan_0").rows == [(5000,)]
        others = Sent(server, ENDLESS, stage="others.1")
        wait_for(client, 1)
        (told,) = stages(there)
        assert (told["id"], told["user"]) == (b"others.1", b"default")
        assert there.execute_command("GEARSQL.CANCEL", "others") == 1
        assert others.end() == "GEARSCANCELLED by GEARSQL.CANCEL"
        # It may do none of that where it has no rights.
        _, more, _ = there.execute_command(*execute_words("SELECT city, _key FROM scan_0", Scan()))
        assert more
        client.execute_command("ACL", "SETUSER", "reader", "resetdbs", "db=0")
        with pytest.raises(redis.exceptions.NoPermissionError):
            while more:
                _, more, _ = there.execute_command("GEARSQL.FETCH", "q")


def test_a_selector_gives_its_commands_in_its_databases(
    server: Cluster, client: redis.Redis, reader: redis.Redis, second: redis.Redis
) -> None:
    """Who may CLIENT LIST in a database sees others' stages there, who may not sees none."""
    inside = "+client|list +@read +gearsql.execute ~user:*"
    rights = (*RIGHTS, "+select", "+gearsql.status", "-gearsql.execute")
    others = Sent(server, ENDLESS, stage="others.1")
    wait_for(client, 1)
    try:
        for database in (0, 1):
            of_databases(client, *rights, f"({inside} db={database})")
            for asked in (0, 1):
                with connect(server, db=asked, **READER) as there:
                    assert (stages(there) == []) == is_denied(there, ("CLIENT", "LIST"))
                    if asked == database:
                        assert run(there, "SELECT count(*) FROM scan_0").rows == [(5000,)]
    finally:
        client.execute_command("GEARSQL.CANCEL", "others")
        others.end()


def test_a_user_deleted_midway_ends_the_stage_and_not_the_server(
    server: Cluster, client: redis.Redis
) -> None:
    for i in range(1000):
        client.hset(f"user:{i}", "city", "x" * 200)
    for _ in range(10):
        client.execute_command("ACL", "SETUSER", "brief", "reset", *RIGHTS, "~*")
        with connect(server, username="brief", password="secret") as brief:
            brief.execute_command(*execute_words("SELECT city, _key FROM scan_0 a, range(100)", Scan()))
            client.execute_command("ACL", "DELUSER", "brief")
    assert client.ping()


COMMANDS: dict[str, Sequence[Word]] = {
    "execute": execute_words("SELECT 1"),
    "fetch": ("GEARSQL.FETCH", "q"),
    "cancel": ("GEARSQL.CANCEL", "q"),
    "status": ("GEARSQL.STATUS",),
    "functions": ("GEARSQL.FUNCTIONS",),
    "define": ("GEARSQL.DEFINE", "SET", *["x"] * 13),
    "undefine": ("GEARSQL.UNDEFINE", "x", "f"),
}


def is_denied(client: redis.Redis, words: Sequence[Word]) -> bool:
    try:
        client.execute_command(*words)
    except redis.ResponseError as error:
        # Servers have words of their own for what a script may not.
        told = str(error)
        return (
            isinstance(error, redis.exceptions.NoPermissionError)
            or "permissions" in told
            or "The user" in told
        )
    return False


@pytest.mark.parametrize("allowed", COMMANDS)
def test_every_command_is_a_right_of_its_own(client: redis.Redis, reader: redis.Redis, allowed: str) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "-@all", f"+gearsql.{allowed}")
    assert {name: is_denied(reader, words) for name, words in COMMANDS.items()} == {
        name: name != allowed for name in COMMANDS
    }


def test_a_script_has_no_other_rights_than_its_user(client: redis.Redis, reader: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "-@all", "+eval", "+gearsql.status")
    assert {
        name: is_denied(reader, ("EVAL", "return redis.call(unpack(ARGV))", 0, *words))
        for name, words in COMMANDS.items()
    } == {name: name != "status" for name in COMMANDS}


HIDDEN = b"nobody-may-read-this"
# What a key type's columns are, and how a key with the hidden value comes to be.
HIDING: dict[str, tuple[str, Sequence[Word]]] = {
    "hash": ("fsecret", ("HSET", "secret:hash", "secret", HIDDEN)),
    "string": ("ev", ("SET", "secret:string", HIDDEN)),
    "json": ("fsecret", ("SET", "secret:json", b'{"secret": "%s"}' % HIDDEN)),
    "set": ("ev", ("SADD", "secret:set", HIDDEN)),
    "list": ("ev", ("RPUSH", "secret:list", HIDDEN)),
    "zset": ("ev", ("ZADD", "secret:zset", 1, HIDDEN)),
    "stream": ("fsecret", ("XADD", "secret:stream", "1-1", "secret", HIDDEN)),
}


def what_is_told(client: redis.Redis, words: Sequence[Word]) -> bytes:
    try:
        return repr(client.execute_command(*words)).encode()
    except redis.ResponseError as error:
        return str(error).encode()


@pytest.mark.parametrize("kind", HIDING)
def test_nothing_of_a_key_that_may_not_be_read_is_told(
    client: redis.Redis, reader: redis.Redis, kind: str
) -> None:
    """Not in rows, nor in errors about values that fit no type; whatever a client sends."""
    source, write = HIDING[kind]
    client.execute_command(*write)
    modes = ("sliced", "snapshot") if kind == "hash" else ("sliced",)
    ways = [
        (mode, acl, on_error, type_, glob, cast)
        for mode in modes
        for acl in ("error", "skip")
        for on_error in ("error", "null", "skip")
        for type_ in ("VARCHAR", "BIGINT")
        for glob in ("secret:*", "*")
        for cast in ((None, "duckdb") if mode == "sliced" else (None,))
    ]
    for mode, acl, on_error, type_, glob, cast in ways:
        column: Column = ("c", type_, source)
        words = execute_words("SELECT c FROM scan_0", Scan(glob, [column], on_error, cast=cast), mode=mode)
        scan = words.index("SCAN") + 2
        words[scan:scan] = ["TYPE", kind] if kind != "hash" else []
        words[6:6] = ["ACL", acl]
        told = what_is_told(reader, words)
        assert HIDDEN not in told, (mode, acl, on_error, type_, glob, cast)
        assert b"NOPERM" in told or b"o right" in told if acl == "error" else b"keys_withheld" in told, told
