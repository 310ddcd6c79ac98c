"""What the tests of hooks share: rows, here and in a DuckDB of their own, and functions in a line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.dbapi.cursor import Cursor
from gearsql.embedded import Cluster

ROWS = 600
OPTIONS: dict[str, str | int] = {"HOOK_MAIN": "yes", "HOOK_TIMEOUT_MS": 60_000, "SESSIONS_ENDED": 100_000}

TABLE = "CREATE TABLE t (id VARCHAR, n BIGINT, k BIGINT, s VARCHAR, x DOUBLE) WITH (key = 't:{id}')"
NATIVE = f"""
    CREATE TABLE t AS SELECT i::VARCHAR AS id, i AS n, i % 7 AS k,
        CASE WHEN i % 5 <> 3 THEN 'word ' || i % 11 END AS s,
        CASE WHEN i % 6 <> 1 THEN i / 4 END AS x FROM range({ROWS}) r(i)
"""
"""n counts, k repeats, s and x have NULLs."""


def native() -> duckdb.DuckDBPyConnection:
    """Return a DuckDB with the rows."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(NATIVE)
    return connection


def fill(cluster: Cluster) -> None:
    """Write the rows as hashes, and declare their table."""
    shards = Shards(cluster.url)
    with native() as rows, gearsql.connect(cluster.url) as connection:
        connection.execute(TABLE)
        assert load(shards, rows.table("t"), parse_template("t:{id}")).hashes == ROWS
    shards.close()


def define(
    connection: gearsql.Connection, signature: str, source: str, *options: str, aggregate: bool = False
) -> None:
    """CREATE OR REPLACE FUNCTION 'f(x BIGINT) RETURNS BIGINT' with that text."""
    kind = "AGGREGATE FUNCTION" if aggregate else "FUNCTION"
    clauses = " ".join(options)
    connection.execute(
        f"CREATE OR REPLACE {kind} {signature} LANGUAGE python {clauses} AS $hook$\n{source}\n$hook$"
    )


def rows(connection: gearsql.Connection, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return list(connection.execute(sql, parameters).fetchall())


def value(connection: gearsql.Connection, sql: str, parameters: Any = None) -> Any:
    """The one value of a query."""
    ((found,),) = rows(connection, sql, parameters)
    return found


def notes(cursor: Cursor) -> list[str]:
    """What a query says beside its rows."""
    return [str(warning) for _, warning in cursor.messages]


def descendants(pid: int | None) -> list[int]:
    """The processes that a process has started, and those that they have."""
    parents: dict[int, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(directory.name))
    found: list[int] = []
    seeking = [pid or 0]
    while seeking:
        children = parents.get(seeking.pop(), [])
        found += children
        seeking += children
    return found
