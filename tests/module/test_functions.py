"""GEARSQL.DEFINE, UNDEFINE and FUNCTIONS by hand: what is stored, who may, and how it lasts and spreads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import Word, connect, run, status
from tests.servers import SERVERS, binary

SPREAD_SECONDS = 20.0
INFO = {"save": "", "rdbcompression": "no", "rdbchecksum": "no"}
AOF = {"appendonly": "yes", "appendfsync": "always"}


def words(
    name: str = "domain",
    version: int = 1,
    *,
    source: str = "return email",
    parameters: tuple[str, ...] = ("VARCHAR",),
    returns: str = "VARCHAR",
) -> list[Word]:
    """The words after DEFINE CHECK or SET."""
    definition = json.dumps({"name": name, "source": source, "returns": returns})
    digest = sha256(definition.encode()).hexdigest()
    params = ["PARAMS", len(parameters), *parameters]
    kinds = ["SCALAR", "SESSION", "IMMUTABLE"]
    return [version, digest, name, *kinds, *params, "RETURNS", returns, "DEFINITION", definition]


def define(client: redis.Redis, name: str = "domain", version: int = 1, **options: Any) -> Any:
    return client.execute_command("GEARSQL.DEFINE", "SET", *words(name, version, **options))


def drop(client: redis.Redis, name: str, version: int) -> Any:
    return client.execute_command("GEARSQL.UNDEFINE", version, name)


def listing(client: redis.Redis) -> dict[str, dict[str, Any]]:
    """What FUNCTIONS says, by name."""
    functions = {}
    for flat in client.execute_command("GEARSQL.FUNCTIONS"):
        told = {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}
        functions[told["name"].decode()] = told
    return functions


def versions(client: redis.Redis) -> dict[str, int]:
    """The version of each name, negative if dropped."""
    return {
        name: -told["version"] if told["deleted"] else told["version"]
        for name, told in listing(client).items()
    }


def wait_for(what: Callable[[], object], expected: object) -> None:
    deadline = time.monotonic() + SPREAD_SECONDS
    while what() != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert what() == expected


@pytest.fixture
def fresh(server: Cluster, client: redis.Redis) -> Iterator[redis.Redis]:
    """A connection to a server that has no function, and that many versions ahead of the last test."""
    for name, version in versions(client).items():
        if version > 0:
            drop(client, name, version + 1)
    yield client


# ---- what is stored ---------------------------------------------------------------------------------------


def test_a_function_is_listed_as_it_was_defined(fresh: redis.Redis) -> None:
    assert define(fresh, "listed", parameters=("BIGINT", 'STRUCT("a" VARCHAR)[]')) == b"OK"
    told = listing(fresh)["listed"]
    assert [told["version"], told["deleted"]] == [1, 0]
    assert [told["kind"], told["isolation"], told["stability"]] == [b"SCALAR", b"SESSION", b"IMMUTABLE"]
    assert [told["parameters"], told["returns"]] == [[b"BIGINT", b'STRUCT("a" VARCHAR)[]'], b"VARCHAR"]
    assert json.loads(told["definition"])["source"] == "return email"
    assert told["call"].startswith(b"gears_hook_") and len(told["call"]) == 27
    assert status(fresh)["functions"] == fresh.info("gearsql")["gearsql_functions"] == 1


def test_the_later_version_wins(fresh: redis.Redis) -> None:
    define(fresh, "later", 5)
    define(fresh, "later", 7, source="return 7")
    with pytest.raises(redis.ResponseError, match=r"^GEARSFUNCTION stale version 6 of later: version 7"):
        define(fresh, "later", 6)
    assert "return 7" in listing(fresh)["later"]["definition"].decode()


def test_the_same_again_is_no_error(fresh: redis.Redis) -> None:
    assert [define(fresh, "same", 3) for _ in range(2)] == [b"OK", b"OK"]
    assert drop(fresh, "same", 4) == drop(fresh, "same", 4) == b"OK"


def test_of_two_with_one_version_the_larger_hash_wins(fresh: redis.Redis) -> None:
    low, high = sorted((words("twin", 2, source=str(i)) for i in range(2)), key=lambda w: str(w[1]))
    fresh.execute_command("GEARSQL.DEFINE", "SET", *low)
    fresh.execute_command("GEARSQL.DEFINE", "SET", *high)
    with pytest.raises(redis.ResponseError, match="stale"):
        fresh.execute_command("GEARSQL.DEFINE", "SET", *low)
    assert listing(fresh)["twin"]["hash"].decode() == high[1]


def test_a_dropped_function_leaves_its_version(fresh: redis.Redis) -> None:
    define(fresh, "gone", 3)
    for version in (2, 3):
        with pytest.raises(redis.ResponseError, match="stale"):
            drop(fresh, "gone", version)
    assert drop(fresh, "gone", 4) == b"OK"
    with pytest.raises(redis.ResponseError, match="stale"):
        define(fresh, "gone", 3)
    assert versions(fresh)["gone"] == -4
    assert define(fresh, "gone", 4) == b"OK", "of one version the defined one wins"


def test_a_function_that_was_never_here_can_be_dropped(fresh: redis.Redis) -> None:
    drop(fresh, "elsewhere", 9)
    with pytest.raises(redis.ResponseError, match="stale"):
        define(fresh, "elsewhere", 8)


def test_names_are_text(fresh: redis.Redis) -> None:
    for name in ("größe", "with space", "%d%n", "n" * 255):
        define(fresh, name)
        assert versions(fresh)[name] == 1
        with pytest.raises(redis.ResponseError, match="GEARSFUNCTION stale"):
            drop(fresh, name, 1)


def changed(place: int, word: Word) -> list[Word]:
    return [word if i == place else old for i, old in enumerate(words())]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (changed(0, 0), "version"),
        (changed(0, -1), "version"),
        (changed(0, "1.5"), "version"),
        (changed(0, "9" * 19), "version"),
        (changed(0, ""), "version"),
        (changed(1, ""), "hash"),
        (changed(1, "A"), "hash"),
        (changed(1, "a" * 129), "hash"),
        (changed(2, ""), "name"),
        (changed(2, "n" * 256), "name"),
        (changed(2, b"\xff"), "name"),
        (changed(2, "a\nb"), "name"),
        (changed(2, b"a\0b"), "name"),
        (changed(3, "TABLE"), "SCALAR or AGGREGATE"),
        (changed(4, "THREAD"), "isolation"),
        (changed(5, "STABLE"), "IMMUTABLE or VOLATILE"),
        (changed(6, "PARAM"), "PARAMS"),
        (changed(7, 0), "PARAMS"),
        (changed(7, 2), "PARAMS"),
        (changed(7, 10**18 - 1), "PARAMS"),
        (changed(7, -1), "PARAMS"),
        (changed(8, "varchar"), "no type of hooks: varchar"),
        (changed(8, "VARCHAR[" + "]" * 3), "no type"),
        (changed(8, "VARCHAR" + "[]" * 40), "no type"),
        (changed(8, b"\xff\n"), "no type of hooks: %FF%0A"),
        (changed(9, "RETURN"), "RETURNS"),
        (changed(10, ""), "no type"),
        (changed(11, "JSON"), "DEFINITION"),
        (changed(12, ""), "JSON"),
        (changed(12, "[]"), "JSON"),
        (changed(12, b"{\0}"), "JSON"),
        (changed(12, b"{\xff}"), "JSON"),
        (changed(12, "{" + " " * (1 << 20)), "1048576 bytes"),
        ([*words(), "more"], "PARAMS"),
    ],
)
def test_every_word_is_checked(fresh: redis.Redis, bad: list[Word], message: str) -> None:
    before = versions(fresh)
    with pytest.raises(redis.ResponseError, match=message) as caught:
        fresh.execute_command("GEARSQL.DEFINE", "SET", *bad)
    assert str(caught.value).startswith(("GEARSSTAGE ", "GEARSLIMIT "))
    assert versions(fresh) == before


@pytest.mark.parametrize(
    "command", ["DEFINE", "DEFINE SET", "DEFINE GET " + "x " * 13, "UNDEFINE", "FUNCTIONS x"]
)
def test_wrong_words_are_refused(fresh: redis.Redis, command: str) -> None:
    with pytest.raises(redis.ResponseError):
        fresh.execute_command(*f"GEARSQL.{command}".split())
    with pytest.raises(redis.ResponseError):
        fresh.execute_command("GEARSQL.UNDEFINE", "x", "name")


def test_many_parameters(fresh: redis.Redis) -> None:
    define(fresh, "wide", parameters=("BIGINT",) * 256)
    assert len(listing(fresh)["wide"]["parameters"]) == 256
    with pytest.raises(redis.ResponseError):
        define(fresh, "wider", parameters=("BIGINT",) * 257)


def test_data_commands_do_not_touch_functions(fresh: redis.Redis) -> None:
    define(fresh, "kept")
    fresh.flushall()
    assert versions(fresh)["kept"] == 1 and fresh.dbsize() == 0


def test_a_transaction_defines_and_does_not_check(fresh: redis.Redis) -> None:
    pipe = fresh.pipeline(transaction=True)
    pipe.execute_command("GEARSQL.DEFINE", "SET", *words("together"))
    pipe.execute_command("GEARSQL.DEFINE", "CHECK", *words("together"))
    stored, checked = pipe.execute(raise_on_error=False)
    assert stored == b"OK" and "transaction" in str(checked)


# ---- bounds -----------------------------------------------------------------------------------------------


def test_names_are_4096_and_the_oldest_dropped_one_gives_way() -> None:
    with Cluster(1) as server, connect(server) as client:
        pipe = client.pipeline(transaction=False)
        for i in range(4095):
            pipe.execute_command("GEARSQL.DEFINE", "SET", *words(f"f{i}", i + 10))
        pipe.execute_command("GEARSQL.UNDEFINE", 9, "dropped")
        assert set(pipe.execute()) == {b"OK"}
        assert drop(client, "older", 8) == b"OK", "nothing to remember: it would be forgotten next"
        assert "older" not in versions(client)
        define(client, "last", 5)
        known = versions(client)
        assert len(known) == 4096 and "dropped" not in known and known["last"] == 5
        with pytest.raises(redis.ResponseError, match="GEARSLIMIT this server holds 4096 functions"):
            define(client, "one too many")
        define(client, "last", 6)
        drop(client, "last", 7)
        define(client, "instead", 8)
        assert "last" not in versions(client)


def test_definitions_have_64_mib() -> None:
    with Cluster(1) as server, connect(server) as client:
        big = "#" * ((1 << 20) - 1000)
        for i in range(64):
            define(client, f"f{i}", source=big)
        with pytest.raises(redis.ResponseError, match="64 MiB"):
            define(client, "f64", source=big)
        define(client, "f0", 2)
        assert define(client, "f64", source=big) == b"OK"


# ---- who may ----------------------------------------------------------------------------------------------

QUERYING = ["+@read", "+gearsql.execute", "+gearsql.fetch", "+gearsql.functions"]


@pytest.fixture
def login(server: Cluster, fresh: redis.Redis) -> Iterator[Callable[..., redis.Redis]]:
    """Make a user with these rights, and return its connection."""
    connections: list[redis.Redis] = []

    def login(*rights: str) -> redis.Redis:
        fresh.execute_command("ACL", "SETUSER", "somebody", "reset", "on", ">secret", "~*", *rights)
        connections.append(connect(server, username="somebody", password="secret"))
        return connections[-1]

    yield login
    for connection in connections:
        connection.close()
    fresh.execute_command("ACL", "DELUSER", "somebody")


def defines(client: redis.Redis) -> list[bool]:
    """Whether a user may check, define and drop."""

    def allowed(*command: Word) -> bool:
        try:
            client.execute_command(*command)
        except redis.exceptions.NoPermissionError:
            return False
        except redis.ResponseError:
            pass
        return True

    check, store = (("GEARSQL.DEFINE", verb, *words("acl")) for verb in ("CHECK", "SET"))
    return [allowed(*check), allowed(*store), allowed("GEARSQL.UNDEFINE", 10**9, "acl")]


def test_who_may_read_may_query_and_see_functions_and_define_none(login: Callable[..., redis.Redis]) -> None:
    user = login(*QUERYING)
    assert run(user, "SELECT 1").rows == [(1,)]
    assert isinstance(user.execute_command("GEARSQL.FUNCTIONS"), list)
    assert defines(user) == [False] * 3


def test_who_may_write_data_defines_nothing(login: Callable[..., redis.Redis]) -> None:
    assert (
        defines(login("+@all", "-@admin", "-@dangerous", "-gearsql.define", "-gearsql.undefine"))
        == [False] * 3
    )
    assert defines(login("+@read", "+@write", "+@keyspace")) == [False] * 3


def test_the_right_to_define_is_the_commands(login: Callable[..., redis.Redis]) -> None:
    assert defines(login("+gearsql.define", "+gearsql.undefine")) == [True] * 3
    assert defines(login("+gearsql.undefine")) == [False, False, True]


def test_the_right_to_define_is_a_category_where_servers_have_them(
    request: pytest.FixtureRequest, server: Cluster, client: redis.Redis, login: Callable[..., redis.Redis]
) -> None:
    categories = {category.decode() for category in client.execute_command("ACL", "CAT")}
    if "gearsql" in categories:
        members = {name.decode().lower() for name in client.execute_command("ACL", "CAT", "gearsql")}
        assert members == {"gearsql.define", "gearsql.undefine"}
        assert defines(login("+@gearsql")) == [True] * 3
    if client.execute_command("ACL", "CAT", "read").count(b"GEARSQL.EXECUTE"):
        assert defines(login("+@all", "-@dangerous")) == [False] * 3
        assert defines(login("+@all", "-@admin")) == [False] * 3
        user = login("+@read")
        assert run(user, "SELECT 1").rows == [(1,)] and defines(user) == [False] * 3
    else:
        assert "7.0" in client.info("server")["redis_version"], "the one that knows no categories of modules"


# ---- how it lasts -----------------------------------------------------------------------------------------


def fill(client: redis.Redis) -> dict[str, dict[str, Any]]:
    define(client, "one", 1)
    define(client, "two", 2, parameters=(), returns="DECIMAL(10,2)[]", source="x" * 100_000)
    define(client, "three", 3)
    drop(client, "three", 4)
    return listing(client)


def test_debug_reload_keeps_functions(fresh: redis.Redis) -> None:
    before = fill(fresh)
    fresh.execute_command("DEBUG", "RELOAD")
    assert listing(fresh) == before


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("way", ["rdb", "bgsave", "aof", "aof rewritten"])
def test_functions_survive_a_restart(name: str, way: str, tmp_path: Path) -> None:
    aof = AOF if way.startswith("aof") else {}
    with Cluster(1, server=binary(name), directory=tmp_path, config=INFO | aof) as server:
        with server.client() as client:
            before = fill(client)
            if way == "rdb":
                client.execute_command("SAVE")
            elif way == "bgsave":
                client.execute_command("BGSAVE")
                wait_for(lambda: client.info("persistence")["rdb_bgsave_in_progress"], 0)
            elif way == "aof rewritten":
                client.execute_command("BGREWRITEAOF")
                persistence = lambda: client.info("persistence")  # noqa: E731
                wait_for(lambda: persistence()["aof_rewrite_in_progress"], 0)
                define(client, "after", 9)
                before = listing(client)
        server.kill(0)
        server.restart(0)
        with server.client() as client:
            assert listing(client) == before
            assert "REDIS BUG REPORT" not in server.log(0)


def test_what_is_stale_in_an_aof_is_passed_over(tmp_path: Path) -> None:
    with Cluster(1, directory=tmp_path, config=INFO | AOF) as server:
        with server.client() as client:
            define(client, "aof", 3)
        server.kill(0)
        (file,) = (tmp_path / "shard0" / "appendonlydir").glob("*.incr.aof")
        stale = [str(word).encode() for word in ("GEARSQL.DEFINE", "SET", *words("aof", 2))]
        with file.open("ab") as aof:
            aof.write(b"*%d\r\n" % len(stale) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in stale))
        server.restart(0)
        with server.client() as client:
            assert versions(client) == {"aof": 3}


@pytest.mark.parametrize("name", SERVERS)
def test_without_functions_the_rdb_needs_no_module(name: str, tmp_path: Path) -> None:
    with Cluster(1, server=binary(name), directory=tmp_path, config=INFO) as server:
        with server.client() as client:
            if not client.execute_command("ACL", "CAT", "read").count(b"GEARSQL.EXECUTE"):
                pytest.skip("Redis 7.0 cannot leave it out")
            client.set("key", "value")
            client.execute_command("SAVE")
        server.kill(0)
        server.restart(0, module=False)
        with server.client() as client:
            assert client.get("key") == b"value"


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("damage", ["type", "length", "cut", "version"])
def test_a_damaged_rdb_is_an_error_and_no_crash(name: str, damage: str, tmp_path: Path) -> None:
    with Cluster(1, server=binary(name), directory=tmp_path, config=INFO) as server:
        with server.client() as client:
            fill(client)
            client.execute_command("SAVE")
        server.kill(0)
        file = tmp_path / "shard0" / "dump.rdb"
        data = file.read_bytes()
        damaged = {
            "type": data.replace(b"DECIMAL(10,2)", b"DECIMAL(99,2)"),
            "length": data.replace(b"\x07\x00\x00\x00RETURNS", b"\xff\xff\xff\x7fRETURNS"),
            "version": data.replace(b"\x01\x00\x00\x001", b"\x01\x00\x00\x000"),
            "cut": data[: data.index(b"RETURNS") + 3],
        }[damage]
        assert damaged != data
        file.write_bytes(damaged)
        with pytest.raises(Exception, match="died while starting"):
            server.restart(0)
        log = server.log(0)
        assert "BUG REPORT" not in log and "crashed by signal" not in log


# ---- replicas ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SERVERS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    """Two servers of a kind that know nothing of each other."""
    path = binary(request.param)
    with (
        Cluster(1, server=path, debug=True, config={"repl-diskless-sync-delay": 0}) as one,
        Cluster(1, server=path, config={"repl-diskless-load": "swapdb"}) as other,
        one.client() as primary,
        other.client() as replica,
    ):
        yield primary, replica


def follow(replica: redis.Redis, primary: redis.Redis) -> None:
    replica.execute_command("REPLICAOF", "127.0.0.1", primary.connection_pool.connection_kwargs["port"])
    wait_for(lambda: replica.info("replication")["master_link_status"], "up")


def test_a_replica_has_its_primarys_functions_and_no_others(pair: tuple[redis.Redis, redis.Redis]) -> None:
    primary, replica = pair
    before = fill(primary)
    define(replica, "own", 99)
    follow(replica, primary)
    assert listing(replica) == before
    define(primary, "then", 5)
    drop(primary, "one", 6)
    wait_for(lambda: listing(replica) == listing(primary), True)
    with pytest.raises(redis.exceptions.ReadOnlyError):
        define(replica, "refused")
    replica.execute_command("REPLICAOF", "NO", "ONE")
    assert versions(replica) == {"one": -6, "three": -4, "then": 5, "two": 2}
    define(replica, "refused", 7)
    assert "refused" in versions(replica)


# ---- the cluster's bus ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(3, server=binary(request.param), replicas=1, config=AOF) as cluster:
        yield cluster


def everywhere(cluster: Cluster) -> list[dict[str, int]]:
    def ask(port: int) -> dict[str, int]:
        with redis.Redis(port=port, socket_timeout=30) as client:
            return versions(client)

    alive = [pid is not None for pid in cluster.pids]
    ports = (*cluster.ports, *cluster.replica_ports)
    return [ask(port) for port, is_alive in zip(ports, alive, strict=True) if is_alive]


def test_a_function_of_one_node_reaches_all(cluster: Cluster) -> None:
    with cluster.client(0) as first, cluster.client(1) as second:
        define(first, "spreads", 1, source="x" * 300_000)
        define(second, "spreads too", 1, source="x" * 900_000)
        define(second, "both", 2)
        define(first, "both", 1)
    expected = {"both": 2, "spreads": 1, "spreads too": 1}
    wait_for(lambda: everywhere(cluster), [expected] * 6)
    with cluster.client(2) as third:
        drop(third, "spreads", 3)
    wait_for(lambda: everywhere(cluster), [expected | {"spreads": -3}] * 6)


def test_what_came_by_the_bus_is_in_the_aof(cluster: Cluster) -> None:
    with cluster.client(0) as first, cluster.client(1) as second:
        define(first, "lasts", 1)
        wait_for(lambda: versions(second).get("lasts"), 1)
        time.sleep(0.2)
        files = second.config_get("dir")["dir"]
    texts = [file.read_bytes() for file in Path(files, "appendonlydir").glob("*.incr.aof")]
    assert any(b"GEARSQL.DEFINE" in text and b"lasts" in text for text in texts)


def test_a_node_that_joins_later_gets_them_all(cluster: Cluster) -> None:
    with cluster.client(0) as first:
        for i in range(200):
            define(first, f"many{i}", 1, source="x" * 5_000)
        known = versions(first)
    wait_for(lambda: everywhere(cluster), [known] * 6)
    path = cluster._options.binary
    with (
        Cluster(1, server=path, config={"cluster-enabled": "yes"}) as late,
        late.client() as newcomer,
    ):
        define(newcomer, "brought along", 1)
        newcomer.execute_command("CLUSTER", "MEET", "127.0.0.1", cluster.ports[0])
        wait_for(lambda: versions(newcomer), known | {"brought along": 1})
        wait_for(lambda: everywhere(cluster), [known | {"brought along": 1}] * 6)


def test_a_promoted_replica_has_them(cluster: Cluster) -> None:
    with cluster.client(0) as first:
        define(first, "before the end", 1)
        wait_for(lambda: {"before the end"} <= everywhere(cluster)[3].keys(), True)
    cluster.kill(0)
    with cluster.client(3) as promoted:
        wait_for(lambda: promoted.info("replication")["role"], "master")
        wait_for(lambda: "cluster_state:ok" in str(promoted.execute_command("CLUSTER", "INFO")), True)
        assert versions(promoted)["before the end"] == 1
        define(promoted, "after the end", 2)
        wait_for(lambda: [known.get("after the end") for known in everywhere(cluster)], [2] * 5)
