"""cast = 'duckdb': columns are what DuckDB casts texts to, before any filter; misfits as the table says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.errors import MisfitError, ProgrammingError

TYPES = (
    *(
        "BOOLEAN",
        "TINYINT",
        "BIGINT",
        "HUGEINT",
        "UINTEGER",
        "UHUGEINT",
        "FLOAT",
        "DOUBLE",
        "DECIMAL(5,2)",
        "DATE",
    ),
    *(
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "INTERVAL",
        "ENUM('a', ' 7', 'yes')",
        "UUID",
        "VARCHAR",
    ),
    *("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIME WITH TIME ZONE", "TIME_NS"),
)
TEXTS = [
    *(
        "7",
        " 7",
        "7 ",
        "0x10",
        "1_000",
        "1.5",
        "-0",
        "1e2",
        "1e400",
        "yes",
        "y",
        "t",
        "FALSE",
        "nan",
        "",
        "a",
        "日本",
    ),
    *(
        "2024-02-29",
        "2024-2-9",
        "2024-02-29 10:11",
        "2024-02-29 10:11:12+02",
        "10:11",
        "24:00:00",
        "infinity",
        "epoch",
    ),
    *("3 days", "1 week 2 hours", "P1Y", "-1 year", "01:02:03", "a long text of more than twelve bytes"),
    "{0123456789abcdef0123456789abcdef}",
]
ROWS = 4500
NAMES = [f"c{index}" for index in range(len(TYPES))]
COLUMNS = ", ".join(f"{name} {type_}" for name, type_ in zip(NAMES, TYPES, strict=True))
TABLE = "CREATE OR REPLACE TABLE len ({}) WITH (key = 'len:{{n}}', cast = 'duckdb', on_error = '{}')"


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def here(request: pytest.FixtureRequest, oracle: duckdb.DuckDBPyConnection) -> Iterator[gearsql.Connection]:
    url = request.getfixturevalue(request.param).url
    shards = Shards(url)
    assert load(shards, oracle.sql("FROM texts"), parse_template("len:{n}")).hashes == ROWS
    shards.close()
    with gearsql.connect(url) as connection:
        yield connection


@pytest.fixture(scope="module")
def oracle() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        texts = ", ".join(f"t[1 + (n + {at}) % len(t)] AS {name}" for at, name in enumerate(NAMES))
        rows = f"range({ROWS}) r(n), (SELECT $t AS t)"
        connection.execute(f"CREATE TABLE texts AS SELECT {texts}, n FROM {rows}", {"t": TEXTS})
        casts = ", ".join(
            f"TRY_CAST({name} AS {type_}) AS {name}" for name, type_ in zip(NAMES, TYPES, strict=True)
        )
        connection.execute(f"CREATE TABLE len AS SELECT {casts}, n FROM texts")
        yield connection


def rows(connection: Any, sql: str) -> list[str]:
    """As texts: a NaN is another one each time."""
    return sorted(map(repr, connection.execute(sql).fetchall()))


def test_columns_are_what_duckdb_casts(here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection) -> None:
    here.execute(TABLE.format(COLUMNS + ", n BIGINT", "null"))
    for name in NAMES:
        sql = f"SELECT n, {name}, CAST({name} AS VARCHAR) FROM len"
        assert rows(here, sql) == rows(oracle, sql), name
    for sql in (
        "SELECT count(*), count(c1), sum(c2), max(c11), max(c14) FROM len WHERE c7 > 6 AND n % 2 = 0",
        "SELECT c14, count(*), min(c16) FROM len GROUP BY c14",
        "SELECT count(*) FROM len",
        "SELECT n FROM len WHERE n = 44",
    ):
        assert rows(here, sql) == rows(oracle, sql), sql


def test_a_misfit_is_named_before_any_filter(here: gearsql.Connection) -> None:
    here.execute(TABLE.format("c1 TINYINT", "error"))
    with pytest.raises(MisfitError) as raised:
        here.execute("SELECT count(*) FROM len WHERE n = '1' AND c1 = 1 AND _key = 'len:8'")
    assert (raised.value.key, raised.value.field) == (b"len:8", "c1")
    assert here.execute("SELECT count(*) FROM len").fetchall() == [(ROWS,)]


def test_misfits_are_skipped_and_counted(here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection) -> None:
    here.execute(TABLE.format("c3 HUGEINT, c9 DATE", "skip"))
    cursor = here.execute("SELECT count(*), count(c3), count(c9) FROM len")
    kept = oracle.sql("SELECT count(*) FROM len WHERE c3 IS NOT NULL AND c9 IS NOT NULL").fetchall()[0][0]
    assert cursor.fetchall() == [(kept, kept, kept)]
    assert f"{ROWS - kept:,} row" in str(cursor.messages)


def test_a_snapshot_is_cast_alike(
    request: pytest.FixtureRequest, here: gearsql.Connection, oracle: duckdb.DuckDBPyConnection
) -> None:
    if "plain_shards" in request.node.name:
        return  # the portable reader takes none
    here.execute(TABLE.format("c1 TINYINT, c13 INTERVAL, n BIGINT", "null"))
    sql = "SELECT n, c1, c13::VARCHAR FROM len WHERE c1 > 0 OR c13 > INTERVAL 1 DAY"
    found = here.execute(sql, scan="snapshot").fetchall()
    assert sorted(map(repr, found)) == rows(oracle, sql)


def test_what_is_written_is_read_again(here: gearsql.Connection) -> None:
    here.execute("CREATE OR REPLACE TABLE len2 (a INTEGER, b BLOB) WITH (key = 'len2:{n}', cast = 'duckdb')")
    here.execute("DELETE FROM len2")
    here.execute("INSERT INTO len2 (n, a, b) VALUES ('1', 16, '\\xFF'::BLOB)")
    here.execute("UPDATE len2 SET a = a + 1 WHERE a = 16")
    assert here.execute("SELECT a, b FROM len2").fetchall() == [(17, b"\xff")]
    here.execute("DROP TABLE len2")


def test_another_word_is_refused(here: gearsql.Connection) -> None:
    with pytest.raises(ProgrammingError, match="cast is one of 'strict', 'duckdb'"):
        here.execute("CREATE TABLE len3 (a INTEGER) WITH (key = 'len3:{n}', cast = 'mild')")
