"""Keys, fields and values that are bytes and no text: BLOB takes them all, a text column refuses by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.errors import MisfitError
from tests.oracle.conftest import Place

ALL_BYTES = bytes(range(256))
# id → value; the empty id is none: a placeholder stands for one byte at least.
HASHES: dict[bytes, bytes] = {
    b"1": b"",
    b"\xff\xfe": ALL_BYTES,
    b"\0": b"\0",
    b"\r\n$-1\r\n": b"*1\r\n$4\r\nPING\r\n",
    b"\xc3": b"\xc3\x28",
    "é".encode(): "é".encode(),
    b" ": b"1",
    b"a:b": b"x" * (1 << 20),
    b"*": b"+OK\r\n",
}


@pytest.fixture(scope="module")
def connection(place: Place) -> Iterator[gearsql.Connection]:
    owner = place.connection.engine._shards.owner
    for id, value in {**HASHES, b"": b"no row"}.items():
        key = b"bytes:" + id
        owner(key).ask("HSET", key, "z", value, b"\xff", "odd", "", "empty name", "n", len(value))
    place.connection.execute(
        "CREATE OR REPLACE TABLE bytes (id BLOB, z BLOB, n BIGINT) WITH (key = 'bytes:{id}')"
    )
    place.connection.execute(
        "CREATE OR REPLACE TABLE texts (id VARCHAR, z VARCHAR) WITH (key = 'bytes:{id}')"
    )
    yield place.connection


def test_blobs_are_what_they_were(connection: gearsql.Connection) -> None:
    rows = connection.execute("SELECT id, z FROM bytes").fetchall()
    assert dict(rows) == HASHES and len(rows) == len(HASHES)


def test_bytes_are_grouped_filtered_and_ordered(connection: gearsql.Connection) -> None:
    rows = connection.execute("SELECT id FROM bytes WHERE z > '\\x00'::BLOB ORDER BY id DESC").fetchall()
    assert [id for (id,) in rows] == sorted((id for id, z in HASHES.items() if z > b"\0"), reverse=True)
    lengths = connection.execute("SELECT octet_length(z) = n AS same, count(*) FROM bytes GROUP BY same")
    assert lengths.fetchall() == [(True, len(HASHES))]
    distinct = connection.execute("SELECT count(DISTINCT z), count(DISTINCT id), min(id), max(z) FROM bytes")
    assert distinct.fetchall() == [(len(HASHES), len(HASHES), min(HASHES), max(HASHES.values()))]


def test_parameters_may_be_bytes(connection: gearsql.Connection) -> None:
    assert connection.execute("SELECT n FROM bytes WHERE z = ?", [ALL_BYTES]).fetchall() == [(256,)]


def test_columns_that_are_not_read_cannot_misfit(connection: gearsql.Connection) -> None:
    assert connection.execute("SELECT count(*) FROM texts").fetchall() == [(len(HASHES),)]


@pytest.mark.parametrize("column", ["id", "z", "_key"])
def test_text_that_is_no_utf8_is_a_misfit(connection: gearsql.Connection, column: str) -> None:
    with pytest.raises(MisfitError) as caught:
        connection.execute(f"SELECT max({column}) FROM texts")
    assert (caught.value.field, caught.value.type) == (column, "VARCHAR")
    assert caught.value.key in (b"bytes:\xff\xfe", b"bytes:\xc3")


def test_an_undeclared_table_infers_blobs_and_tells_of_odd_fields(connection: gearsql.Connection) -> None:
    cursor = connection.execute('SELECT z, n FROM "bytes:*"')
    assert cursor.description is not None
    assert [column[1] for column in cursor.description] == ["BLOB", "BIGINT"]
    assert sorted(z for z, _ in cursor.fetchall()) == sorted([*HASHES.values(), b"no row"])
    described = connection.execute('DESCRIBE "bytes:*"').fetchall()
    assert sorted(name for name, *_ in described) == ["_key", "n", "z"]
