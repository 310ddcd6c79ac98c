"""Every aggregate of DuckDB over every type: the states of four shards, one of them empty, merge right.

exportable.py is checked against the pinned DuckDB: it has what can be exported, and nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.merge.merger import Merger
from gearsql.plan.counted import COUNTED
from gearsql.plan.exportable import EXPORTABLE, PAIRS, is_exportable
from gearsql.plan.split import split
from gearsql.plan.stages import GearsPlan
from gearsql.plan.states import PLAIN
from gearsql.sql.bind import Binder
from gearsql.sql.functions import AGGREGATE_MACROS, WHOLE_MACROS, known_functions
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query
from tests.plan.conftest import run_stage, same

# What a row's value is made of: a number i from 0 to 39, of which 1 is the most frequent.
DIGITS = "i"
SPECIAL = "CASE i % 7 WHEN 4 THEN 'nan' WHEN 5 THEN 'inf' WHEN 6 THEN '-inf' ELSE i::VARCHAR END"
MOMENT = "TIMESTAMP '2024-02-27 01:02:03' + INTERVAL (i) HOUR"
VALUES = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "BIGNUM"), DIGITS),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE"), DIGITS),
    **dict.fromkeys(("DECIMAL(4,1)", "DECIMAL(9,2)", "DECIMAL(18,3)", "DECIMAL(38,5)", "VARIANT"), DIGITS),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S"), MOMENT),
    **dict.fromkeys(("TIMESTAMP_MS", "TIMESTAMP_NS"), f"{MOMENT} + INTERVAL 500 MILLISECOND"),
    **dict.fromkeys(("TIME", "TIME WITH TIME ZONE", "TIME_NS"), "TIME '01:00:00' + INTERVAL (i) MINUTE"),
    "BOOLEAN": "i % 3 = 1",
    "VARCHAR": "'é' || i",
    "BLOB": "encode('b' || i)",
    "DATE": "DATE '2024-02-27' + i::INTEGER",
    "UUID": "md5(i::VARCHAR)::UUID",
    "INTERVAL": "INTERVAL (i) HOUR + INTERVAL (i % 3) MONTH",
    "BIT": "i::INTEGER::BIT",
    "JSON": "'{\"a\": ' || i || '}'",
    "ENUM('a', 'b', 'c')": "chr(97 + (i % 3)::INTEGER)",
    "INTEGER[]": "[i, NULL]",
    "VARCHAR[]": "['x' || i]",
    "INTEGER[2]": "[i, 3]",
    "STRUCT(a INTEGER, b VARCHAR)": "{'a': i, 'b': 'x' || i % 3}",
    "STRUCT(d DOUBLE)[]": "[{'d': i}]",
    "MAP(VARCHAR, INTEGER)": "MAP {'k' || i % 3: i}",
    "UNION(a INTEGER, b VARCHAR)": "union_value(a := i::INTEGER)",
    "GEOMETRY": "'POINT(' || i || ' 1)'",
}
WORLDS = [*VALUES.items(), ("FLOAT", SPECIAL), ("DOUBLE", SPECIAL)]
# Where `name(x)` is not enough; `k` tells all rows apart.
CALLS = {
    **{name: f"{name}(x, k)" for name in (*PAIRS, "max_by", "min_by", "argmax", "argmin", "regr_count")},
    **{name: f"{name}(x ORDER BY k)" for name in ("any_value", "arbitrary", "array_agg", "list")},
    **{name: f"{name}(x ORDER BY k)" for name in ("first", "last")},
    **{name: f"{name}(x, '|' ORDER BY k)" for name in ("listagg", "string_agg", "group_concat")},
    **{name: f"{name}(x, k)" for name in ("wavg", "weighted_avg")},
    **{name: f"{name}(x IS NULL)" for name in ("bool_and", "bool_or", "count_if", "countif")},
    "count_star": "count_star()",
    "json_group_object": "json_group_object(k, x)",
    "json_group_array": "json_array_length(json_group_array(x))",  # its order is free
    "quantile_cont": "quantile_cont(x, [0.2, 0.7])",
    "quantile": "quantile(x, 0.4)",
    "quantile_disc": "quantile_disc(x, 0.4)",
    "approx_quantile": "approx_quantile(x, 0.5)",
    "approx_top_k": "approx_top_k(x, 1)",
    "bitstring_agg": "bitstring_agg(x, 0, 40)",
    "histogram_exact": "histogram_exact(x, [{one}])",
    "lttb": "lttb(x, k, 3)",
}
MORE = [
    *("max(x, 3)", "min(x, 3)", "arg_max(x, k, 3)", "arg_min(x, x, 2)", "histogram(x, [{one}])"),
    *("array_agg(k ORDER BY x, k)", "listagg(k, ',' ORDER BY x DESC, k)"),
]
# These need the rows themselves: why is in docs/sql.md.
OF_ROWS = {"lttb", *WHOLE_MACROS}
NAMES = sorted(known_functions().aggregates - OF_ROWS)
FIRST_NAMES = [name for name in NAMES if name not in known_functions().aliases]
FILTERS = (" FILTER (even)", " FILTER (g = 9)")
SHARDS = 4


class World:
    """90 rows on three shards and none on a fourth; group 2 has only NULLs, group 4 is on one shard only."""

    def __init__(self, type_: str, value: str) -> None:
        self.connection = duckdb.connect(config={"arrow_lossless_conversion": "true", "threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")
        [[text]] = self.connection.sql(f"SELECT ({value})::{type_}::VARCHAR FROM (SELECT 1 AS i)").fetchall()
        self.one = "'{}'::{}".format(text.replace("'", "''"), type_)
        self.connection.execute(f"""
            CREATE TABLE t AS SELECT g, even, k, CASE WHEN void THEN NULL ELSE ({value}) END::{type_} AS x
            FROM (SELECT
                (CASE WHEN r >= 60 AND r % 5 = 3 THEN 4 ELSE r % 4 END)::INTEGER AS g,
                r % 2 = 0 AS even, r AS k, r % 4 = 2 OR r % 7 = 0 AS void,
                CASE WHEN r % 3 > 0 THEN 1 ELSE r * 7 % 40 END AS i
                FROM range(90) s(r))""")
        types = {"g": "INTEGER", "even": "BOOLEAN", "k": "BIGINT", "x": type_}
        columns = tuple(Column(name, kind, FieldSource(name.encode())) for name, kind in types.items())
        self.table = Table("t", Glob(b"t:*"), columns, declared=True)
        self.shards = [self._shard(part) for part in range(SHARDS)]

    def _shard(self, part: int) -> duckdb.DuckDBPyConnection:
        shard = self.connection.cursor()
        shard.execute(f"CREATE TEMP TABLE part AS FROM t WHERE k // 30 = {part}")
        return shard

    def calls(self) -> list[str]:
        """The calls that DuckDB answers over the type; of a function with many names by all of them once."""
        names = NAMES if self.table.columns[-1].type == "INTEGER" else FIRST_NAMES
        calls = [*(CALLS.get(name, f"{name}(x)") for name in names), *MORE]
        if self.one.endswith("BIT"):  # DuckDB writes no plan with a constant of bits
            calls = [call for call in calls if "{one}" not in call]
        return [call for call in (call.replace("{one}", self.one) for call in calls) if self.answers(call)]

    def answers(self, call: str) -> bool:
        """Whether DuckDB has the call for the type, and its values."""
        try:
            self.connection.sql(f"SELECT {call} FROM t").fetchall()
        except duckdb.Error:
            return False
        return True

    def plan(self, query: str, binder: Binder) -> GearsPlan:
        """Split a query for the shards."""
        statement = parse(query)
        assert isinstance(statement, Query)
        return split(binder.bind(statement, self.table), SHARDS, "module")

    def merged(self, plan: GearsPlan, merger: Merger) -> pa.Table:
        """What the shards' states say."""
        return merger.merge(plan, self._shipped(plan))

    def _shipped(self, plan: GearsPlan) -> Iterator[pa.RecordBatch]:
        for shard in self.shards:
            yield from run_stage(shard, plan.shard)


@pytest.mark.parametrize(("type_", "value"), WORLDS)
def test_every_aggregate_of_the_type_is_split_and_merges_right(play: Any, type_: str, value: str) -> None:
    world = World(type_, value)
    calls = world.calls()
    assert {"count(x)", "max(x, 3)", "mode(x)", "arg_max(x, k)"} <= set(calls)
    if type_.startswith("ENUM"):  # states that it orders do not travel; then all rows do
        calls = [call for call in calls if "ORDER BY" not in call]
    # Values that are counted go in rows of their own; each other state would be NULL in these.
    counted = [call for call in calls if call.startswith(tuple(COUNTED))]
    for together in (counted, [call for call in calls if call not in counted]):
        check(play, world, together)


def check(play: Any, world: World, calls: list[str]) -> None:
    """Assert that calls are split, and answer as DuckDB does, each by itself and with one of the filters."""
    turns = zip(calls, itertools.cycle(FILTERS), strict=False)
    items = calls + [call + only for call, only in turns if not is_macro(call)]
    query = f"SELECT g, {', '.join(items)} FROM t GROUP BY g ORDER BY g"
    plan = world.plan(query, play.binder)
    assert not plan.ships.startswith("rows"), plan.ships
    _, found = play.python_rows(world.merged(plan, play.merger))
    expected = world.connection.sql(query).fetchall()
    columns = zip(["g", *items], zip(*found, strict=True), zip(*expected, strict=True), strict=True)
    wrong = {name: (mine, theirs) for name, mine, theirs in columns if not same(mine, theirs)}
    assert not wrong


def is_macro(call: str) -> bool:
    """DuckDB has no FILTER for macros."""
    return any(f"{macro}(" in call for macro in AGGREGATE_MACROS)


def test_the_table_has_what_duckdb_exports() -> None:
    worlds, first = [World(type_, DIGITS) for type_ in ("INTEGER", "DECIMAL(4,1)")], known_functions().aliases
    calls = {name: CALLS.get(name, f"{name}(x)") for name in NAMES if name not in AGGREGATE_MACROS}
    exported = {
        first.get(name, name)
        for name, call in calls.items()
        if any(world.answers(f"{call} EXPORT_STATE") for world in worlds)
    }
    assert exported - PLAIN.keys() - {"count_star"} == EXPORTABLE - PLAIN.keys()


def test_every_name_is_one_of_duckdbs() -> None:
    assert known_functions().aggregates >= EXPORTABLE


@pytest.mark.parametrize("name", sorted(OF_ROWS))
def test_some_need_the_rows(play: Any, name: str) -> None:
    plan = World("DOUBLE", DIGITS).plan(f"SELECT {CALLS.get(name, f'{name}(x)')} FROM t", play.binder)
    assert plan.ships == f"rows, because {name} has no partial state"


def test_a_third_argument_makes_another_function() -> None:
    assert is_exportable("arg_max", 2)
    assert not is_exportable("arg_max", 3)
