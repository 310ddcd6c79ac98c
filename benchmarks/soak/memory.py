"""50,000 queries in a row, and the memory of servers and client, at rest, after each 2,500."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

import gearsql
from benchmarks.rss import status_kb
from gearsql.embedded import Cluster
from tests.faults.scene import fill
from tests.module.raw import Scan, execute_words

ROWS = 400
SETTLED = 5_000
LIMIT = 300.0  # bytes a query
END = 5  # points whose median is an end of the measurement
EVERY = 2_500
# DuckDB's allocator gives back what nobody used for some seconds; measured at work, resident memory goes up
# and down by tens of MB.
REST_SECONDS = 15
FEWEST = SETTLED + (2 * END - 1) * EVERY  # queries that growth() can say something about

DEFINITION = """
    CREATE OR REPLACE FUNCTION soak_double(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$ return x * 2 $$
"""


@dataclass(frozen=True)
class Point:
    """Bytes after so many queries: of each server's process and heap, and of this process."""

    queries: int
    resident: tuple[int, ...]
    used: tuple[int, ...]
    client: int


def soak(cluster: Cluster, queries: int, say: Callable[[str], None]) -> list[Point]:
    """Ask and measure."""
    fill(cluster.url, ROWS)
    points = []
    begun = time.monotonic()
    for done, kind in enumerate(_questions(cluster), 1):
        kind()
        if done % EVERY == 0:
            time.sleep(REST_SECONDS)
            points.append(measure(cluster, done))
            say(f"{_line(points[-1])}  {time.monotonic() - begun:6.0f} s")
        if done == queries:
            return points
    raise AssertionError("there is always another question")


def measure(cluster: Cluster, queries: int) -> Point:
    """Look at all processes."""
    used = []
    for shard in range(len(cluster.ports)):
        with cluster.client(shard) as client:
            used.append(int(client.info("memory")["used_memory"]))
    resident = tuple(status_kb(pid, "VmRSS") * 1024 for pid in cluster.pids if pid is not None)
    return Point(queries, resident, tuple(used), status_kb(os.getpid(), "VmRSS") * 1024)


def growth(points: list[Point]) -> dict[str, float]:
    """Return the bytes a query that each memory grew by, from the SETTLED-th query to the last.

    Both ends are medians of END points, and what lies between is counted from middle to middle. Fewer points
    than two ends say nothing: ValueError.
    """
    settled = [p for p in points if p.queries >= SETTLED]
    if len(settled) < 2 * END:
        raise ValueError(f"growth needs {2 * END} points from query {SETTLED} on, not {len(settled)}")
    first, last = settled[:END], settled[-END:]
    asked = last[END // 2].queries - first[END // 2].queries

    def grown(size: Callable[[Point], int]) -> float:
        return (statistics.median(map(size, last)) - statistics.median(map(size, first))) / asked

    found = {"client": grown(lambda point: point.client)}
    for shard in range(len(points[0].used)):
        found[f"server {shard}, resident"] = grown(lambda point, at=shard: point.resident[at])
        found[f"server {shard}, used_memory"] = grown(lambda point, at=shard: point.used[at])
    return found


def _line(point: Point) -> str:
    parts = (f"{size / 1e6:7.1f}" for size in (*point.resident, *point.used, point.client))
    return f"{point.queries:6}  {' '.join(parts)}"


# ---- the questions -------------------------------------------------------------------------------------


def _questions(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Mixed for ever, each checked; a connection is used for some hundred of them."""
    with gearsql.connect(cluster.url) as connection:
        connection.execute(DEFINITION)
    chosen = random.Random(1)
    while True:
        with gearsql.connect(cluster.url) as connection:
            kinds = (
                lambda: _count(connection),
                lambda: _group(connection),
                lambda: _group(connection),
                lambda: _rows(connection, chosen.randrange(ROWS)),
                lambda: _hook(connection),
                lambda: _misfit(connection),
                lambda: _no_such_column(connection),
                lambda: _cancelled(cluster),
            )
            for _ in range(500):
                yield chosen.choice(kinds)


def _all(connection: gearsql.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def _count(connection: gearsql.Connection) -> None:
    assert _all(connection, 'SELECT count(*), sum(n) FROM "row:*"') == [(ROWS, ROWS * (ROWS - 1) // 2)]


def _group(connection: gearsql.Connection) -> None:
    rows = _all(connection, 'SELECT g, count(*), avg(n) FROM "row:*" GROUP BY g ORDER BY g LIMIT 5')
    assert [row[:2] for row in rows] == [(g, ROWS // 100) for g in range(5)]


def _rows(connection: gearsql.Connection, n: int) -> None:
    assert _all(connection, f'SELECT w FROM "row:*" WHERE n = {n}') == [(f"w{n}",)]


def _hook(connection: gearsql.Connection) -> None:
    assert _all(connection, 'SELECT sum(soak_double(n)) FROM "row:*"') == [(ROWS * (ROWS - 1),)]


def _misfit(connection: gearsql.Connection) -> None:
    with suppress(gearsql.Error):
        _all(connection, 'SELECT sum(CAST(w AS BIGINT)) FROM "row:*"')
        raise AssertionError("no error")


def _no_such_column(connection: gearsql.Connection) -> None:
    with suppress(gearsql.Error):
        _all(connection, 'SELECT nme FROM "row:*"')
        raise AssertionError("no error")


def _cancelled(cluster: Cluster) -> None:
    """A stage that is cancelled from another connection, after its first frame or before."""
    words = execute_words(
        "SELECT repeat(city, 20000) FROM scan_0", Scan("row:*", [("city", "VARCHAR", "fw")])
    )
    with cluster.client() as client, cluster.client() as other:
        client.connection = client.connection_pool.get_connection()
        client.connection.send_command(*words)
        other.execute_command("GEARSQL.CANCEL", "q")
        with suppress(redis.ResponseError):
            client.connection.read_response()
