"""EXPLAIN ANALYZE: the plan, and what each shard did."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import gearsql
from gearsql.embedded import Cluster

ROWS = 300


@pytest.fixture(scope="module", autouse=True)
def rows(three_shards: Cluster, one_server: Cluster) -> Iterator[None]:
    for cluster in (three_shards, one_server):
        with gearsql.connect(cluster.url) as connection:
            shards: Any = connection.engine._shards
            for number in range(ROWS):
                key = f"analyzed:{number}".encode()
                shards.owner(key).ask("HSET", key, "n", number, "g", number % 3)
    yield


def analyze(connection: gearsql.Connection, query: str, parameters: Any = None) -> list[str]:
    return [line for (line,) in connection.execute(f"EXPLAIN ANALYZE {query}", parameters).fetchall()]


def shown(lines: list[str], port: int) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"  127.0.0.1:{port} "))
    return line.split()


def test_every_shard_is_shown_with_what_it_did(three_shards: Cluster) -> None:
    with gearsql.connect(three_shards.url) as connection:
        query = 'SELECT g, count(*) FROM "analyzed:*" WHERE n < ? GROUP BY g'
        plan = [line for (line,) in connection.execute(f"EXPLAIN {query}", (150,)).fetchall()]
        lines = analyze(connection, query, (150,))
    assert lines[: len(plan)] == plan
    told = [shown(lines, port) for port in three_shards.ports]
    assert sum(int(cells[2].replace(",", "")) for cells in told) == ROWS
    assert [cells[3] for cells in told] == ["3"] * 3
    for _, keys, read, _, shipped, queued, scan, locked, slices, longest, stage, mode in told:
        assert int(keys.replace(",", "")) >= int(read.replace(",", ""))
        assert int(shipped.replace(",", "")) > 100
        assert float(queued) >= 0
        assert float(stage) >= float(scan) >= float(locked) >= float(longest) >= 0
        assert int(slices) > 0
        assert mode == "sliced"
    text = "\n".join(lines)
    assert re.search(
        r"\n  skew   \d+\.\d\d: the slowest, 127\.0\.0\.1:\d+, to the median of [\d.,]+ ms\n", text
    )
    assert re.search(r"\nmerge    [\d.,]+ ms after the last batch\ntotal    [\d.,]+ ms, 3 rows$", text)


def test_a_reader_in_the_client_is_measured_as_well(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url, reader="portable") as connection:
        lines = analyze(connection, 'SELECT sum(n) FROM "analyzed:*"')
    cells = shown(lines, one_server.ports[0])
    assert cells[1:4] == [str(ROWS)] * 3
    assert cells[-1] == "portable"
    assert not any("skew" in line for line in lines)


def test_a_query_without_a_table_has_a_time(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION analyzed_rows(n BIGINT) RETURNS TABLE (i BIGINT)\n"
            "LANGUAGE python AS $$\n"
            "for i in range(n):\n    yield i\n$$"
        )
        lines = analyze(connection, "SELECT count(*) FROM analyzed_rows(5)")
        connection.execute("DROP FUNCTION analyzed_rows")
    assert lines[-1].startswith("total ") and lines[-1].endswith(", 1 row")


def test_a_query_that_fails_fails_and_a_wrong_one_has_its_place(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as connection:
        with pytest.raises(gearsql.DataError):
            connection.execute("EXPLAIN ANALYZE SELECT (n || 'x')::BIGINT FROM \"analyzed:*\"")
        with pytest.raises(gearsql.ProgrammingError) as caught:
            connection.execute('EXPLAIN ANALYZE SELECT nope FROM "analyzed:*"')
        assert caught.value.column == 24
