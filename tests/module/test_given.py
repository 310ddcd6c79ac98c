"""Relations that come along with a stage: what a client sends is read exactly, or refused."""

from __future__ import annotations

import struct

import duckdb
import pyarrow as pa
import pytest
import redis

from gearsql.cluster.given import can_go, given_words
from gearsql.sql.bound import ResultColumn
from tests.module.raw import Scan, Word, execute_words, run

VALUES = """
    SELECT CASE WHEN i % 7 > 0 THEN i END::INTEGER, i % 2 = 0,
        'text ' || i || repeat('é', i % 20), ('b' || i)::BLOB,
        (i % 100 * 1.5)::DECIMAL(4,1), i::DECIMAL(9,2), i::DECIMAL(18,3), i::DECIMAL(30,3),
        i::HUGEINT * 100000000000000000, uuid(), DATE '2020-01-01' + i::INTEGER, TIME '00:00:01',
        TIMESTAMP '2020-01-01' + i * INTERVAL 1 DAY,
        TIMESTAMPTZ '2020-01-01 00:00:00+00', [i, NULL], i / 3::DOUBLE
    FROM range(5000) r(i)"""


def words(relation: list[Word], sql: str) -> list[Word]:
    *head, word, text = execute_words(sql)
    return [*head, *relation, word, text]


def test_values_of_all_types_arrive_as_they_are(client: redis.Redis) -> None:
    with duckdb.connect(config={"arrow_lossless_conversion": True}) as connection:
        relation = connection.sql(VALUES)
        columns = [ResultColumn(f"c{i}", str(type_)) for i, type_ in enumerate(relation.types)]
        sent = relation.to_arrow_table().rename_columns([column.name for column in columns])
        assert can_go(sent, columns)
        given = given_words(sent, columns)
        frame, more, _ = client.execute_command(*words(given, "SELECT * FROM given_0"))
        frames = [frame]
        while more:
            frame, more, _ = client.execute_command("GEARSQL.FETCH", "q")
            frames.append(frame)
        got = pa.ipc.open_stream(pa.BufferReader(b"".join(frames))).read_all()
        connection.register("sent", sent)
        connection.register("got", got)
        assert got.num_rows == 5000
        lost = "(FROM sent EXCEPT ALL FROM got) UNION ALL (FROM got EXCEPT ALL FROM sent)"
        assert connection.sql(lost).fetchall() == []


def test_a_relation_joins_the_rows_of_a_scan(client: redis.Redis) -> None:
    client.hset("user:1", mapping={"city": "Rome", "age": 30})
    client.hset("user:2", mapping={"city": "Oslo", "age": 40})
    numbers = ["GIVEN", 2, 1, "n", "BIGINT", struct.pack("<Q2q", 3, 30, 40)]
    sql = "SELECT city, g.n FROM scan_0 JOIN given_0 g ON age = g.n, given_0 h WHERE h.n = 30 ORDER BY ALL"
    *head, word, text = execute_words(sql, Scan())
    frame, _, _ = client.execute_command(*head, *numbers, word, text)
    table = pa.ipc.open_stream(frame).read_all()
    assert table.to_pydict() == {"city": ["Oslo", "Rome"], "n": [40, 30]}


NUMBER = struct.pack("<Qq", 1, 5)
TEXT = struct.pack("<QQQ", 1, 0, 4) + b"true".ljust(8, b"\0")
OF_COLUMNS = ("MAP(VARCHAR, BIGINT)", "BIGINT[2]", 'STRUCT("m" MAP(VARCHAR, BIGINT))[]', "TIME_NS", "JSON")
REFUSED: dict[str, list[Word]] = {
    "cut off": ["GIVEN", 3000, 1, "n", "BIGINT", NUMBER],
    "empty": ["GIVEN", 1, 1, "n", "BIGINT", b""],
    "not UTF-8": ["GIVEN", 1, 1, "n", "VARCHAR", struct.pack("<QQQ", 1, 0, 1) + b"\xff".ljust(8, b"\0")],
    "offsets beyond": ["GIVEN", 1, 1, "n", "VARCHAR", struct.pack("<QQQ", 1, 0, 1 << 60)],
    "a long list": ["GIVEN", 1, 1, "n", "BIGINT[]", struct.pack("<QQQ", 1, 0, 1 << 40)],
    "no such day": ["GIVEN", 1, 1, "n", "DATE", struct.pack("<Qii", 1, 2**31 - 1, 0)],
    "no such truth": ["GIVEN", 1, 1, "n", "BOOLEAN", struct.pack("<QQ", 1, 7)],
    "too many digits": ["GIVEN", 1, 1, "n", "DECIMAL(4,1)", struct.pack("<Qhhi", 1, 32000, 0, 0)],
    "no type": ["GIVEN", 1, 1, "n", "TABLE", NUMBER],
    **{f"a type of columns: {type_}": ["GIVEN", 1, 1, "n", type_, TEXT] for type_ in OF_COLUMNS},
    "no columns": ["GIVEN", 1, 0, NUMBER],
    "rows without end": ["GIVEN", 1 << 40, 1, "n", "BIGINT", NUMBER],
    "columns that are not there": ["GIVEN", 1, 4096, "n", "BIGINT", NUMBER],
    "no bytes": ["GIVEN", 1, 1, "n", "BIGINT"],
    "a name with an end": ["GIVEN", 1, 1, "n\0m", "BIGINT", NUMBER],
    "another relation": ["GIVEN", 1, 1, "n", "BIGINT", NUMBER, "SCAN"],
    "nothing": [],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_relation_is_refused(client: redis.Redis, what: str) -> None:
    with pytest.raises(redis.ResponseError, match="GEARS"):
        client.execute_command(*words(REFUSED[what], "SELECT count(n) FROM given_0"))
    assert run(client, "SELECT count(*) FROM scan_0").rows == [(0,)]


def test_the_bytes_of_relations_count_as_memory_of_the_query(client: redis.Redis) -> None:
    large: list[Word] = ["GIVEN", 1, 1, "n", "BIGINT", NUMBER + bytes(6 << 20)]
    bound: list[Word] = ["LIMITS", 1, "MEMORY_BYTES", 16 << 20]
    head, sql = execute_words("", options=bound)[:-2], ["SQL", "SELECT * FROM given_0"]
    with pytest.raises(redis.ResponseError) as caught:
        client.execute_command(*head, *large * 3, *sql)
    assert (
        str(caught.value)
        == "GEARSMEMORY more than 16777216 bytes of text and relations would be kept on this shard"
    )
    for _ in range(3):  # What was refused, or is over, holds nothing.
        assert client.execute_command(*head, *large * 2, *sql)[1] == 0


def test_only_relations_that_came_along_have_names(client: redis.Redis) -> None:
    one: list[Word] = ["GIVEN", 1, 1, "n", "BIGINT", NUMBER]
    for name in ("given_1", "given_", "given_x", "cast_0", "given_99999999"):
        with pytest.raises(redis.ResponseError, match=r"GEARS"):
            client.execute_command(*words(one, f"SELECT * FROM {name}"))
    assert (
        pa.ipc.open_stream(client.execute_command(*words(one, "SELECT * FROM given_0"))[0])
        .read_all()
        .num_rows
        == 1
    )
