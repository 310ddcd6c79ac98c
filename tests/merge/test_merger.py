"""The merge stage by itself: batches in, the answer out, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from gearsql.catalog.table import Column, FieldSource, Glob
from gearsql.cluster.control import Control
from gearsql.errors import (
    CancelledError,
    DatabaseError,
    DataError,
    InternalError,
    QueryTimeoutError,
    ShardError,
)
from gearsql.merge.arrival import empty_batch
from gearsql.merge.database import open_database
from gearsql.merge.hooks import Calling
from gearsql.merge.merger import Merger
from gearsql.plan.stages import GearsPlan, MergeStage, Scan, ShardStage
from gearsql.sql.bound import ResultColumn

SCAN = Scan("t", Glob(b"t:*"), (Column("a", "BIGINT", FieldSource(b"a")),))
SUM = MergeStage("shipped", "SELECT sum(s0) FROM shipped")


@pytest.fixture
def merger() -> Iterator[Merger]:
    """A merger of its own."""
    with Merger() as merger:
        yield merger


def plan(merge: MergeStage | None, *columns: tuple[str, str]) -> GearsPlan:
    """A plan whose shards ship one BIGINT."""
    stage = ShardStage((SCAN,), 'SELECT "a" AS s0 FROM scan_0')
    return GearsPlan("module", stage, merge, tuple(ResultColumn(*column) for column in columns), "")


def batch(*values: int) -> pa.RecordBatch:
    """A batch of one column s0."""
    return pa.record_batch({"s0": pa.array(values, pa.int64())})


def sum_in(answer: pa.Table) -> int:
    """The only value, a HUGEINT, for which Arrow has no type."""
    with duckdb.connect() as connection:
        connection.register("answer", answer)
        ((value,),) = connection.sql("FROM answer").fetchall()
        return int(value)


def test_batches_of_all_shards_are_one_relation(merger: Merger) -> None:
    answer = merger.merge(plan(SUM, ("sum(a)", "HUGEINT")), [batch(1, 2), batch(), batch(3)])
    assert answer.column_names == ["sum(a)"]
    assert sum_in(answer) == 6


def test_without_a_merge_stage_rows_pass_through_renamed(merger: Merger) -> None:
    answer = merger.merge(plan(None, ("the a", "BIGINT")), [batch(1, 2), batch(3)])
    assert answer.to_pydict() == {"the a": [1, 2, 3]}


def test_a_name_may_come_twice(merger: Merger) -> None:
    merge = MergeStage("shipped", "SELECT s0, s0 FROM shipped")
    answer = merger.merge(plan(merge, ("a", "BIGINT"), ("a", "BIGINT")), [batch(1)])
    assert answer.column_names == ["a", "a"]


def test_another_type_than_the_plans_is_our_fault(merger: Merger) -> None:
    with pytest.raises(InternalError, match="HUGEINT for BIGINT"):
        merger.merge(plan(SUM, ("sum(a)", "BIGINT")), [batch(1)])


def test_no_batch_at_all_is_our_fault(merger: Merger) -> None:
    with pytest.raises(InternalError, match="no shard"):
        merger.merge(plan(SUM, ("sum(a)", "HUGEINT")), [])


@pytest.mark.parametrize("merge", [SUM, MergeStage("shipped", "SELECT s0 FROM shipped LIMIT 1"), None])
def test_batches_are_read_to_their_end(merger: Merger, merge: MergeStage | None) -> None:
    ended = []

    def batches() -> Iterator[pa.RecordBatch]:
        for value in range(500):
            yield batch(value)
        ended.append(True)

    merger.merge(plan(merge, ("a", "HUGEINT" if merge is SUM else "BIGINT")), batches())
    assert ended == [True]


@pytest.mark.parametrize("merge", [SUM, None])
@pytest.mark.parametrize("after", [0, 1, 50])
def test_a_shards_error_comes_out_as_it_is(merger: Merger, merge: MergeStage | None, after: int) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from [batch(1)] * after
        raise ShardError("left", shard="a:1")

    with pytest.raises(ShardError, match="left") as raised:
        merger.merge(plan(merge, ("a", "HUGEINT")), batches())
    assert raised.value.shard == "a:1"


def test_a_value_at_fault_is_a_data_error(merger: Merger) -> None:
    merge = MergeStage("shipped", "SELECT s0::TINYINT FROM shipped")
    with pytest.raises(DataError, match="1000"):
        merger.merge(plan(merge, ("a", "TINYINT")), [batch(1000)])


def test_a_failed_merge_ends_the_batches(merger: Merger) -> None:
    ended = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for _ in range(1000):
                yield batch(1000)
        finally:
            ended.append(True)

    merge = MergeStage("shipped", "SELECT s0::TINYINT FROM shipped")
    arriving = batches()
    with pytest.raises(DataError):
        merger.merge(plan(merge, ("a", "TINYINT")), arriving)
    assert ended == [True]


def test_it_can_be_used_again_after_an_error(merger: Merger) -> None:
    for _ in range(2):
        test_a_value_at_fault_is_a_data_error(merger)
        test_batches_of_all_shards_are_one_relation(merger)


def test_exported_states_get_their_types_back_twice(merger: Merger) -> None:
    stage = ShardStage((SCAN,), "SELECT avg(a) EXPORT_STATE AS s0, median(a) EXPORT_STATE AS s1 FROM scan_0")
    merge = MergeStage(
        "shipped", "SELECT finalize(combine_aggr(s0)), finalize(combine_aggr(s1)) FROM shipped", states=True
    )
    columns = (ResultColumn("avg(a)", "DOUBLE"), ResultColumn("median(a)", "DOUBLE"))
    rows = pa.table({"a": pa.array([1, 2, 3, 10], pa.int64())})
    for _ in range(2):
        shipped = [
            b for part in (rows[:1], rows[1:], rows[:0]) for b in merger.run_local(stage, [part.to_reader()])
        ]
        answer = merger.merge(GearsPlan("module", stage, merge, columns, ""), shipped)
        assert answer.to_pydict() == {"avg(a)": [4.0], "median(a)": [2.5]}


def test_run_local_yields_an_empty_batch_for_no_rows(merger: Merger) -> None:
    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), [])
    (only,) = merger.run_local(ShardStage((SCAN,), "SELECT a + 1 AS s0 FROM scan_0"), [reader])
    assert (only.num_rows, only.schema.names) == (0, ["s0"])


def test_a_local_stage_and_a_merge_run_at_once(merger: Merger) -> None:
    rows = pa.table({"a": pa.array(range(10_000), pa.int64())})
    stage = ShardStage((SCAN,), 'SELECT "a" AS s0 FROM scan_0')
    answer = merger.merge(plan(SUM, ("sum(a)", "HUGEINT")), merger.run_local(stage, [rows.to_reader(100)]))
    assert sum_in(answer) == 49_995_000


def test_several_threads_merge_at_once(merger: Merger) -> None:
    sums: list[int] = []

    def merge(value: int) -> None:
        answer = merger.merge(plan(SUM, ("sum(a)", "HUGEINT")), (batch(value) for _ in range(50)))
        sums.append(sum_in(answer))

    threads = [threading.Thread(target=merge, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == [value * 50 for value in range(8)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM 'x.parquet'",
        "SELECT * FROM a_python_variable",
    ],
)
def test_the_database_reaches_nothing_outside(merger: Merger, sql: str) -> None:
    a_python_variable = pa.table({"s0": [1]})
    assert a_python_variable.num_rows == 1
    with pytest.raises(InternalError):
        merger.merge(plan(MergeStage("shipped", sql), ("a", "BIGINT")), [batch(1)])


def test_settings_cannot_be_changed_back(merger: Merger) -> None:
    with pytest.raises(DatabaseError, match="locked"):
        merger.merge(plan(MergeStage("shipped", "SET threads = 1"), ("a", "BIGINT")), [batch(1)])


def test_an_empty_batch_of_any_type() -> None:
    state = pa.struct({"n": pa.uint64(), "h": pa.opaque(pa.binary(16), "hugeint", "DuckDB")})
    schema = pa.schema({"s0": state, "s1": pa.list_(state)})
    assert empty_batch(schema).schema == schema


def test_the_locks_hold_on_cursors_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with open_database() as database, database.cursor() as cursor:
        settings = "current_setting('TimeZone'), current_setting('python_enable_replacements')"
        assert cursor.execute(f"SELECT {settings}").fetchall() == [("UTC", False)]
        with pytest.raises(duckdb.Error, match="locked"):
            cursor.execute("SET TimeZone = 'Asia/Tokyo'")


@pytest.mark.parametrize("ends", ["cancel", "time"])
def test_a_merge_that_takes_long_is_interrupted(merger: Merger, ends: str) -> None:
    endless = MergeStage("shipped", "SELECT sum(s0 * r.range) FROM shipped, range(1000000000000) r")
    control = Control(0.3 if ends == "time" else None)
    calling = Calling(control.id, stopping=control.stopping)
    if ends == "cancel":
        threading.Timer(0.3, control.cancel).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError) as caught, control.running():
        merger.merge(plan(endless, ("s", "HUGEINT")), [batch(1, 2)], calling)
    assert time.monotonic() - begun < 2
    assert isinstance(caught.value, QueryTimeoutError) == (ends == "time")
    answer = merger.merge(plan(SUM, ("sum(a)", "HUGEINT")), [batch(1, 2)])
    assert sum_in(answer) == 3
