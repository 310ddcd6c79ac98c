"""The scene of a fault: a cluster with replicas, rows that stay, a writer, and clients that ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import duckdb
import redis
from redis.crc import key_slot

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import own_slots
from gearsql.embedded import Cluster
from gearsql.errors import Error

ROWS = 30_000
SHARDS = 3
# So a scan of 10,000 keys a shard takes a third of a second, slot by slot a second: a fault falls into it.
SLOWLY = {"SLICE_US": 300, "PAUSE_US": 12_000}
NODE_TIMEOUT_MS = 1000
TIMEOUT = 20.0
"""A query's own, in seconds; one that takes longer than this and a bit hangs."""
HANGS = TIMEOUT + 3.0
HEALS = 60.0


class Scene:
    """Three primaries with a replica each, and rows whose sum is known."""

    def __init__(self, server: str | None = None) -> None:
        """Start the servers and load the rows."""
        self.cluster = Cluster(
            SHARDS,
            server=server,
            replicas=1,
            node_timeout_ms=NODE_TIMEOUT_MS,
            module_options=SLOWLY,
            config={"cluster-replica-validity-factor": 0, "maxmemory-policy": "noeviction"},
        )
        self.servers = range(2 * SHARDS)
        self.load()

    def load(self) -> None:
        """Write the rows that stay (again)."""
        shards = Shards(self.cluster.url)
        with duckdb.connect() as connection:
            table = connection.sql(f"SELECT i AS id, i AS n, i % 100 AS g FROM range({ROWS}) r(i)")
            load(shards, table, parse_template("row:{id}"))
        shards.close()

    def client(self, server: int) -> redis.Redis:
        """Return a client of one server."""
        return self.cluster.client(server)

    def primaries(self) -> list[int]:
        """Return which servers are primaries with slots, by their own word, in the order of their slots."""
        found = [(held_slots(self.cluster, server)[:1], server) for server in self.servers]
        return [server for slots, server in sorted(found) if slots]

    def replica_of(self, primary: int) -> int:
        """Return a server that follows `primary`."""
        with self.client(primary) as client:
            port = int(client.role()[2][0][1])
        return self.server_at(port)

    def server_at(self, port: int) -> int:
        """Return the server that listens there."""
        return (*self.cluster.ports, *self.cluster.replica_ports).index(port)

    def node_id(self, server: int) -> str:
        """Return a server's name in the cluster."""
        with self.client(server) as client:
            return str(client.execute_command("CLUSTER", "MYID").decode())

    def is_whole(self) -> bool:
        """Tell whether each of three primaries has a replica with its data, and all agree on the slots."""
        try:
            primaries = self.primaries()
            if len(primaries) != SHARDS:
                return False
            for server in primaries:
                with self.client(server) as client:
                    told = client.info("replication")
                    if told["connected_slaves"] != 1 or told["slave0"]["state"] != "online":
                        return False
            return len({_view(self.cluster, server) for server in self.servers}) == 1
        except (redis.RedisError, KeyError, IndexError):
            return False

    def wait_until_whole(self) -> None:
        """Return when the cluster has healed."""
        wait_until(self.is_whole, "the cluster does not heal", HEALS)


def held_slots(cluster: Cluster, server: int) -> list[int]:
    """Return the slots that a server says it serves."""
    if cluster.pids[server] is None:
        return []
    with cluster.client(server) as client:
        spans = own_slots(client.execute_command("CLUSTER", "NODES")).spans
        return [slot for first, last in spans for slot in range(first, last + 1)]


def _view(cluster: Cluster, server: int) -> str:
    with cluster.client(server) as client:
        if "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            return f"{server} is not ok"
        spans = client.execute_command("CLUSTER", "SLOTS")
        return str(sorted((first, last, node[1]) for first, last, node, *_ in spans))


def wait_until(true: Callable[[], bool], complaint: str, seconds: float) -> None:
    """Return when `true` is."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.02)


@dataclass
class Answer:
    """How one query ended: '' is right."""

    seconds: float
    wrong: str = ""
    error: Error | None = None
    began: float = 0.0


class Asker(threading.Thread):
    """One client that asks a question again and again, each time judged; its timeout is TIMEOUT."""

    def __init__(self, scene: Scene, question: Question, writer: Writer) -> None:
        super().__init__(daemon=True)
        self._url = scene.cluster.url
        self._question, self._writer = question, writer
        self._end = threading.Event()
        self.answers: list[Answer] = []
        self.asked_at: float | None = None
        self.start()

    def run(self) -> None:
        connection: gearsql.Connection | None = None
        while not self._end.is_set():
            answer = Answer(0.0)
            self.asked_at = answer.began = time.monotonic()
            before = self._writer.acknowledged
            try:
                connection = connection or gearsql.connect(self._url, timeout=TIMEOUT)
                rows = connection.execute(self._question.text).fetchall()
                answer.wrong = self._question.judge(rows, before, self._writer.tried)
            except Error as error:
                answer.error = error
            except Exception as error:
                answer.wrong = f"{type(error).__name__}: {error}"
            answer.seconds = time.monotonic() - answer.began
            self.asked_at = None
            self.answers.append(answer)
            if answer.error is not None:
                self._end.wait(0.05)

    def right_since(self, moment: float) -> bool:
        """Tell whether a query that began after `moment` was answered right."""
        return any(a.began > moment and not a.wrong and a.error is None for a in self.answers)

    def hangs(self) -> bool:
        """Tell whether the query at hand is over its time."""
        return self.asked_at is not None and time.monotonic() - self.asked_at > HANGS

    def end(self) -> None:
        """Stop asking; one that hangs is left alone."""
        self._end.set()
        self.join(HANGS)


@dataclass(frozen=True)
class Question:
    """A query, and what is wrong with an answer ('': nothing), given how many writes there were."""

    text: str
    judge: Callable[[list[tuple[object, ...]], int, int], str]


def _judge_sums(rows: list[tuple[object, ...]], acknowledged: int, tried: int) -> str:
    by_kind = {row[0]: row[1:] for row in rows}
    if by_kind.get("row") != (ROWS, ROWS * (ROWS - 1) // 2, ROWS, 100):
        return f"rows that stay: {by_kind.get('row')}"
    return _judge_new(by_kind.get("new"), acknowledged, tried)


def _judge_new(told: tuple[object, ...] | None, acknowledged: int, tried: int) -> str:
    count, _, distinct, _ = told or (0, 0, 0, 0)
    assert isinstance(count, int)
    if not acknowledged <= count <= tried or count != distinct:
        return f"new rows: {count} ({distinct} distinct), written {acknowledged} to {tried}"
    return ""


def _judge_rows(rows: list[tuple[object, ...]], _: int, __: int) -> str:
    numbers = [row[0] for row in rows]
    if len(numbers) == ROWS and set(numbers) == set(range(ROWS)):
        return ""
    return f"{len(numbers)} rows, {len(set(numbers))} distinct"


def _judge_median(rows: list[tuple[object, ...]], _: int, __: int) -> str:
    right = [(g, (ROWS - 100) / 2 + g, ROWS // 100) for g in range(100)]
    return "" if rows == right else f"{len(rows)} groups, the first {rows[:1]}"


QUESTIONS = (
    Question(
        "SELECT split_part(_key, ':', 1) AS kind, count(*), sum(n), count(DISTINCT n), count(DISTINCT g) "
        'FROM "*:*" GROUP BY 1',
        _judge_sums,
    ),
    Question('SELECT n FROM "row:*"', _judge_rows),
    Question('SELECT g, median(n), count(*) FROM "row:*" GROUP BY g ORDER BY g', _judge_median),
)


def _judge_all_or_none(rows: list[tuple[object, ...]], _: int, __: int) -> str:
    (told,) = rows
    return "" if told in ((ROWS, ROWS * (ROWS - 1) // 2), (0, None)) else f"{told[0]} rows"


ALL_OR_NONE = (Question('SELECT count(*), sum(n) FROM "row:*"', _judge_all_or_none),)
"""For a fault that takes all rows away: never some of them."""


@dataclass
class Writer(threading.Thread):
    """Writes 'new:<i>' hashes one after the other; acknowledged is one that a replica has, too."""

    scene: Scene
    pause: float = 0.002
    acknowledged: int = 0
    tried: int = 0
    refused: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _nodes: dict[int, redis.Redis] = field(default_factory=dict)
    _owners: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            self.tried = number + 1
            # The next number only after this one is safe: so the acknowledged ones have no gaps.
            if self._write(f"new:{number}".encode(), number):
                number += 1
                self.acknowledged = number
                self._over.wait(self.pause)
            else:
                self.refused += 1
                self._over.wait(0.05)

    def _write(self, key: bytes, number: int) -> bool:
        slot = key_slot(key)
        server = self._owners.get(slot, self.scene.cluster.ports[0])
        asking = False
        for _ in range(5):
            try:
                node = self._node(server)
                with node.pipeline(transaction=False) as pipe:
                    if asking:
                        pipe.execute_command("ASKING")
                    pipe.execute_command("HSET", key, "n", number, "g", number % 7)
                    pipe.execute_command("WAIT", 1, 500)
                    *_, replicas = pipe.execute()
                return int(replicas) >= 1
            except redis.exceptions.AskError as ask:
                server, asking = ask.port, True
            except redis.exceptions.MovedError as moved:
                self._owners[slot] = server = moved.port
                asking = False
            except redis.RedisError:
                self._forget(slot)
                return False
        return False

    def _node(self, port: int) -> redis.Redis:
        if port not in self._nodes:
            url = f"redis://127.0.0.1:{port}"
            options: dict[str, Any] = {"socket_timeout": 1.0, "retry": None, "single_connection_client": True}
            self._nodes[port] = redis.Redis.from_url(url, **options)
        return self._nodes[port]

    def _forget(self, slot: int) -> None:
        self._nodes.clear()
        self._owners.clear()
        for server in self.scene.servers:
            if self.scene.cluster.pids[server] is None:
                continue
            try:
                port = (*self.scene.cluster.ports, *self.scene.cluster.replica_ports)[server]
                for first, last, node, *_ in self._node(port).execute_command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        self._owners[slot] = int(node[1])
                        return
            except redis.RedisError:
                continue

    def end(self) -> None:
        """Stop writing."""
        self._over.set()
        self.join(10)

    def lost(self) -> int:
        """How many acknowledged writes are not there, asked key by key."""
        return sum(reply != 1 for reply in self._ask_each("EXISTS", self.acknowledged))

    def clear(self) -> None:
        """Remove what was written."""
        self._ask_each("DEL", self.tried)

    def _ask_each(self, command: str, count: int) -> list[Any]:
        shards = Shards(self.scene.cluster.url)
        asked: dict[ShardConnection, list[tuple[str, bytes]]] = {}
        for key in (f"new:{n}".encode() for n in range(count)):
            asked.setdefault(shards.owner(key), []).append((command, key))
        replies = [reply for connection, commands in asked.items() for reply in connection.ask_all(commands)]
        shards.close()
        return replies


def all_answers(askers: Iterable[Asker]) -> list[Answer]:
    """Return what every client was told."""
    return [answer for asker in askers for answer in asker.answers]
