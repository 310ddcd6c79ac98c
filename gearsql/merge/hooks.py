"""Users' functions in the merge: DuckDB calls them batch by batch, and they run in a confined process.

DuckDB knows a function in this process by its forms (sql/stubs.py). Its threads call those, one call at a
time goes to the sandbox, and what a function raises is kept: DuckDB would reword it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from gearsql.catalog.function import Function
from gearsql.catalog.hook_errors import hook_error
from gearsql.catalog.hook_types import HookType, ListOf, Plain, StructOf, parse_hook_type
from gearsql.errors import CancelledError, DataError, InternalError, QueryTimeoutError
from gearsql.merge.values import to_arrow, to_python
from gearsql.sql.hooks import MERGE, ROW, STATE, WHOLE, Hooks
from gearsql.sql.stubs import register, signatures

_CALL_FAILED = "Python exception occurred while executing the UDF"


class Sandbox(Protocol):
    """A process that runs functions and nothing else; gearsql.shard.sandbox. Columns are lists of values."""

    @property
    def nulls(self) -> int:
        """How many rows failed and became NULL since begin(), as ON ERROR NULL says."""

    def begin(self, functions: Sequence[Function], query: str) -> None:
        """Start a query: later calls name a function by its place in `functions`."""

    def call(self, index: int, columns: Sequence[list[Any]], rows: int) -> list[Any]:
        """Call a scalar or table function for each row."""

    def whole(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Aggregate each list of rows, which are dicts of a0, a1, …; None is a list without rows."""

    def merge(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Merge each list of partial states and finish; None is a list without states."""

    def close(self) -> None:
        """End the process, and a call that waits for it, on whatever thread."""


def _ignore(_: int) -> None:
    pass


def _unwatched(_: Callable[[], object]) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Calling:
    """What calls belong to: a query, by its id; `nulls` is told the rows that ON ERROR NULL made NULL.

    `left` gives the seconds until the query's time is up, None if it has no limit. `stopping` has what it is
    given called if the query is ended within its block.
    """

    query: str = ""
    nulls: Callable[[int], None] = _ignore
    left: Callable[[], float | None] = lambda: None
    stopping: Callable[[Callable[[], object]], AbstractContextManager[None]] = _unwatched


class HookRunner:
    """Holds a merge's DuckDB and a sandbox. One query with users' functions at a time: others wait."""

    def __init__(self, database: duckdb.DuckDBPyConnection, sandbox: Callable[[], Sandbox]) -> None:
        """`sandbox` opens one, when a function is called for the first time."""
        self._database = database
        self._open = sandbox
        self._sandbox: Sandbox | None = None
        self._declared: dict[str, str] = {}
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def close(self) -> None:
        """End the sandbox, and with it what runs there; the next query gets a new one."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    @contextmanager
    def running(self, hooks: Hooks, calling: Calling, named: Hooks = ()) -> Iterator[None]:
        """Let the SQL that runs within call some functions. What they raise replaces DuckDB's error.

        `named` are functions that SQL only names: they may not even be fit to run in this client.
        """
        if not hooks and not named:
            yield
            return
        with self._lock:
            self._run = run = _Run([known.function for known in hooks], calling.query, self._started)
            for known in (*hooks, *named):
                self._declare(known.function)

            def stop() -> None:
                run.stopped = True
                self.close()

            try:
                with (
                    calling.stopping(stop),
                    _interrupts(stop) as interrupted,
                    _deadline(stop, calling.left()) as late,
                ):
                    yield
            except BaseException as error:
                if interrupted:
                    raise KeyboardInterrupt from None
                if late.is_set():
                    raise QueryTimeoutError("the query's time is up") from None
                # DuckDB passes over some failures: of constants that it folds, inside TRY.
                if run.error is None or _CALL_FAILED not in str(error):
                    raise
                if not isinstance(run.error, DataError):
                    self.close()  # it may be dead, or hang
                raise run.error from None
            finally:
                self._run = None
            calling.nulls(run.nulls)

    def _started(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._open()
        return self._sandbox

    def _declare(self, function: Function) -> None:
        """Declare a function's forms; a redefined one takes the place of the one before."""
        for name, signature in signatures(function).items():
            if self._declared.get(name) == function.hash:
                continue
            self._declared.pop(name, None)
            form = name.removeprefix(function.name)
            register(self._database, name, signature, partial(self._call, function, form))
            self._declared[name] = function.hash

    def _call(self, function: Function, form: str, *columns: pa.ChunkedArray) -> Any:
        """Runs on one of DuckDB's threads."""
        run = self._run
        if run is None:
            raise InternalError(f"{function.name} is called outside of a query")
        return run.call(function, form, columns)


class _Run:
    """One query's calls."""

    def __init__(self, functions: list[Function], query: str, started: Callable[[], Sandbox]) -> None:
        self.functions = functions
        self.error: BaseException | None = None
        self.stopped = False
        self._query = query
        self._started = started
        self._sandbox: Sandbox | None = None
        self._turn = threading.Lock()

    @property
    def nulls(self) -> int:
        return self._sandbox.nulls if self._sandbox else 0

    def call(self, function: Function, form: str, columns: Sequence[pa.ChunkedArray]) -> Any:
        if form == ROW:
            parts = [column.combine_chunks() for column in columns]
            return pa.StructArray.from_arrays(parts, [f"a{index}" for index in range(len(parts))])
        try:
            with self._turn:
                return self._answer(function, form, columns)
        except BaseException as error:
            self.error = error
            raise

    def _answer(self, function: Function, form: str, columns: Sequence[pa.ChunkedArray]) -> Any:
        if function not in self.functions:
            raise InternalError(f"{function.name} is not for this client")
        if self._sandbox is None:
            self._sandbox = self._begun()
        index, rows = self.functions.index(function), len(columns[0]) if columns else 1
        types = _parameters(function, form)
        values = _arguments(function, columns, types)
        match form:
            case "":
                found = self._sandbox.call(index, values, rows)
            case _ if form == WHOLE:
                found = self._sandbox.whole(index, values[0], rows)
            case _ if form == MERGE:
                found = self._sandbox.merge(index, values[0], rows)
            case _:
                raise InternalError(f"{function.name}{form} is for servers")
        # DuckDB calls what has no parameters row by row.
        return to_arrow(found, _type(function.returns)) if columns else found[0]

    def _begun(self) -> Sandbox:
        sandbox = self._started()
        if not self.stopped:
            sandbox.begin(self.functions, self._query)
        # What ends the query may have come before there was a process to end.
        if self.stopped:
            sandbox.close()
            raise CancelledError("the query was ended")
        return sandbox


def _arguments(
    function: Function, columns: Sequence[pa.ChunkedArray], types: Sequence[HookType]
) -> list[list[Any]]:
    try:
        return [to_python(column, type_) for column, type_ in zip(columns, types, strict=True)]
    except OverflowError as error:
        raise hook_error(
            {"function": function.name, "type": "OverflowError", "message": str(error)}
        ) from None


def _parameters(function: Function, form: str) -> list[HookType]:
    types = [_type(type_) for _, type_ in function.parameters]
    match form:
        case "":
            return types
        case _ if form in (WHOLE, STATE):
            return [ListOf(StructOf(tuple((f"a{index}", type_) for index, type_ in enumerate(types))))]
        case _:
            return [ListOf(Plain("BLOB"))]


def _type(text: str) -> HookType:
    found = parse_hook_type(text)
    assert found is not None
    return found


@contextmanager
def _deadline(stop: Callable[[], None], seconds: float | None) -> Iterator[threading.Event]:
    """End functions when a query's time is up; yields what is set then."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def end() -> None:
        late.set()
        stop()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


@contextmanager
def _interrupts(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Let a Ctrl-C end a function, for which DuckDB would wait; yields a list that holds the signal then."""
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield came
        return

    def interrupt(number: int, frame: FrameType | None) -> Any:
        came.append(number)
        stop()
        return before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
