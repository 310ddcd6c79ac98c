"""The end of the way: the rows of all shards → the answer, by DuckDB in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from gearsql.errors import InternalError
from gearsql.merge.arrival import Arrival, empty_batch
from gearsql.merge.database import open_database
from gearsql.merge.faults import named_faults
from gearsql.merge.hooks import Calling, HookRunner, Sandbox
from gearsql.merge.states import loses_types, register, type_arriving
from gearsql.plan.stages import GearsPlan, MergeStage, ShardStage, WidePlan
from gearsql.sql.bound import ResultColumn
from gearsql.sql.hooks import Hooks, bindable, hooks_in

# Arrow makes a TUPLE a STRUCT, whose values compare alike.
NOT_IN_ARROW = ("TUPLE(",)
NO_QUERY = Calling()


class Merger:
    """Holds a locked-down DuckDB; one for each gearsql connection. Several threads may call it at once."""

    def __init__(self, memory_limit: str | None = None, sandbox: Callable[[], Sandbox] | None = None) -> None:
        """`memory_limit` is DuckDB's, such as '2GB'; by default 80 % of the machine's memory.

        `sandbox` opens what users' functions run in, by default a process.
        """
        self._database = open_database(memory_limit)
        self._hooks = HookRunner(self._database, sandbox or _process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free DuckDB and all that it holds."""
        self._hooks.close()
        self._database.close()

    def merge(
        self, plan: GearsPlan, batches: Iterable[pa.RecordBatch], calling: Calling = NO_QUERY
    ) -> pa.Table:
        """Make the answer from the batches of all shards, in any order, at least one of them.

        `batches` is always read to its end, whatever the query's LIMIT, and may be read on another thread; an
        error that it raises is raised here. The table has the plan's names (repeated ones, too), and Arrow's
        types as DuckDB gives them with arrow_lossless_conversion. `calling` is for users' functions.
        """
        with closing(Arrival(batches)) as arrival:
            if plan.merge is None:
                table = pa.Table.from_batches(arrival, arrival.schema)
            else:
                hooks = plan.merge.hooks
                running = self._hooks.running(hooks, calling, _named(plan, plan.merge, arrival))
                with (
                    running,
                    self._cursor(calling) as cursor,
                    arrival.faults(),
                    named_faults(),
                ):
                    table = _run(cursor, plan.shard, plan.merge, plan.columns, arrival)
            arrival.drain()
        return table.rename_columns([column.name for column in plan.columns])

    def run_once(self, plan: GearsPlan, calling: Calling = NO_QUERY) -> pa.Table:
        """Make the answer of a query without a table, as merge() does."""
        merge = plan.merge
        assert merge is not None
        running = self._hooks.running(merge.hooks, calling)
        with running, self._cursor(calling) as cursor, named_faults():
            answer = cursor.sql(bindable(merge.sql, merge.hooks))
            return _typed(answer, merge.sql, plan.columns)

    def run_over(
        self, plan: WidePlan, relations: Mapping[str, pa.Table], calling: Calling = NO_QUERY
    ) -> pa.Table:
        """Make the answer of a wide query from the answers of its parts, and of joins, by their names.

        A join without an answer is made where it is named.
        """
        running = self._hooks.running(plan.hooks, calling)
        with running, self._cursor(calling) as cursor, named_faults():
            columns = {part.name: part.plan.columns for part in plan.parts}
            columns |= {join.name: join.columns for join in plan.joins}
            for name, table in relations.items():
                names = [f"c{index}" for index in range(table.num_columns)]
                types = [column.type for column in columns[name]]
                register(cursor, name, table.rename_columns(names), names, types)
            known = set(relations)
            for join in plan.joins:
                if join.name not in known and all(name in known for name in join.takes):
                    items = ", ".join(f"c{index}" for index in range(len(join.columns)))
                    cursor.execute(f"CREATE TEMP VIEW {join.name} ({items}) AS {join.sql}")
                    known.add(join.name)
            answer = cursor.sql(bindable(plan.sql, plan.hooks))
            return _typed(answer, plan.sql, plan.columns).rename_columns([c.name for c in plan.columns])

    def run_local(
        self,
        stage: ShardStage,
        relations: Sequence[pa.RecordBatchReader],
        calling: Calling = NO_QUERY,
    ) -> Iterator[pa.RecordBatch]:
        """Run a shard stage here, over a reader for each of its scans; yields at least one batch.

        A relation has the scan's columns; of a scan without columns, one column of any name and type.
        """
        called = hooks_in(stage.sql, stage.hooks)
        running = self._hooks.running(called, calling)
        with running, self._cursor(calling) as cursor, named_faults():
            for index, (scan, relation) in enumerate(zip(stage.scans, relations, strict=True)):
                names, types = [c.name for c in scan.columns], [c.type for c in scan.columns]
                register(cursor, f"scan_{index}", relation, names, types)
            yield from _at_least_one(cursor.sql(bindable(stage.sql, called)).to_arrow_reader())

    @contextmanager
    def _cursor(self, calling: Calling) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor that is interrupted when the query is ended."""
        with self._database.cursor() as cursor, calling.stopping(cursor.interrupt):
            yield cursor


def _process() -> Sandbox:
    # Imported late: few queries call functions here.
    from gearsql.shard.sandbox import Sandbox as Process

    return Process()


def _named(plan: GearsPlan, merge: MergeStage, arrival: Arrival) -> Hooks:
    """The functions of the shards' SQL where it gives what arrives its types, on a table without rows."""
    return hooks_in(plan.shard.sql, plan.shard.hooks) if loses_types(merge, arrival.schema) else ()


def _run(
    cursor: duckdb.DuckDBPyConnection,
    shard: ShardStage,
    merge: MergeStage,
    columns: Sequence[ResultColumn],
    arrival: Arrival,
) -> pa.Table:
    if loses_types(merge, arrival.schema):
        answer = cursor.sql(type_arriving(cursor, shard, merge, arrival.reader()))
    else:
        cursor.register(merge.relation, arrival.reader())
        answer = cursor.sql(bindable(merge.sql, merge.hooks))
    return _typed(answer, merge.sql, columns)


def _typed(answer: duckdb.DuckDBPyRelation, sql: str, columns: Sequence[ResultColumn]) -> pa.Table:
    for found, column in zip(answer.types, columns, strict=True):
        if str(found) != column.type and not any(kind in column.type for kind in NOT_IN_ARROW):
            raise InternalError(f"the merge gives {found} for {column.type}: {sql}")
    return answer.to_arrow_table()


def _at_least_one(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    empty = True
    for batch in reader:
        empty = False
        yield batch
    if empty:
        yield empty_batch(reader.schema)
