"""Slots that move while a query counts them, in real clusters: each is counted once, or named."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

import gearsql
from gearsql.cluster.control import Control
from gearsql.cluster.patience import Patience
from gearsql.cluster.replies import error_from_reply
from gearsql.cluster.slots import (
    ALL_SLOTS,
    SlotLedger,
    moved,
    parse_slots,
    slot_set,
    slot_spans,
)
from gearsql.cluster.topology import Shard
from gearsql.embedded import Cluster
from gearsql.errors import SlotsMovedError
from tests.faults.scene import COUNT, RIGHT, ROWS, fill, wait_until
from tests.servers import binary


def test_a_set_of_slots_is_its_spans() -> None:
    spans = [(0, 0), (5, 99), (101, 101), (16_000, 16_383)]
    assert slot_spans(slot_set(spans)) == spans
    assert slot_spans(0) == []
    assert slot_spans(ALL_SLOTS) == [(0, 16_383)]
    assert parse_slots("0,5-99,101,16000-16383") == slot_set(spans)
    assert parse_slots("") == 0
    assert "5–99, 101" in moved(slot_set(spans)).message


A, B = Shard("h", 1, ((0, 8191),)), Shard("h", 2, ((8192, 16_383),))
LINES = {
    "a": "aa h:1@3 {}master - 0 0 {} connected 0-8191",
    "b": "bb h:2@4 {}master - 0 0 {} connected 8192-16383",
}


def nodes(own: str, **lines: str) -> bytes:
    return "\n".join(
        line.format("myself," if name == own else "", 7) for name, line in (LINES | lines).items()
    ).encode()


def test_what_a_replaced_primary_counted_does_not_stand() -> None:
    ledger = SlotLedger((A, B), ALL_SLOTS)
    ledger.closes(A, 0, nodes("a"))
    heir = "cc h:5@6 {}master - 0 0 9 connected 0-8191"
    ledger.closes(B, 0, nodes("b", a="aa h:1@3 master,fail - 0 0 7 connected", c=heir))
    with pytest.raises(SlotsMovedError, match="0–8191"):
        ledger.settle()


def test_what_moved_after_it_was_counted_stands() -> None:
    ledger = SlotLedger((A, B), ALL_SLOTS)
    given = "aa h:1@3 {}master - 0 0 7 connected 1-8191"
    taken = "bb h:2@4 {}master - 0 0 9 connected 0 8192-16383"
    ledger.closes(A, 0, nodes("a", a=given, b=taken))
    ledger.closes(B, slot_set([(9000, 9001)]), nodes("b", a=given, b=taken))
    assert slot_spans(ledger.settle()) == [(9000, 9001)]


SHELVES = 4_000
TABLES = (
    "CREATE TABLE shelves (shelf INTEGER, room INTEGER) WITH (key = 'shelf:{{{shelf}}}')",
    "CREATE TABLE books (shelf INTEGER, id INTEGER, pages INTEGER) WITH (key = 'book:{{{shelf}}}:{id}')",
    f"INSERT INTO shelves SELECT i, i % 7 FROM range({SHELVES}) r(i)",
    f"INSERT INTO books SELECT i % {SHELVES * 2}, i, i % 900 FROM range({ROWS}) r(i)",
)
JOIN = "SELECT count(*), count(s.shelf), sum(id) FROM books b LEFT JOIN shelves s ON b.shelf = s.shelf"
"""A join by the hash tag, made on the shards: half of the books have a shelf."""
ANSWERS = {COUNT: RIGHT, JOIN: [(ROWS, ROWS // 2, RIGHT[0][1])]}


@pytest.fixture(scope="module", params=["valkey-9.1", "redis-7.0", "redis-8.2", "valkey-8.1"])
def shards(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three shards with rows, on servers that move slots in different ways."""
    with Cluster(3, server=binary(request.param)) as cluster:
        fill_tables(cluster.url)
        yield cluster


def fill_tables(url: str) -> None:
    """The rows of COUNT and of JOIN."""
    fill(url)
    with gearsql.connect(url) as connection:
        for statement in TABLES:
            connection.execute(statement)
        assert "those that meet have one hash tag" in str(connection.execute(f"EXPLAIN {JOIN}").fetchall())


class Mover:
    """Moves slots from the first shard to the second, key by key, and back."""

    def __init__(self, cluster: Cluster) -> None:
        self._port = cluster.ports
        self.clients = [cluster.client(shard) for shard in range(3)]
        self.ids = [client.execute_command("CLUSTER", "MYID") for client in self.clients]

    def begin(self, slot: int, source: int, target: int) -> None:
        self.clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        self.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])

    def move_keys(self, slot: int, source: int, target: int, count: int) -> int:
        keys = self.clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            words = ("MIGRATE", "127.0.0.1", self._port[target], "", 0, 5000, "KEYS", *keys)
            self.clients[source].execute_command(*words)
        return len(keys)

    def end(self, slot: int, source: int, target: int) -> None:
        for shard in (target, source, 3 - source - target):
            self.clients[shard].execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])

    def move(self, slot: int, source: int, target: int) -> None:
        self.begin(slot, source, target)
        while self.move_keys(slot, source, target, 1):
            pass
        self.end(slot, source, target)


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_a_slot_half_moved_is_named_when_it_stays_so(shards: Cluster, reader: str) -> None:
    mover = Mover(shards)
    mover.begin(100, 0, 1)
    assert mover.move_keys(100, 0, 1, 1) == 1
    # Longer than a scan takes, also on a busy machine.
    with gearsql.connect(shards.url, timeout=2 if reader == "module" else 5, reader=reader) as connection:
        with pytest.raises(SlotsMovedError, match=r"\b100\b"):
            connection.execute(COUNT)
        while mover.move_keys(100, 0, 1, 10):
            pass
        mover.end(100, 0, 1)
    with gearsql.connect(shards.url, reader=reader) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT
        mover.move(100, 1, 0)
        assert connection.execute(COUNT).fetchall() == RIGHT


def test_keys_in_a_slot_that_is_not_ours_do_not_count(shards: Cluster) -> None:
    """Such as are coming: the shard that they come from counts them."""
    mover = Mover(shards)
    mover.clients[1].execute_command("CLUSTER", "SETSLOT", 100, "IMPORTING", mover.ids[0])
    (key,) = mover.clients[0].execute_command("CLUSTER", "GETKEYSINSLOT", 100, 1)
    dumped = mover.clients[0].execute_command("DUMP", key, NEVER_DECODE=True)
    mover.clients[1].execute_command("ASKING")
    mover.clients[1].execute_command("RESTORE-ASKING", key, 0, dumped)
    with gearsql.connect(shards.url) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT
    mover.clients[1].execute_command("ASKING")
    with mover.clients[1].pipeline(transaction=False) as pipe:
        pipe.execute_command("ASKING")
        pipe.execute_command("DEL", key)
        pipe.execute()
    mover.clients[1].execute_command("CLUSTER", "SETSLOT", 100, "STABLE")


def test_queries_are_right_while_slots_move(shards: Cluster) -> None:
    with asking(shards) as answers:
        mover = Mover(shards)
        for there, back in ((0, 1), (1, 0)):
            for slot in range(200, 300):
                mover.move(slot, there, back)
    assert_right(answers)


@contextmanager
def asking(cluster: Cluster) -> Iterator[list[tuple[str, object]]]:
    """Ask on a thread until the block has ended and all was answered, by turns; errors are answers."""
    answers: list[tuple[str, object]] = []
    over = threading.Event()

    def ask() -> None:
        with gearsql.connect(cluster.url, timeout=20) as connection:
            for query in itertools.cycle(ANSWERS):
                if over.is_set():
                    return
                try:
                    answers.append((query, connection.execute(query).fetchall()))
                except gearsql.Error as error:
                    answers.append((query, error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
        wait_until(lambda: len(answers) > len(ANSWERS), "too few answers")
    finally:
        over.set()
        thread.join()


def assert_right(answers: list[tuple[str, object]]) -> None:
    assert [one for one in answers if one[1] != ANSWERS[one[0]]] == []


def test_queries_are_right_while_valkey_moves_slots_atomically() -> None:
    with Cluster(3) as cluster:
        fill_tables(cluster.url)
        mover = Mover(cluster)
        with asking(cluster) as answers:
            for source, target in ((0, 1), (1, 2), (2, 0)) * 3:
                client = mover.clients[source]
                client.execute_command(
                    "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 2999, "NODE", mover.ids[target]
                )
                while b"success" not in client.execute_command("CLUSTER", "GETSLOTMIGRATIONS")[0]:
                    pass
        assert_right(answers)


@pytest.mark.parametrize("code", ["GEARSREPLICA", "UNBLOCKED", "GEARSMOVED 5-9", "MOVED 5 h:1", "ASK 5 h:1"])
def test_what_a_shard_says_of_its_slots_is_no_end(code: str) -> None:
    kind = {"MOVED": redis.exceptions.MovedError, "ASK": redis.exceptions.AskError}
    name, _, rest = code.partition(" ")
    reply = kind[name](rest) if name in kind else redis.ResponseError(code)
    assert isinstance(error_from_reply("h:1", reply), SlotsMovedError)


def test_a_query_waits_no_longer_than_its_time() -> None:
    patience = Patience(Control(0.05))
    while patience.settles():
        pass
    left = patience.left()
    assert left is not None and left < 0.05
