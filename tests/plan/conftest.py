"""Shards played by DuckDB: rows in partitions, a stage on each, Arrow IPC, and DuckDB as the oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.merge.arrival import empty_batch
from gearsql.merge.merger import Merger
from gearsql.plan.split import split
from gearsql.plan.stages import GearsPlan, ShardStage
from gearsql.sql.bind import Binder
from gearsql.sql.bound import BoundQuery
from gearsql.sql.hooks import bindable
from gearsql.sql.parse import parse
from gearsql.sql.sources import NO_TABLE
from gearsql.sql.statements import Query
from tests.plan.users import KNOWN, InProcess, declare

COLUMNS = {
    "g": "VARCHAR",
    "h": "INTEGER",
    "a": "BIGINT",
    "b": "SMALLINT",
    "x": "DOUBLE",
    "d": "DOUBLE",
    "r": "FLOAT",
    "n": "DECIMAL(10,2)",
    "w": "HUGEINT",
    "s": "VARCHAR",
    "day": "DATE",
    "tod": "TIME",
    "ts": "TIMESTAMP",
    "f": "BOOLEAN",
    "u": "UUID",
    "z": "BLOB",
    "s0": "BIGINT",
    "id": "BIGINT",
}
ROWS = """
    CREATE TABLE t AS SELECT
        CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'Zoë' WHEN 3 THEN 'zoë' ELSE 'g' || i % 7
            END AS g,
        CASE WHEN i % 11 = 0 THEN NULL ELSE i % 5 - 2 END::INTEGER AS h,
        CASE WHEN i % 13 = 0 OR i % 7 = 4 THEN NULL ELSE (i * 7919) % 101 - 50 END::BIGINT AS a,
        (i % 3)::SMALLINT AS b,
        CASE WHEN i % 9 = 0 THEN NULL ELSE ((i * 31) % 97) / 7.0 - 5 END::DOUBLE AS x,
        CASE i % 19 WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN 'inf'::DOUBLE WHEN 2 THEN '-inf'::DOUBLE
            WHEN 3 THEN -0.0 WHEN 4 THEN 0.0 WHEN 5 THEN NULL ELSE (i % 23) / 4.0 END::DOUBLE AS d,
        (i % 17 / 4.0)::FLOAT AS r,
        CASE WHEN i % 8 = 0 THEN NULL ELSE ((i * 37) % 1000) / 100 - 3 END::DECIMAL(10,2) AS n,
        CASE WHEN i % 6 = 0 THEN NULL ELSE i::HUGEINT * 10000000000000000000000 END AS w,
        CASE i % 10 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '日本 ''quoted''' ELSE 's' || (i * 17) % 29
            END AS s,
        CASE WHEN i % 12 = 0 THEN NULL ELSE DATE '2024-02-27' + (i % 40)::INTEGER END AS day,
        CASE WHEN i % 14 = 0 THEN NULL ELSE TIME '00:00:00' + INTERVAL (i * 17) SECOND END AS tod,
        CASE WHEN i % 15 = 0 THEN NULL ELSE TIMESTAMP '2024-12-30 23:59:58.5' + INTERVAL (i) HOUR END AS ts,
        CASE i % 4 WHEN 0 THEN NULL ELSE i % 4 = 1 END AS f,
        CASE WHEN i % 5 = 0 THEN NULL ELSE md5((i % 20)::VARCHAR)::UUID END AS u,
        CASE WHEN i % 5 = 1 THEN NULL ELSE encode('b' || i % 6) END AS z,
        i % 6 AS s0,
        i AS id,
        't:' || i AS _key
    FROM range(400) r(i)
"""


@dataclass(frozen=True)
class Play:
    """Tables of one shape, spread over shards in several ways."""

    oracle: duckdb.DuckDBPyConnection
    table: Table
    binder: Binder
    merger: Merger
    spreads: dict[str, list[duckdb.DuckDBPyConnection]]

    def plan(self, query: str, shards: int = 3) -> GearsPlan:
        """Compile a query for some shards."""
        return split(self.bound(query), shards, "module")

    def bound(self, query: str) -> BoundQuery:
        """Bind a query."""
        statement = parse(query)
        assert isinstance(statement, Query)
        hooks = {name: KNOWN[name] for name in statement.calls if name in KNOWN}
        return self.binder.bind(statement, self.table if statement.table_name else NO_TABLE, None, hooks)

    def answer(self, query: str, spread: str) -> pa.Table:
        """Run a query over one way to spread the rows."""
        shards = self.spreads[spread]
        plan = self.plan(query, len(shards))
        return self.merger.merge(plan, (batch for shard in shards for batch in run_stage(shard, plan.shard)))

    def check(self, query: str, *spreads: str, ordered: bool = False) -> None:
        """Assert that the answer over each spread (default: all) is DuckDB's own: names, types and rows."""
        bound = self.bound(query)
        relation = self.oracle.sql(bindable(bound.text, bound.hooks))
        types, expected = [str(type_) for type_ in relation.types], relation.fetchall()
        for spread in spreads or SPREADS:
            answer = self.answer(query, spread)
            assert answer.column_names == [column.name for column in bound.columns]
            found_types, found = self.python_rows(answer)
            assert found_types == types
            assert_same_rows(found, expected, ordered)

    def python_rows(self, answer: pa.Table) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Types and rows of an answer, as DuckDB reads them."""
        self.oracle.register("answer", answer)
        relation = self.oracle.sql("FROM answer")
        return [str(type_) for type_ in relation.types], relation.fetchall()


def run_stage(shard: duckdb.DuckDBPyConnection, stage: ShardStage) -> Iterator[pa.RecordBatch]:
    """Run a stage as the module does: only the scan's columns are there, and Arrow IPC carries the rows."""
    (scan,) = stage.scans
    columns = ", ".join(f'"{column.name}"' for column in scan.columns) or "true AS counted"
    shard.execute(f"CREATE OR REPLACE TEMP VIEW scan_0 AS SELECT {columns} FROM part")
    table = shard.sql(bindable(stage.sql, stage.hooks)).to_arrow_table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)
    stream = pa.ipc.open_stream(sink.getvalue())
    yield empty_batch(stream.schema)
    yield from stream


def assert_same_rows(found: Sequence[Any], expected: Sequence[Any], ordered: bool) -> None:
    """Doubles may differ as sums in another order do."""
    assert len(found) == len(expected)
    if not ordered:
        found, expected = sorted(found, key=_sort_key), sorted(expected, key=_sort_key)
    for one, other in zip(found, expected, strict=True):
        assert same(one, other), f"{one} is not {other}"


def same(one: Any, other: Any) -> bool:
    """Compare two values, at any depth; doubles may differ as sums in another order do."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return same(list(one.items()), list(other.items()))
    return type(one) is type(other) and bool(one == other)


def _sort_key(value: Any) -> str:
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_sort_key, value)) + ")"
    return repr(value)


# How rows are spread: the number of shards, and the shard of row `id`.
SPREADS = {
    "one": (1, "0"),
    "two": (2, "id % 2"),
    "three": (3, "(id * 7919 + id // 10) % 3"),
    "five, two of them empty": (5, "id % 3 + 1"),
    "five by group": (5, "hash(g) % 5"),
    "three, all rows on the last": (3, "2"),
}


@pytest.fixture(scope="session")
def play() -> Iterator[Play]:
    """400 rows with NULLs, NaN, infinities, empty and non-ASCII texts, and values that repeat."""
    oracle = duckdb.connect()
    oracle.execute("SET TimeZone = 'UTC'; SET arrow_lossless_conversion = true")
    oracle.execute(ROWS)
    declare(oracle, KNOWN.values())
    columns = tuple(Column(name, type_, FieldSource(name.encode())) for name, type_ in COLUMNS.items())
    table = Table("t", Glob(b"t:*"), columns, declared=True)
    rows = oracle.sql("FROM t").to_arrow_table()
    spreads = {name: [_shard(rows, spread, i) for i in range(n)] for name, (n, spread) in SPREADS.items()}
    with Binder() as binder, Merger(sandbox=InProcess) as merger:
        yield Play(oracle, table, binder, merger, spreads)


def _shard(rows: pa.Table, spread: str, index: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"arrow_lossless_conversion": "true", "threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    declare(connection, KNOWN.values())
    connection.register("all_rows", rows)
    connection.execute(f"CREATE TABLE part AS FROM all_rows WHERE ({spread}) = {index}")
    connection.unregister("all_rows")
    return connection


@pytest.fixture(scope="session")
def same_rows() -> Callable[..., None]:
    """Compare found rows to expected ones."""
    return assert_same_rows
