"""Finding the shards, asking all of them, and what is said when that fails."""

import time
from collections.abc import Iterator
from itertools import count

import pytest
from redis.crc import key_slot

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.gather import gather
from gearsql.cluster.presence import choose_reader
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import SLOTS, Shard, own_slots, require_all_slots
from gearsql.embedded import Cluster
from gearsql.errors import (
    AccessDeniedError,
    CancelledError,
    InterfaceError,
    ModuleMissingError,
    ShardError,
    ShardUnreachableError,
    SlotsNotCoveredError,
)


@pytest.fixture
def shards(plain_shards: Cluster) -> Iterator[Shards]:
    found = Shards(plain_shards.url)
    yield found
    found.close()


def blocks(shard: Shard, connection: ShardConnection) -> Iterator[None]:
    """Wait on the server for ever, for a key in the shard's first slot."""
    first, _ = shard.slots[0]
    keys = (b"blocked:%d" % number for number in count())
    connection.ask("BLPOP", next(key for key in keys if key_slot(key) == first), 0)
    yield None


def test_the_primaries_of_a_cluster_are_found_from_any(plain_shards: Cluster) -> None:
    found = [Shards(f"redis://127.0.0.1:{port}") for port in plain_shards.ports]
    assert {shards.all for shards in found} == {found[0].all}
    assert [shard.port for shard in found[0].all] == list(plain_shards.ports)


def test_a_single_server_is_one_shard_with_all_slots(plain_server: Cluster) -> None:
    (shard,) = Shards(plain_server.url).all
    assert shard.slots == ((0, SLOTS - 1),)


def test_the_owner_of_a_key_takes_it(shards: Shards) -> None:
    for number in range(50):
        assert shards.owner(b"own:%d" % number).ask("SET", f"own:{number}", 1) == b"OK"


def test_connections_are_kept_between_questions(shards: Shards) -> None:
    first = [shards.connection(shard) for shard in shards.all]
    assert [shards.connection(shard) for shard in shards.all] == first


def test_missing_slots_are_named() -> None:
    with pytest.raises(SlotsNotCoveredError, match=r"no shard serves the slots 0–9, 100, 16000–16383"):
        require_all_slots([(10, 99), (101, 15_999)])


def test_slots_claimed_twice_are_named() -> None:
    with pytest.raises(SlotsNotCoveredError, match=r"claim the slots 5–10"):
        require_all_slots([(0, 10), (5, SLOTS - 1)])


def test_a_shard_tells_its_own_slots_and_those_on_the_move() -> None:
    nodes = b"""aa 127.0.0.1:1@2 master - 0 0 2 connected 101-16383
bb 127.0.0.1:3@4 myself,master - 0 0 1 connected 0-99 100 [77->-aa] [101-<-aa]
"""
    own = own_slots(nodes)
    assert own.spans == ((0, 99), (100, 100))
    assert own.moving == (77, 101)


def test_one_failure_ends_the_others_at_once(shards: Shards) -> None:
    def read(shard: Shard, connection: ShardConnection) -> Iterator[None]:
        if shard == shards.all[1]:
            connection.ask("NO-SUCH-COMMAND")
        yield from blocks(shard, connection)

    begun = time.monotonic()
    with pytest.raises(ShardError, match=r"127\.0\.0\.1:\d+: unknown command"):
        list(gather(shards, read))
    assert time.monotonic() - begun < 2


def test_a_timeout_ends_all(shards: Shards) -> None:
    begun = time.monotonic()
    with pytest.raises(CancelledError, match="time is up"):
        list(gather(shards, blocks, timeout=0.2))
    assert time.monotonic() - begun < 2


def test_after_a_failure_the_next_question_is_answered(shards: Shards) -> None:
    def ping(_: Shard, connection: ShardConnection) -> Iterator[bytes]:
        yield connection.ask("PING")

    with pytest.raises(CancelledError):
        list(gather(shards, blocks, timeout=0.1))
    assert list(gather(shards, ping)) == [b"PONG"] * 3


def test_an_abandoned_answer_frees_the_shards(shards: Shards) -> None:
    def endless(_: Shard, connection: ShardConnection) -> Iterator[bytes]:
        while True:
            yield connection.ask("PING")

    items = gather(shards, endless)
    assert next(items) == b"PONG"
    items.close()


def test_a_server_that_is_down_is_unreachable() -> None:
    with pytest.raises(ShardUnreachableError, match="cannot reach"):
        Shards("redis://127.0.0.1:1")


def test_a_wrong_password_is_said() -> None:
    with Cluster(1, module=False, password="right") as server:
        with pytest.raises(ShardUnreachableError, match="refuses the user name or password"):
            Shards(server.url.replace("right", "wrong"))
        with pytest.raises(ShardUnreachableError, match="refuses the user name or password"):
            Shards(f"redis://127.0.0.1:{server.ports[0]}")
        assert Shards(server.url).all


def test_a_killed_shard_is_named() -> None:
    with Cluster(2, module=False) as cluster:
        shards = Shards(cluster.url)
        cluster.kill(1)
        with pytest.raises(ShardUnreachableError, match=str(cluster.ports[1])):
            choose_reader(shards, "auto")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://127.0.0.1:1?no_such_option=1"])
def test_a_bad_url_is_the_users_fault(url: str) -> None:
    with pytest.raises(InterfaceError):
        Shards(url)


def test_a_user_without_cluster_rights_learns_what_to_ask_for(plain_shards: Cluster) -> None:
    for shard in range(3):
        with plain_shards.client(shard) as client:
            client.execute_command("ACL", "SETUSER", "small", "on", ">x", "~*", "+@read")
    with pytest.raises(AccessDeniedError, match=r"\+cluster\|slots"):
        Shards(f"redis://small:x@127.0.0.1:{plain_shards.ports[0]}")


def test_without_the_module_the_reader_is_portable(shards: Shards) -> None:
    assert choose_reader(shards, "auto") == "portable"
    with pytest.raises(ModuleMissingError, match="missing on 3 of 3"):
        choose_reader(shards, "module")
