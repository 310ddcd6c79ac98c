"""The SLOTS of a stage: which keys count, and what is left to be asked for again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
import redis
from redis.crc import key_slot

from gearsql.embedded import Cluster
from tests.module.raw import KEY, Scan, connect, execute_words, stats_of
from tests.servers import SERVERS, binary

ROWS = 20_000
KEYS = [b"user:%d" % n for n in range(ROWS)]
SCAN = Scan(columns=())


@pytest.fixture(scope="module", params=SERVERS)
def shards(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two shards: the first has the slots 0 to 8191."""
    with Cluster(2, server=binary(request.param)) as cluster:
        for shard in range(2):
            with connect(cluster, shard) as client, client.pipeline(transaction=False) as pipe:
                for key in KEYS:
                    if key_slot(key) // 8192 == shard:
                        pipe.hset(key, mapping={"age": 1})
                pipe.execute()
        yield cluster


@pytest.fixture
def first(shards: Cluster) -> Iterator[redis.Redis]:
    with connect(shards) as client:
        yield client


def count(client: redis.Redis, *spans: tuple[int, int]) -> tuple[int, str]:
    """Return how many keys count, and the slots that are left."""
    words = with_slots(len(spans), *(slot for span in spans for slot in span))
    _, more, told = client.execute_command(*words)
    assert not more
    stats: dict[str, Any] = stats_of(told)
    return stats["rows_scanned"], stats["slots_left"].decode()


def with_slots(*slots: int | str) -> list[Any]:
    words = execute_words("SELECT count(*) FROM scan_0", SCAN)
    return [*words[:6], "SLOTS", *slots, *words[6:]]


def expected(spans: Sequence[tuple[int, int]]) -> int:
    return sum(any(first <= key_slot(key) <= last for first, last in spans) for key in KEYS)


@pytest.mark.parametrize(
    "spans", [[(0, 8191)], [(0, 8190)], [(17, 17)], [(0, 99), (200, 299), (8000, 8191)], []]
)
def test_the_keys_of_the_wanted_slots_count(first: redis.Redis, spans: list[tuple[int, int]]) -> None:
    assert count(first, *spans) == (expected(spans), "")


def test_slots_of_another_shard_are_left(first: redis.Redis) -> None:
    assert count(first, (8000, 8200), (9000, 9000)) == (expected([(8000, 8191)]), "8192-8200,9000")


@pytest.mark.parametrize("moving", ["MIGRATING", "IMPORTING"])
def test_a_slot_that_moves_is_left(shards: Cluster, first: redis.Redis, moving: str) -> None:
    slot = 100 if moving == "MIGRATING" else 10_000
    with connect(shards, 1) as other:
        first.execute_command("CLUSTER", "SETSLOT", slot, moving, other.execute_command("CLUSTER", "MYID"))
    spans = [(0, 8191)] if moving == "IMPORTING" else [(0, 99), (101, 8191)]
    assert count(first, (0, 8191)) == (expected(spans), "" if moving == "IMPORTING" else "100")
    first.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    assert count(first, (0, 8191)) == (expected([(0, 8191)]), "")


@pytest.mark.parametrize("slots", [("1", "0"), ("1", "0", "16384"), ("1", "-1", "5"), ("x",), ("20000",)])
def test_slots_that_are_none_are_refused(first: redis.Redis, slots: tuple[str, ...]) -> None:
    with pytest.raises(redis.ResponseError, match="GEARSSTAGE argument"):
        first.execute_command(*with_slots(*slots))
    assert first.ping()


def test_a_stage_without_slots_counts_all_keys(first: redis.Redis) -> None:
    _, _, told = first.execute_command(*execute_words("SELECT count(*) FROM scan_0", SCAN))
    assert stats_of(told)["rows_scanned"] == expected([(0, 8191)])


LARGE_SLOT, LARGE_ROWS = key_slot(b"{large}"), 12_000


@pytest.fixture
def large(shards: Cluster) -> Iterator[redis.Redis]:
    """The shard with a slot of more keys than are listed at once."""
    with connect(shards, LARGE_SLOT // 8192) as client:
        with client.pipeline(transaction=False) as pipe:
            for number in range(LARGE_ROWS):
                pipe.hset(f"{{large}}:{number}", mapping={"pad": "x" * 50})
            pipe.execute()
        yield client
        client.execute_command("CLUSTER", "SETSLOT", LARGE_SLOT, "STABLE")
        client.eval("for _, key in ipairs(KEYS) do redis.call('UNLINK', key) end", LARGE_ROWS, *large_keys())


def large_keys() -> list[str]:
    return [f"{{large}}:{number}" for number in range(LARGE_ROWS)]


def words_of_large(sql: str, scan: Scan, options: Sequence[Any] = ()) -> list[Any]:
    """The words of a stage that reads slot by slot, of all of a shard's slots but one."""
    words = execute_words(sql, scan, stage="large", options=options)
    half = LARGE_SLOT // 8192 * 8192
    return [*words[:6], "SLOTS", 1, half, half + 8190, *words[6:]]


def read_large(large: redis.Redis, between: Sequence[Any] = ()) -> tuple[list[str], str]:
    """Return the keys that are read slot by slot, and the slots left; `between` comes after a frame."""
    scan = Scan(glob="*large}:*", columns=(KEY, ("pad", "VARCHAR", "fpad")))
    words = words_of_large("SELECT _key, repeat(pad, 10) AS pad FROM scan_0", scan)
    frame, more, told = large.execute_command(*words)
    frames = [frame]
    if between:
        assert more
        large.execute_command(*between)
    while more:
        frame, more, told = large.execute_command("GEARSQL.FETCH", "large")
        frames.append(frame)
    table = pa.ipc.open_stream(io.BytesIO(b"".join(frames))).read_all()
    return table.column("_key").to_pylist(), stats_of(told)["slots_left"].decode()


def test_the_keys_of_a_large_slot_count_once(large: redis.Redis) -> None:
    keys, left = read_large(large)
    assert sorted(keys) == sorted(large_keys()) and left == ""


def test_a_large_slot_that_shrinks_meanwhile_counts_once(large: redis.Redis) -> None:
    gone = large_keys()[100:]
    script = "for _, key in ipairs(KEYS) do redis.call('UNLINK', key) end"
    keys, left = read_large(large, ("EVAL", script, len(gone), *gone))
    assert left == "" and set(large_keys()[:100]) <= set(keys) <= set(large_keys())
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_large_slot_that_moves_is_left_or_named(shards: Cluster, large: redis.Redis, when: str) -> None:
    with connect(shards, 1 - LARGE_SLOT // 8192) as other:
        moves = (
            *("CLUSTER", "SETSLOT", LARGE_SLOT, "MIGRATING"),
            other.execute_command("CLUSTER", "MYID"),
        )
    if when == "before":
        large.execute_command(*moves)
        assert read_large(large) == ([], str(LARGE_SLOT))
    else:
        with pytest.raises(redis.ResponseError, match=f"GEARSMOVED {LARGE_SLOT}"):
            read_large(large, moves)


def test_the_names_of_a_large_slot_count_as_memory(large: redis.Redis) -> None:
    """They are remembered beside DuckDB, and given back: what one query may, it may again."""
    names = [f"{{large}}:{number}:{'n' * 2000}" for number in range(10_000)]
    large.eval("for _, key in ipairs(KEYS) do redis.call('HSET', key, 'age', 1) end", len(names), *names)
    words = {
        mebibytes: words_of_large(
            "SELECT count(*) FROM scan_0",
            Scan(glob="*large}:*", columns=()),
            ("LIMITS", 1, "MEMORY_BYTES", mebibytes << 20),
        )
        for mebibytes in (16, 32)
    }
    try:
        for _ in range(3):
            with pytest.raises(redis.ResponseError, match=r"GEARSMEMORY .* 16777216 bytes of names"):
                large.execute_command(*words[16])
            _, _, told = large.execute_command(*words[32])
            assert stats_of(told)["rows_scanned"] == LARGE_ROWS + len(names)
    finally:
        large.eval("for _, key in ipairs(KEYS) do redis.call('UNLINK', key) end", len(names), *names)
