"""The server's ACL holds for stages: commands, key patterns, and users that change while a stage runs."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import Scan, connect, execute_words, run, stats_of

# Redis 7.0 has no ACL categories for the commands of modules, so there each must be named.
RIGHTS = ["on", ">secret", "+@read", "+gearsql.execute", "+gearsql.fetch"]


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


def test_a_user_that_loses_its_keys_midway_gets_an_error(client: redis.Redis, reader: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(100_000):
        pipe.hset(f"user:{i}", "city", "x" * 200)
    pipe.execute()
    _, more, _ = reader.execute_command(*execute_words("SELECT city, _key FROM scan_0", Scan("user:*")))
    assert more
    client.execute_command("ACL", "SETUSER", "reader", "resetkeys", "~other:*")
    with pytest.raises(redis.exceptions.NoPermissionError):
        while more:
            _, more, _ = reader.execute_command("GEARSQL.FETCH", "q")


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
