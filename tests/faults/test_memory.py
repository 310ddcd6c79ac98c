"""A query needs memory for its groups, not for its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.faults.scene import fill

# benchmarks/memory.py does the million.
ROWS = int(os.environ.get("GEARSQL_MEMORY_ROWS", "300000"))
LIMIT = 100 << 20
QUERIES = (
    'SELECT g, count(*), sum(n), avg(n), min(w) FROM "row:*" GROUP BY g',
    'SELECT g, count(*) FROM "row:*" WHERE n % 3 = 0 GROUP BY g HAVING count(*) > 1',
    'SELECT g, stddev(n), max(w), bool_or(n > 5) FROM "row:*" GROUP BY g ORDER BY g',
)


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with Cluster(1) as server:
        fill(server.url, ROWS)
        yield server


def test_a_query_with_100_groups_adds_less_than_100_mb_at_its_peak(server: Cluster) -> None:
    with gearsql.connect(server.url) as connection:
        connection.execute('SELECT g, count(*) FROM "row:*" WHERE n < 10 GROUP BY g')
        forget_peak(server)
        before = memory(server, "VmRSS")
        for query in QUERIES:
            assert len(connection.execute(query).fetchall()) == 100
        assert memory(server, "VmHWM") - before < LIMIT


def test_an_answer_of_all_rows_is_not_held_by_the_server(server: Cluster) -> None:
    with gearsql.connect(server.url) as connection:
        connection.execute('SELECT count(*) FROM "row:*"')
        forget_peak(server)
        before = memory(server, "VmRSS")
        wide = connection.execute('SELECT n, repeat(w, 100) AS w FROM "row:*"')
        assert wide.rowcount == ROWS
        assert wide.fetch_arrow_table().nbytes > 150 << 20
        assert memory(server, "VmHWM") - before < LIMIT


def forget_peak(server: Cluster) -> None:
    """The peak starts anew from here."""
    Path(f"/proc/{server.pids[0]}/clear_refs").write_text("5")


def memory(server: Cluster, what: str) -> int:
    """Bytes, of a line of /proc/<pid>/status."""
    lines = Path(f"/proc/{server.pids[0]}/status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{what}:"))
    return int(value) << 10
