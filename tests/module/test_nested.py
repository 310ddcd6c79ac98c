"""Lists, structs and maps as the scan writes them: any length, many at once, and texts that take too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import KEY, Column, Scan, connect, run
from tests.module.test_snapshot import snapshot

LIST: Column = ("l", 'STRUCT("a" BIGINT, "m" MAP(VARCHAR, VARCHAR))[]', "fl")
BIG: Column = ("b", "BIGINT[]", "fb")
READ = """SELECT count(*), count(l), sum(len(l))::BIGINT, count(n), max(len(l[-1].m['k'])),
    sum(len(list_filter(l, lambda x: x IS NULL)))::BIGINT,
    sum(list_sum(list_transform(l, lambda x: x.a)))::BIGINT FROM scan_0"""


@pytest.fixture
def client(one_server: Cluster) -> Iterator[redis.Redis]:
    with connect(one_server) as client:
        yield client
        for key in client.scan_iter("nest:*", count=10_000):
            client.unlink(key)
        assert client.ping(), "the server survives every test"


def filled(client: redis.Redis, lengths: list[int]) -> list[tuple[int, ...]]:
    """Hashes with lists of these lengths; returns what READ gives."""
    pipe = client.pipeline(transaction=False)
    for number, length in enumerate(lengths):
        items = [{"a": i, "m": {"k": "x" * (i % 30)}} if i % 5 else None for i in range(length)]
        pipe.hset(f"nest:{number}", mapping={"l": json.dumps(items), "n": 1})
    pipe.hset("nest:none", mapping={"other": 1})
    pipe.hset("nest:null", mapping={"l": " null "})
    pipe.execute()
    nulls = sum((length + 4) // 5 for length in lengths)
    total = sum(i for length in lengths for i in range(length) if i % 5)
    longest = max((length - 1) % 30 for length in lengths if (length - 1) % 5)
    return [(len(lengths) + 2, len(lengths), sum(lengths), len(lengths), longest, nulls, total)]


def ask(client: redis.Redis, mode: str, sql: str, *columns: Column, on_error: str = "error") -> list[Any]:
    scan = Scan("nest:*", columns, on_error)
    return (snapshot(client, sql, scan) if mode == "snapshot" else run(client, sql, scan)).rows


@pytest.mark.parametrize("mode", ["sliced", "snapshot"])
def test_lists_of_any_length_are_read_whole(client: redis.Redis, mode: str) -> None:
    expected = filled(client, [1, 2, 7, 33] * 700)
    assert ask(client, mode, READ, LIST, ("n", "BIGINT", "fn")) == expected


def test_more_elements_than_a_chunk_should_have(client: redis.Redis) -> None:
    for number in range(5):
        client.hset(f"nest:{number}", mapping={"b": "[" + "7," * 1_400_000 + "7]"})
    sql = "SELECT count(*), sum(len(b))::BIGINT, sum(list_sum(b))::BIGINT FROM scan_0"
    assert ask(client, "sliced", sql, BIG) == [(5, 7_000_005, 49_000_035)]


@pytest.mark.parametrize("mode", ["sliced", "snapshot"])
def test_rows_that_are_left_out_leave_nothing_behind(client: redis.Redis, mode: str) -> None:
    expected = filled(client, [3, 7])
    pipe = client.pipeline(transaction=False)
    for number in range(3000):
        text = '[{"a": 1, "m": {"k": "longer than twelve"}}]'
        pipe.hset(f"nest:bad{number}", mapping={"l": text, "n": "x"})
    pipe.execute()
    assert ask(client, mode, READ, LIST, ("n", "BIGINT", "fn"), on_error="skip") == expected
    sql = "SELECT count(*), count(l) FROM scan_0"
    assert ask(client, "sliced", sql, ("l", "BIGINT[]", "fl"), KEY, on_error="null") == [(3004, 0)]


@pytest.mark.parametrize(
    "text",
    [
        "[" + "{}," * 100_000 + "{}]",
        "[" * 1_000_000,
        '[{"m":' * 100_000,
        '[{"z":' + "[" * 1000 + "]" * 1000 + "}]",
        '[{"m":{' + '"k":"v",' * 100_000 + '"k":"v"}}]',
        '["\\ud800"]',
    ],
)
def test_texts_that_would_take_too_much_are_misfits(client: redis.Redis, text: str) -> None:
    members = ", ".join(f'"m{i}" BIGINT' for i in range(999))
    column: Column = ("l", f'STRUCT({members}, "m" MAP(VARCHAR, VARCHAR))[]', "fl")
    client.hset("nest:1", mapping={"l": text})
    with pytest.raises(redis.ResponseError, match="GEARSMISFIT column=l"):
        ask(client, "sliced", "SELECT l FROM scan_0", column)


@pytest.mark.parametrize(
    "type_",
    [
        "BIGINT[03]", "BIGINT[9000]", "BLOB[]", "BIGINT []",
        "STRUCT(a BIGINT)", 'STRUCT("a" BIGINT, "A" BIGINT)',
        "STRUCT()", "[]", "MAP(INTERVAL, BIGINT)", "MAP(VARCHAR,BIGINT)", "BIGINT" + "[]" * 17,
        "BIGINT" + "[]" * 100_000,
        'STRUCT("a" ' * 100_000, "MAP(VARCHAR, " * 100_000, 'STRUCT("a" INTERVALS)',
    ],
)  # fmt: skip
def test_types_that_no_column_has_are_refused(client: redis.Redis, type_: str) -> None:
    with pytest.raises(redis.ResponseError, match="is no type that a scan can read"):
        ask(client, "sliced", "SELECT l FROM scan_0", ("l", type_, "fl"))
