"""What the tests of faults share: rows, servers that take their time, and the proof that a server is well."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.embedded import Cluster
from tests.module.raw import status

ROWS = 40_000
# Slices of 100 µs, then pauses of 8 ms: a scan that lasts a second or two and costs no processor.
SLOWLY = {"SLICE_US": 100, "PAUSE_US": 8_000}
COUNT = 'SELECT count(*), sum(n) FROM "row:*"'
RIGHT = [(ROWS, ROWS * (ROWS - 1) // 2)]
SECONDS = 20.0


def fill(url: str, rows: int = ROWS, key: str = "row:{id}") -> None:
    """Load rows of two numbers and a text."""
    shards = Shards(url)
    with duckdb.connect() as connection:
        table = connection.sql(f"SELECT i AS id, i AS n, i % 100 AS g, 'w' || i AS w FROM range({rows}) r(i)")
        load(shards, table, parse_template(key))
    shards.close()


def assert_well(cluster: Cluster, url: str | None = None) -> None:
    """Every server answers PING, runs no stage any more, and a query over them is right."""
    for shard in range(len(cluster.ports)):
        with cluster.client(shard) as client:
            assert client.ping()
    wait_until_idle(cluster)
    with gearsql.connect(url or cluster.url) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT


def stages(cluster: Cluster) -> int:
    """How many stages run on all shards."""
    found = 0
    for shard in range(len(cluster.ports)):
        with cluster.client(shard) as client:
            found += status(client)["stages_running"]
    return found


def wait_until_idle(cluster: Cluster) -> None:
    """Return when no shard runs a stage."""
    wait_until(lambda: stages(cluster) == 0, "a stage was not freed")


def wait_until_busy(cluster: Cluster) -> None:
    """Return when all shards run a stage."""
    wait_until(lambda: stages(cluster) == len(cluster.ports), "no query began")


def wait_until(true: Callable[[], bool], complaint: str) -> None:
    """Return when `true` is."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.01)


@contextmanager
def another_process(cluster: Cluster, query: str) -> Iterator[subprocess.Popen[str]]:
    """A client that says 'ready' and then runs a query; it is killed at the end of the block."""
    program = f"""
        import gearsql
        connection = gearsql.connect({cluster.url!r})
        print("ready", flush=True)
        cursor = connection.execute({query!r})
        print(cursor.fetchall(), flush=True)
    """
    words = [sys.executable, "-c", textwrap.dedent(program)]
    pipe = subprocess.PIPE
    client = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)
    try:
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
        yield client
    finally:
        client.kill()
        client.communicate()


class Background(threading.Thread):
    """Runs a query on a connection of its own; `end` gives its rows or raises its error."""

    def __init__(self, url: str, query: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self._url, self._query, self._options = url, query, options
        self._rows: list[Any] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with gearsql.connect(self._url, **self._options) as connection:
                self._rows = connection.execute(self._query).fetchall()
        except BaseException as error:
            self._error = error

    def end(self) -> list[Any]:
        """Wait for the query; no failure takes long."""
        self.join(SECONDS)
        assert not self.is_alive(), "the query hangs"
        if self._error is not None:
            raise self._error
        return self._rows
