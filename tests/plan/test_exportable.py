"""The table of exportable states is what the pinned DuckDB can do: every pair runs over three partitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from gearsql.catalog.table import Column, FieldSource, Glob
from gearsql.merge.merger import Merger
from gearsql.plan.exportable import EXPORTABLE, PAIRS, TYPES, is_exportable
from gearsql.plan.stages import GearsPlan, MergeStage, Scan, ShardStage
from gearsql.plan.states import PLAIN
from gearsql.sql.bound import ResultColumn
from gearsql.sql.functions import AGGREGATE_MACROS, known_functions

DECIMALS = ["DECIMAL(4,1)", "DECIMAL(9,2)", "DECIMAL(18,3)", "DECIMAL(38,5)"]
WRITTEN_TYPES = [*sorted(TYPES - {"DECIMAL"}), *DECIMALS]
# Where `name(x)` is not enough; `k` tells all rows apart.
CALLS = {
    "quantile_cont": "quantile_cont(x, [0.2, 0.7])",
    "quantile_disc": "quantile_disc(x, 0.4)",
    "approx_quantile": "approx_quantile(x, 0.5)",
    "listagg": "listagg(x, '|' ORDER BY k)",
    **{name: f"{name}(x ORDER BY k)" for name in ("any_value", "arbitrary", "array_agg", "first", "last")},
}
# Other spellings of what the table has under sqlglot's, and those that take other arguments.
# sum_no_overflow is for DuckDB's optimiser: over some types its bare state ends the process.
LEFT_OUT = {
    *(
        "argmax",
        "argmin",
        "max_by",
        "min_by",
        "group_concat",
        "string_agg",
        "list",
        "countif",
        "mean",
        "quantile",
    ),
    *(
        "var_samp",
        "count_star",
        "approx_top_k",
        "lttb",
        "histogram_exact",
        "sum_no_overflow",
        "decimal_average",
    ),
    *(AGGREGATE_MACROS | PLAIN.keys()) - {"any_value"},
}
NAMES = sorted(known_functions().aggregates - LEFT_OUT)
VALUES = {
    "BOOLEAN": "i % 3 = 0",
    "VARCHAR": "'é' || (i % 40)",
    "BLOB": "encode('b' || (i % 40))",
    "DATE": "DATE '2024-02-27' + (i % 40)::INTEGER",
    "TIME": "TIME '01:00:00' + INTERVAL (i % 40) MINUTE",
    "TIMESTAMP": "TIMESTAMP '2024-02-27 01:02:03.5' + INTERVAL (i % 40) HOUR",
    "UUID": "md5((i % 40)::VARCHAR)::UUID",
}


class Partitions:
    """90 rows in three parts; group 2 has only NULLs, group 4 is in one part only."""

    def __init__(self, type_: str) -> None:
        self.types = {"g": "INTEGER", "even": "BOOLEAN", "k": "BIGINT", "x": type_}
        self.connection = duckdb.connect(config={"arrow_lossless_conversion": "true", "threads": 1})
        value = VALUES.get(type_, "(i * 7) % 40")
        self.connection.execute(f"""
            CREATE TABLE t AS SELECT
                (CASE WHEN i >= 60 AND i % 5 = 3 THEN 4 ELSE i % 4 END)::INTEGER AS g,
                i % 2 = 0 AS even,
                i AS k,
                CASE WHEN i % 4 = 2 OR i % 7 = 0 THEN NULL ELSE {value} END::{type_} AS x
            FROM range(90) r(i)""")

    def binds(self, name: str) -> bool:
        """Whether DuckDB has the aggregate for the type at all."""
        try:
            self.connection.sql(f"SELECT {call_of(name)} FROM t").fetchall()
        except duckdb.Error:
            return False
        return True

    def expected(self, calls: list[str]) -> duckdb.DuckDBPyRelation:
        """What DuckDB says."""
        return self.connection.sql(f"SELECT g, {', '.join(calls)} FROM t GROUP BY g ORDER BY g")

    def merged(self, calls: list[str]) -> pa.Table:
        """What the states of the parts say."""
        expected = self.expected(calls)
        states = ", ".join(f"{call} EXPORT_STATE AS s{i}" for i, call in enumerate(calls))
        finals = ", ".join(f"finalize(combine_aggr(s{i}))" for i in range(len(calls)))
        columns = tuple(Column(name, type_, FieldSource(b"")) for name, type_ in self.types.items())
        stage = ShardStage(
            (Scan("t", Glob(b"*"), columns),), f"SELECT g AS g0, {states} FROM scan_0 GROUP BY g"
        )
        merge = MergeStage(
            "shipped", f"SELECT g0, {finals} FROM shipped GROUP BY g0 ORDER BY g0", states=True
        )
        named = zip(expected.columns, expected.types, strict=True)
        plan = GearsPlan("module", stage, merge, tuple(ResultColumn(n, str(t)) for n, t in named), "states")
        with Merger() as merger:
            return merger.merge(plan, self._shipped(stage.sql))

    def _shipped(self, sql: str) -> Iterator[pa.RecordBatch]:
        for part in range(3):
            rows = f"(FROM t WHERE k // 30 = {part})"
            yield from self.connection.sql(sql.replace("scan_0", rows)).to_arrow_table().to_batches()


def call_of(name: str) -> str:
    """The call of an aggregate over x."""
    return f"{name}(x, k)" if name in PAIRS else CALLS.get(name, f"{name}(x)")


@pytest.mark.parametrize("type_", WRITTEN_TYPES)
def test_what_the_table_has_merges_right(play: Any, same_rows: Any, type_: str) -> None:
    parts = Partitions(type_)
    names = [name for name in NAMES if is_exportable(name, (type_, "BIGINT")[: 1 + (name in PAIRS)])]
    calls = [f"{call_of(n)}{f}" for n in names for f in ("", " FILTER (even)", " FILTER (g = 9)")]
    _, found = play.python_rows(parts.merged(calls))
    same_rows(found, parts.expected(calls).fetchall(), ordered=True)


@pytest.mark.parametrize("type_", WRITTEN_TYPES)
def test_what_the_table_lacks_has_no_states(type_: str) -> None:
    parts = Partitions(type_)
    for name in NAMES:
        if not is_exportable(name, (type_, "BIGINT")[: 1 + (name in PAIRS)]) and parts.binds(name):
            with pytest.raises(duckdb.Error):
                parts.connection.sql(f"SELECT {call_of(name)} EXPORT_STATE FROM t").fetchall()


@pytest.mark.parametrize("type_", WRITTEN_TYPES)
def test_states_keep_any_type_to_order_by(play: Any, same_rows: Any, type_: str) -> None:
    parts = Partitions(type_)
    calls = ["array_agg(k ORDER BY x, k)", "listagg(k, ',' ORDER BY x DESC, k)"]
    calls += [f"{name}(x, x)" for name in ("arg_min", "arg_max", "arg_max_null")]
    _, found = play.python_rows(parts.merged(calls))
    same_rows(found, parts.expected(calls).fetchall(), ordered=True)


def test_every_name_is_one_of_duckdbs() -> None:
    assert EXPORTABLE.keys() <= known_functions().aggregates
    assert EXPORTABLE.keys() <= set(NAMES) | {"stddev_samp"}


def test_a_third_argument_makes_another_function() -> None:
    assert is_exportable("arg_max", ["BIGINT", "DATE"])
    assert not is_exportable("arg_max", ["BIGINT", "DATE", "INTEGER"])


def test_other_types_are_not_exported() -> None:
    assert not is_exportable("median", ["INTERVAL"])
    assert not is_exportable("array_agg", ["DECIMAL(4,1)[]"])
