"""The contract of aggregates, through SQL: in whatever shards and batches the rows are, the answer is one.

tests/shard/test_aggregates.py has the same for a session alone, with every order of messages.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from tests.hooks.conftest import drop_all
from tests.hooks.scene import define

EXAMPLES = int(os.environ.get("GEARSQL_EXAMPLES", "30"))
SHARDS = 3
# A hash tag for each shard: its slots are a third of all.
TAGS = {key_slot(tag.encode()) * SHARDS // 16384: tag for tag in (f"t{number}" for number in range(100))}

SUM = """
class adds:
    def __init__(self): self.total = 0
    def accumulate(self, v): self.total += v
    def merge(self, other): self.total += other.total
    def finish(self): return self.total
"""
LIST = """
class gathers:
    def __init__(self): self.found = []
    def accumulate(self, v): self.found.append(v)
    def merge(self, other): self.found += other.found
    def finish(self): return sorted(self.found)
"""
REGISTERS = """
import hashlib

class estimates:
    def __init__(self):
        self.registers = bytearray(64)

    def accumulate(self, v):
        number = int.from_bytes(hashlib.blake2b(str(v).encode(), digest_size=8).digest(), 'big')
        place, rest = number % 64, number // 64
        self.registers[place] = max(self.registers[place], 59 - rest.bit_length())

    def merge(self, other):
        self.registers = bytearray(map(max, self.registers, other.registers))

    def finish(self):
        return bytes(self.registers)
"""


@dataclass(frozen=True)
class Row:
    shard: int
    group: int
    value: int


def python(rows: list[Row]) -> tuple[Any, ...]:
    """What the three aggregates make of rows, by the same formulas, undivided."""
    values = [row.value for row in rows]
    registers = bytearray(64)
    for value in values:
        number = int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "big")
        place, rest = number % 64, number // 64
        registers[place] = max(registers[place], 59 - rest.bit_length())
    return sum(values), sorted(values), bytes(registers)


@pytest.fixture(scope="module", params=["session", "process"])
def there(request: pytest.FixtureRequest, trio: Cluster) -> Iterator[Connection]:
    with gearsql.connect(trio.url) as connection:
        for signature, source in (
            ("adds(v BIGINT) RETURNS BIGINT", SUM),
            ("gathers(v BIGINT) RETURNS BIGINT[]", LIST),
            ("estimates(v BIGINT) RETURNS BLOB", REGISTERS),
        ):
            define(connection, signature, source, f"ISOLATION {request.param}", aggregate=True)
        connection.execute("CREATE TABLE part (g BIGINT, v BIGINT) WITH (key = 'part:{tag}:{id}')")
        yield connection
        connection.execute("DROP TABLE part")
        drop_all(connection)


@pytest.fixture(scope="module")
def shards(trio: Cluster) -> Iterator[list[redis.Redis]]:
    clients = [trio.client(shard) for shard in range(SHARDS)]
    yield clients
    for client in clients:
        _empty(client)
        client.close()


def _empty(client: redis.Redis) -> None:
    keys = client.keys("part:*")
    if keys:
        client.unlink(*keys)


def write(clients: list[redis.Redis], rows: list[Row]) -> None:
    """Each row on the shard that it wants."""
    for shard, client in enumerate(clients):
        _empty(client)
        pipe = client.pipeline(transaction=False)
        for number, row in enumerate(rows):
            if row.shard == shard:
                pipe.hset(f"part:{{{TAGS[shard]}}}:{number}", mapping={"g": row.group, "v": row.value})
        pipe.execute()


# Runs of rows, some longer than DuckDB's batches.
RUNS = st.lists(
    st.tuples(
        st.integers(0, SHARDS - 1),
        st.integers(0, 3),
        st.sampled_from([1, 1, 2, 7, 100, 2100]),
        st.integers(-(2**40), 2**40),
    ),
    max_size=6,
)


def spread(runs: list[tuple[int, int, int, int]]) -> list[Row]:
    return [
        Row(shard, group, first + number * number)
        for shard, group, length, first in runs
        for number in range(length)
    ]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=list(HealthCheck),
)
@given(runs=RUNS)
def test_any_partition_gives_the_same(
    there: Connection, shards: list[redis.Redis], runs: list[tuple[int, int, int, int]]
) -> None:
    rows = spread(runs)
    write(shards, rows)
    cells = "adds(v), gathers(v), estimates(v)"
    assert there.execute(f"SELECT {cells} FROM part").fetchall() == [python(rows)]

    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    answer = there.execute(f"SELECT g, {cells} FROM part GROUP BY g ORDER BY g").fetchall()
    assert answer == [(group, *python(groups[group])) for group in sorted(groups)]

    # A filter makes batches of any length; DISTINCT ships rows, and the merge aggregates them.
    odd = [row for row in rows if row.value % 3 == 1]
    assert there.execute(f"SELECT {cells} FROM part WHERE v % 3 IN (1, -2)").fetchall() == [python(odd)]
    distinct = list({row.value: row for row in rows}.values())
    sql = "SELECT adds(DISTINCT v), gathers(DISTINCT v), estimates(DISTINCT v) FROM part"
    assert there.execute(sql).fetchall() == [python(distinct)]
