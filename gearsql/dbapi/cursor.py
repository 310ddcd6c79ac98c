"""A cursor: executes a statement, hands over its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from gearsql.answer import Answer
from gearsql.cluster.control import Control, ShardProgress
from gearsql.cluster.progress import Progress
from gearsql.dbapi.rows import ReadyRows, Rows
from gearsql.errors import InterfaceError, ProgrammingError, Warning
from gearsql.plan.stages import ScanMode

if TYPE_CHECKING:
    from gearsql.dbapi.connection import Connection

Description = tuple[str, str, None, None, None, None, None]
Row = tuple[Any, ...]


class Cursor:
    """PEP 249 cursor. Values are the Python objects that DuckDB's own fetchall gives."""

    def __init__(self, connection: Connection) -> None:
        """Use Connection.cursor()."""
        self.connection = connection
        self.arraysize = 1
        self.messages: list[tuple[type[Warning], Warning]] = []
        """What a statement's answer does not tell, such as values read as NULL; PEP 249's extension."""
        self.progress: Progress | None = None
        """Called with (keys done, keys in all) while a query runs, on another thread."""
        self.shard_progress: Callable[[tuple[ShardProgress, ...]], None] | None = None
        """Called with the progress of each shard (keys, total, rows, bytes) in the same way."""
        self.query_id: str | None = None
        """Of the statement that runs or ran last, as GEARSQL.STATUS shows it and GEARSQL.CANCEL takes it."""
        self._control: Control | None = None
        self._answer: Answer | None = None
        self._rows: Rows | ReadyRows | None = None
        self._closed = False

    @property
    def description(self) -> list[Description] | None:
        """Name and DuckDB type of each column; None before a statement and after one without rows."""
        columns = self._answer.columns if self._answer else None
        return [(c.name, c.type, None, None, None, None, None) for c in columns] if columns else None

    @property
    def rowcount(self) -> int:
        """The number of rows that the last statement gave, or wrote; else -1."""
        if self._answer is None:
            return -1
        if self._answer.rows is not None:
            return len(self._answer.rows)
        return self._answer.count if self._answer.table is None else self._answer.table.num_rows

    def execute(
        self,
        operation: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        scan: ScanMode | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Run a statement: `?` takes its values from a sequence, `$name` from a mapping.

        `scan` is how this statement reads the servers: 'sliced' or 'snapshot'; None: as the connection says.
        `timeout` bounds it in seconds, in place of the connection's; math.inf: no limit.
        """
        self._require_open()
        _require_values(parameters)
        engine = self.connection.engine
        self._answer, self._rows = None, None
        self.messages.clear()
        control = self._begin(timeout)
        self._answer = engine.run(operation, parameters, self.progress, scan, control)
        self.messages += [(Warning, Warning(note)) for note in self._answer.notes]
        if self._answer.rows is not None:
            self._rows = ReadyRows(self._answer.rows)
        elif self._answer.table is not None:
            self._rows = Rows(self._answer.table, [column.type for column in self._answer.columns])
        return self

    def _begin(self, timeout: float | None) -> Control:
        self._control = control = self.connection.engine.control(timeout)
        self.query_id = control.id
        control.each_shard = self.shard_progress
        return control

    def cancel(self) -> None:
        """End the running statement on all shards, from another thread: execute() raises CancelledError."""
        if self._control is not None:
            self._control.cancel()

    def executemany(self, operation: str, seq_of_parameters: Sequence[Any]) -> None:
        """Run an INSERT, UPDATE or DELETE for each set of parameters; rows of VALUES go together."""
        self._require_open()
        self._answer, self._rows = None, None
        self.messages.clear()
        engine = self.connection.engine
        control = self._begin(None)
        values = list(seq_of_parameters)
        for parameters in values:
            _require_values(parameters)
        self._answer = engine.run_many(operation, values, self.progress, control)

    def fetchone(self) -> Row | None:
        """Return the next row, None after the last."""
        return self._fetching().one()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return the next `size` rows (default: arraysize), fewer at the end."""
        return self._fetching().many(self.arraysize if size is None else size)

    def fetchall(self) -> list[Row]:
        """Return the rows that are left."""
        return self._fetching().all()

    def fetch_arrow_table(self) -> pa.Table:
        """Return the whole answer as a pyarrow Table, however much was fetched before."""
        self._fetching()
        assert self._answer is not None
        return self._answer.arrow

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows that are left."""
        return iter(self.fetchone, None)

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Do nothing; PEP 249 allows it."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing; PEP 249 allows it."""

    def close(self) -> None:
        """Free the answer; the cursor cannot be used any more."""
        self._require_open()
        self._closed, self._answer, self._rows = True, None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self._closed, self._answer, self._rows = True, None, None

    def _fetching(self) -> Rows | ReadyRows:
        self._require_open()
        if self._rows is None:
            raise InterfaceError("there are no rows to fetch: execute a query first")
        return self._rows

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")
        _ = self.connection.engine


def _require_values(parameters: Any) -> None:
    if parameters is not None and not hasattr(parameters, "__len__"):
        kind = type(parameters).__name__
        raise ProgrammingError(
            f"parameters are a sequence or a mapping, not {kind}: (value,) is a sequence of one"
        )
