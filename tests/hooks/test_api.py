"""What a hook may ask of the server that calls it: `from gearsql import hook`, through SQL, as real users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import HookError
from tests.hooks.conftest import drop_all
from tests.hooks.scene import define, fill, rows, value

isolations = pytest.mark.parametrize("isolation", ["session", "process"])

ASKS = """
from gearsql import hook

def asks(words):
    try:
        return repr(hook.execute(*words))
    except hook.CommandError as error:
        return f'refused: {error}'
"""


def asks(connection: Connection, isolation: str) -> None:
    define(connection, "asks(words VARCHAR[]) RETURNS VARCHAR", ASKS, f"VOLATILE ISOLATION {isolation}")


def asked(connection: Connection, *words: str) -> str:
    """What a command gives when the hook that runs it is called once."""
    return str(value(connection, "SELECT asks($words) FROM t WHERE n = 7", {"words": list(words)}))


@pytest.fixture
def here(lone: Cluster) -> Iterator[Connection]:
    with gearsql.connect(lone.url) as connection:
        yield connection
        drop_all(connection)


@isolations
def test_a_hook_knows_who_asks_where(trio: Cluster, isolation: str) -> None:
    source = "from gearsql import hook\nreturn [hook.query_id(), hook.shard_id(), hook.user()]"
    with trio.client(0) as client:
        client.execute_command("ACL", "SETUSER", "ada", "reset", "on", ">x", "+@all", "~*")
    for shard in (1, 2):
        with trio.client(shard) as client:
            client.execute_command("ACL", "SETUSER", "ada", "reset", "on", ">x", "+@all", "~*")
    with gearsql.connect(trio.url.replace("redis://", "redis://ada:x@")) as connection:
        define(connection, "knows(n BIGINT) RETURNS VARCHAR[]", source, f"ISOLATION {isolation}")
        answers = rows(connection, "SELECT DISTINCT knows(n) FROM t")
        told: list[Any] = [answer for (answer,) in answers]
        assert len({query for query, _, _ in told}) == 1
        assert len({shard for _, shard, _ in told}) == 3
        assert {user for _, _, user in told} == {"ada"}
        drop_all(connection)


@isolations
def test_what_a_hook_logs_is_in_the_servers_log(lone: Cluster, here: Connection, isolation: str) -> None:
    source = "from gearsql import hook\nhook.log(f'at {n}')\nprint('printed', n)\nreturn n"
    define(here, "logs(n BIGINT) RETURNS BIGINT", source, f"ISOLATION {isolation}")
    assert value(here, "SELECT logs(n) FROM t WHERE n = 555") == 555
    lines = [line for line in lone.log(0).splitlines() if "hook logs" in line]
    assert any(line.endswith("at 555") for line in lines)
    assert any(line.endswith("printed 555") for line in lines)


@isolations
def test_a_hook_reads_with_the_rights_of_its_caller(lone: Cluster, here: Connection, isolation: str) -> None:
    asks(here, isolation)
    with lone.client() as client:
        client.set("open:1", "seen")
        client.set("secret:1", "hidden")
        client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">x", "+@read", "%R~t:*", "%R~open:*")
        client.execute_command("ACL", "SETUSER", "bob", "%R~{gearsql}:*", "-strlen")
    assert asked(here, "GET", "secret:1") == "'hidden'"
    with gearsql.connect(lone.url.replace("redis://", "redis://bob:x@")) as bob:
        assert asked(bob, "GET", "open:1") == "'seen'"
        assert asked(bob, "GET", "secret:1").startswith("refused: NOPERM")
        assert asked(bob, "STRLEN", "open:1").startswith("refused: NOPERM")
    with lone.client() as client:
        client.execute_command("ACL", "DELUSER", "bob")
        client.delete("open:1", "secret:1")


@isolations
def test_a_hook_writes_nothing(lone: Cluster, here: Connection, isolation: str) -> None:
    asks(here, isolation)
    with lone.client() as client:
        client.set("kept", "value")
        commands = ["SET kept x", "DEL kept", "FLUSHALL", "CONFIG SET maxmemory 1", "EVAL return(1) 0"]
        for command in [*commands, "SHUTDOWN NOSAVE", "SUBSCRIBE c", "MULTI", "GEARSQL.UNDEFINE 99 asks"]:
            assert asked(here, *command.split()).startswith("refused: "), command
        assert client.get("kept") == b"value"
        client.delete("kept")


def test_in_the_merge_there_is_no_server_to_ask(trio_connection: Connection) -> None:
    source = "from gearsql import hook\nreturn [hook.shard_id(), hook.user(), str(hook.execute('PING'))]"
    define(trio_connection, "alone(n BIGINT) RETURNS VARCHAR[]", source)
    with pytest.raises(HookError, match=r"hook\.execute\(\) answers on servers"):
        trio_connection.execute("SELECT alone(max(n)) FROM t")
    define(
        trio_connection, "alone(n BIGINT) RETURNS VARCHAR", "from gearsql import hook\nreturn hook.shard_id()"
    )
    assert value(trio_connection, "SELECT alone(max(n)) FROM t") == ""


def test_an_operator_may_keep_hooks_from_commands() -> None:
    with (
        Cluster(1, module_options={"HOOK_EXECUTE": "no"}) as server,
        gearsql.connect(server.url) as connection,
    ):
        fill(server)
        asks(connection, "session")
        assert asked(connection, "GET", "t:7").startswith("refused: ")
