"""SIGTERM, BGSAVE and DEBUG RELOAD, again and again, while clients ask; no server may die of it."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import redis

import gearsql
from gearsql.embedded import Cluster
from tests.faults.scene import fill
from tests.module.raw import status

ROWS = 20_000
LOAD_SECONDS = 5.0
SHOWN = 6000
COUNT = 'SELECT count(*), sum(n) FROM "row:*"'
COUNTED = [(ROWS, ROWS * (ROWS - 1) // 2)]
# Each has a client of its own. The mode is asked for: where a snapshot cannot be had the answer has a note.
Question = tuple[str, list[tuple[int, ...]], str]
QUESTIONS: tuple[Question, ...] = (
    (COUNT, COUNTED, "sliced"),
    (COUNT, COUNTED, "snapshot"),
    (
        'SELECT g, count(*) FROM "row:*" GROUP BY g ORDER BY g LIMIT 2',
        [(0, ROWS // 100), (1, ROWS // 100)],
        "sliced",
    ),
    ('SELECT sum(soak_same(n)) FROM "row:*"', [(ROWS * (ROWS - 1) // 2,)], "sliced"),
)
DEFINITION = """
    CREATE OR REPLACE FUNCTION soak_same(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$ return x $$
"""
# What a server's log says when it dies, or when a sanitizer or assertion speaks.
BAD = re.compile(
    r"BUG REPORT|crashed by signal|ASSERTION FAILED|Assertion|Sanitizer|Fatal Python error", re.I
)


@dataclass
class Tally:
    """What came of the signals to one server."""

    name: str
    done: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


class Asker(threading.Thread):
    """Asks one question until it is told to stop; an answer is right, or an error of ours."""

    def __init__(self, url: str, question: Question, tally: Tally) -> None:
        """Begin at once."""
        super().__init__(daemon=True)
        self._url, self._question, self._tally = url, question, tally
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with gearsql.connect(self._url, timeout=20) as connection:
                    while not self.over.is_set():
                        self._ask(connection)
            except gearsql.Error as error:
                self._tally.answers[type(error).__name__] += 1
                time.sleep(0.01)

    def _ask(self, connection: gearsql.Connection) -> None:
        query, expected, scan = self._question
        cursor = connection.cursor()
        rows = cursor.execute(query, scan=scan).fetchall()
        self._tally.answers["right" if rows == expected else "wrong"] += 1
        if scan == "snapshot" and not cursor.messages:
            self._tally.answers["of a snapshot"] += 1
        if rows != expected:
            self._tally.bad.append(f"{query}: {rows[:3]}")


def signals(name: str, binary: str, times: int, say: Callable[[str], None]) -> Tally:
    """Do all of it to one server."""
    tally = Tally(name)
    with (
        tempfile.TemporaryDirectory(prefix="gearsql-soak-") as folder,
        Cluster(1, server=binary, directory=folder, debug=True) as server,
    ):
        fill(server.url, ROWS)
        with gearsql.connect(server.url) as connection:
            connection.execute(DEFINITION)
        askers = [Asker(server.url, question, tally) for question in QUESTIONS]
        for harm in (_bgsave, _reload, _terminate):
            for _ in range(times):
                _await_load(server)
                harm(server, tally)
                tally.done[harm.__name__.strip("_")] += 1
            say(f"{name}: {dict(tally.done)}, {dict(tally.answers)}, bad: {len(tally.bad)}")
        for asker in askers:
            asker.over.set()
        for asker in askers:
            asker.join(30)
            if asker.is_alive():
                tally.bad.append("a query hangs")
        _look(server, tally)
    return tally


def _await_load(server: Cluster) -> None:
    """Return while a stage runs, at a moment of its own."""
    deadline = time.monotonic() + LOAD_SECONDS
    with server.client() as client:
        while status(client)["stages_running"] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
    time.sleep(random.random() * 0.02)


def _bgsave(server: Cluster, tally: Tally) -> None:
    with server.client() as client:
        _begin_save(client, tally)
        while client.info("persistence")["rdb_bgsave_in_progress"]:
            time.sleep(0.01)
        if client.info("persistence")["rdb_last_bgsave_status"] != "ok":
            tally.bad.append("BGSAVE failed")
    _look(server, tally)


def _begin_save(client: redis.Redis, tally: Tally) -> None:
    """A server has one child at a time: refused while a snapshot's lives, and none may live for long."""
    deadline = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < deadline:
        with suppress(redis.ResponseError):
            client.execute_command("BGSAVE")
            return
        time.sleep(0.01)
    tally.bad.append("BGSAVE was refused for long")


def _reload(server: Cluster, tally: Tally) -> None:
    with server.client() as client:
        client.execute_command("DEBUG", "RELOAD")
    _look(server, tally)


def _terminate(server: Cluster, tally: Tally) -> None:
    code = server.terminate(0)
    if code != 0:
        tally.bad.append(f"SIGTERM: exit code {code}")
    _look(server, tally)
    server.restart(0)


def _look(server: Cluster, tally: Tally) -> None:
    """Read the log since the last start. One that died answers the next signal with an error."""
    log = server.log(0)
    found = BAD.search(log)
    if found:
        tally.bad.append(f"log: {log[max(0, found.start() - 1000) :][:SHOWN]}")
