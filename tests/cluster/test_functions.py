"""Functions are on all shards or on none; statements about them; what shards say."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
import redis

import gearsql
from gearsql.catalog.function import Function
from gearsql.cluster.functions import Functions
from gearsql.cluster.replies import error_from_reply
from gearsql.cluster.shards import Shards
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import (
    FunctionChangedError,
    FunctionDefinitionError,
    FunctionExistsError,
    HookDiedError,
    HookError,
    HookTimeoutError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ShardError,
    UnknownFunctionError,
)

TOLD = {
    "kind": "raised",
    "type": "IndexError",
    "message": "list index out of range",
    "traceback": 'Traceback (most recent call last):\n  File "<function domain>", line 1, in domain\n',
    "function": "domain",
    "row": 17,
    "arguments": [["email", "'nobody'"]],
}


def function(name: str, source: str = "return x", **options: Any) -> Function:
    return Function(name, "scalar", (("x", "BIGINT"),), "BIGINT", source, **options)


def reply(code: str, told: object) -> Any:
    text = told if isinstance(told, str) else json.dumps(told)
    return error_from_reply("127.0.0.1:7001", redis.ResponseError(f"{code} {quote(text)}"))


def test_an_error_in_a_hook_tells_function_shard_arguments_and_traceback() -> None:
    error = reply("GEARSHOOK", TOLD)
    assert isinstance(error, HookError)
    assert error.message == "domain() failed: IndexError: list index out of range (shard 127.0.0.1:7001)"
    assert (error.function, error.row, error.shard) == ("domain", 17, "127.0.0.1:7001")
    assert error.pretty().splitlines() == [
        error.message,
        "  email = 'nobody'",
        "  Traceback (most recent call last):",
        '    File "<function domain>", line 1, in domain',
    ]


def test_a_fault_of_a_definition_knows_its_line() -> None:
    error = reply("GEARSHOOK", {**TOLD, "kind": "definition", "line": 3, "type": "ImportError"})
    assert isinstance(error, FunctionDefinitionError)
    assert error.source_line == 3
    assert error.message.startswith("domain: ImportError: list index")


@pytest.mark.parametrize(
    ("code", "told", "kind"),
    [
        ("GEARSHOOK", {**TOLD, "kind": "memory"}, HookDiedError),
        ("GEARSHOOK", {**TOLD, "kind": "internal"}, InternalError),
        ("GEARSHOOK", "no JSON", HookDiedError),
        ("GEARSHOOK", [1, 2], HookDiedError),
        ("GEARSHOOKTIME", "domain() took more than 30000 ms", HookTimeoutError),
        ("GEARSHOOKDIED", "domain(): killed by SIGSEGV", HookDiedError),
        ("GEARSFUNCTION", "domain is not known with this hash", FunctionChangedError),
    ],
)
def test_every_code_has_its_error(code: str, told: object, kind: type[Exception]) -> None:
    assert isinstance(reply(code, told), kind)


@pytest.fixture(scope="module", params=["one_server", "three_shards"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Cluster)
    return found


@pytest.fixture
def functions(cluster: Cluster) -> Iterator[Functions]:
    shards = Shards(cluster.url)
    found = Functions(shards)
    yield found
    for known in found.all():
        found.drop(known.function.name)
    shards.close()


def on_each(cluster: Cluster) -> list[set[str]]:
    """The names that each shard lists as defined."""
    found = []
    for shard in Shards(cluster.url).all:
        port = shard.port or cluster.ports[0]
        with redis.Redis(port=port) as client:
            listed = [
                dict(zip(told[::2], told[1::2], strict=True))
                for told in client.execute_command("GEARSQL.FUNCTIONS")
            ]
        found.append({told[b"name"].decode() for told in listed if not told[b"deleted"]})
    return found


def test_a_defined_function_is_on_every_shard(functions: Functions, cluster: Cluster) -> None:
    wanted = function("first_of", requires=("json",), volatile=True, isolation="process")
    assert functions.define(wanted)
    assert all("first_of" in names for names in on_each(cluster))
    known = functions.find(["FIRST_OF", "nothing"])
    assert known.keys() == {"first_of"}
    found = known["first_of"].function
    assert (found.definition(), found.hash) == (wanted.definition(), wanted.hash)
    assert found.version > 0
    assert known["first_of"].call.startswith("gears_hook_")


def test_versions_grow_and_count_dropped_ones(functions: Functions) -> None:
    versions = []
    for source in ("return 1", "return 2"):
        functions.define(function("counted", source), replace=True)
        versions.append(functions.find(["counted"])["counted"].function.version)
    functions.drop("counted")
    functions.define(function("counted"))
    versions.append(functions.find(["counted"])["counted"].function.version)
    assert versions[0] < versions[1] < versions[2] - 1


def test_a_name_that_is_taken(functions: Functions) -> None:
    functions.define(function("taken", "return 1"))
    with pytest.raises(FunctionExistsError, match="taken exists"):
        functions.define(function("taken", "return 2"))
    assert not functions.define(function("taken", "return 2"), if_not_exists=True)
    assert functions.get("taken").function.source == "return 1"
    assert functions.define(function("taken", "return 2"), replace=True)
    assert functions.get("taken").function.source == "return 2"


def test_a_dropped_function_is_gone_and_names_like_it_are_told(
    functions: Functions, cluster: Cluster
) -> None:
    functions.define(function("distant"))
    functions.define(function("distances"))
    functions.drop("DISTANT")
    assert not any("distant" in names for names in on_each(cluster))
    functions.drop("distant", if_exists=True)
    with pytest.raises(UnknownFunctionError) as raised:
        functions.drop("distance")
    assert raised.value.candidates == ("distances",)
    with pytest.raises(UnknownFunctionError):
        functions.get("distant")


@pytest.mark.parametrize(
    ("source", "requires", "said"),
    [
        ("import no_such_package\ndef broken(x): return x", (), "No module named 'no_such_package'"),
        ("return x", ("no_such_package",), "No module named 'no_such_package'"),
        ("y = 1\nz = y / 0\ndef broken(x): return x", (), "ZeroDivisionError"),
    ],
)
def test_what_no_shard_can_load_is_on_none(
    functions: Functions, cluster: Cluster, source: str, requires: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FunctionDefinitionError, match=said) as raised:
        functions.define(function("broken", source, requires=requires))
    assert "(shard 127.0.0.1:" in raised.value.message
    assert not any("broken" in names for names in on_each(cluster))


def test_the_fault_that_a_server_finds_is_shown_in_the_statement(cluster: Cluster) -> None:
    head = "CREATE FUNCTION broken(x INT) RETURNS INT LANGUAGE python AS $$"
    sql = f"{head}\nimport nowhere\ndef broken(x): return 1$$"
    with gearsql.connect(cluster.url) as connection, pytest.raises(FunctionDefinitionError) as raised:
        connection.execute(sql)
    error = raised.value
    assert error.text == sql and error.position is not None
    assert sql[error.position.start : error.position.end] == "import nowhere"


def test_what_only_some_shards_could_store_reaches_the_others(
    three_shards: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(three_shards.url)
    functions = Functions(shards)
    # The check would notice the full shard before anything is stored.
    monkeypatch.setattr(functions, "_ask_all", lambda words: None)
    full = shards.open(shards.all[1])
    full.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(OperationalError) as raised:
            functions.define(function("partly"))
    finally:
        full.ask("CONFIG", "SET", "maxmemory", 0)
    message = raised.value.message
    assert message.startswith("partly is defined on 127.0.0.1:")
    assert f", and {full.name} failed: " in message
    assert f"{full.name} will get it from the others" in str(raised.value.hint)
    deadline = time.monotonic() + 20
    while not all("partly" in names for names in on_each(three_shards)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    functions.drop("partly")
    full.close()
    shards.close()


def test_a_shard_that_is_full_keeps_a_function_from_all(three_shards: Cluster) -> None:
    shards = Shards(three_shards.url)
    full = shards.open(shards.all[1])
    full.ask("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(ShardError, match="maxmemory"):
            Functions(shards).define(function("nowhere"))
    finally:
        full.ask("CONFIG", "SET", "maxmemory", 0)
    assert not any("nowhere" in names for names in on_each(three_shards))
    full.close()
    shards.close()


def test_a_stale_list_is_asked_anew(functions: Functions, cluster: Cluster) -> None:
    functions.define(function("renewed", "return 1"))
    assert functions.find(["renewed"])
    shards = Shards(cluster.url)
    Functions(shards).define(function("renewed", "return 2"), replace=True)
    shards.close()
    functions.refresh()
    assert functions.find(["renewed"])["renewed"].function.source == "return 2"


def test_two_clients_at_once_agree_in_the_end(cluster: Cluster) -> None:
    def define(number: int) -> None:
        shards = Shards(cluster.url)
        try:
            for turn in range(5):
                Functions(shards).define(function("contended", f"return {number} + {turn}"), replace=True)
        finally:
            shards.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(define, range(4)))
    shards = Shards(cluster.url)
    hashes = set()
    for shard in shards.all:
        connection = shards.connection(shard)
        for told in connection.ask("GEARSQL.FUNCTIONS"):
            listed = dict(zip(told[::2], told[1::2], strict=True))
            if listed[b"name"] == b"contended":
                hashes.add((listed[b"version"], listed[b"hash"]))
    assert len(hashes) == 1
    Functions(shards).drop("contended")
    shards.close()


@pytest.fixture
def connection(functions: Functions, cluster: Cluster) -> Iterator[Connection]:
    with gearsql.connect(cluster.url) as opened:
        yield opened


def test_show_and_describe(connection: Connection) -> None:
    connection.execute(
        "CREATE FUNCTION domain_of(email VARCHAR) RETURNS VARCHAR LANGUAGE python AS $$\n"
        "return email.split('@')[1]\n$$"
    )
    shown = connection.execute("SHOW FUNCTIONS")
    assert [name for name, *_ in shown.description or ()] == [
        "name", "signature", "kind", "isolation", "version"
    ]  # fmt: skip
    (row,) = shown.fetchall()
    assert row[:4] == ("domain_of", "domain_of(email VARCHAR) → VARCHAR", "scalar", "session")
    described = dict(connection.execute("DESCRIBE FUNCTION Domain_Of").fetchall())
    assert described["source"] == "\nreturn email.split('@')[1]\n"
    assert (described["stability"], described["version"]) == ("IMMUTABLE", row[4])
    connection.execute("DROP FUNCTION domain_of")
    assert connection.execute("SHOW FUNCTIONS").fetchall() == []


def test_errors_of_statements_are_at_the_name(connection: Connection) -> None:
    create = "CREATE FUNCTION same(x INT) RETURNS INT LANGUAGE python AS 'return x'"
    connection.execute(create)
    for sql, error in (
        (create, FunctionExistsError),
        ("DROP FUNCTION samee", UnknownFunctionError),
        ("DESCRIBE FUNCTION samee", UnknownFunctionError),
    ):
        with pytest.raises(error) as raised:
            connection.execute(sql)
        position = raised.value.position
        assert position is not None and sql[position.start : position.end] in ("same", "samee")
        assert raised.value.hint


def test_the_decorator_defines_and_leaves_the_function_as_it_is(connection: Connection) -> None:
    @connection.function
    def add_one(x: int) -> int:
        return x + 1

    @connection.function(volatile=True, name="add_two")
    def other(x: int) -> int:
        return x + 2

    assert (add_one(1), other(1)) == (2, 3)
    names = [row[0] for row in connection.execute("SHOW FUNCTIONS").fetchall()]
    assert names == ["add_one", "add_two"]
    with pytest.raises(FunctionExistsError) as raised:
        connection.create_function(add_one)
    assert raised.value.hint == "replace=True"
    connection.create_function(add_one, replace=True)


def test_without_the_module_there_are_no_functions(plain_server: Cluster) -> None:
    shards = Shards(plain_server.url)
    functions = Functions(shards)
    assert functions.find(["anything"]) == {}
    for ask in (
        lambda: functions.define(function("here")),
        lambda: functions.drop("here"),
        functions.all,
    ):
        with pytest.raises(NotSupportedError, match="functions live in the gearsql module"):
            ask()
    shards.close()
