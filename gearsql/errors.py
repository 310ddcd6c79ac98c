"""The errors of GearsSQL: PEP 249's tree, with the named errors that a query can end in.

Warning
Error                       message, position, hint
 ├── InterfaceError         the driver was used wrongly (closed cursor, bad option)
 └── DatabaseError
      ├── DataError         a value in the data is at fault
      │    ├── MisfitError          a field does not fit its column's type: key, field, value, type
      │    └── HookError            a user's function raised: function, traceback, row, arguments, key, shard
      ├── OperationalError  the servers are at fault, not the query
      │    ├── ShardError           one shard failed: shard
      │    ├── ShardUnreachableError   down, refused, wrong password, TLS
      │    ├── ServerLoadingError   a server loads its data, or is a replica without its primary
      │    ├── ModuleMissingError   the module is on some shards only, or asked for and absent
      │    ├── VersionMismatchError shards, or shard and client, run different versions
      │    ├── SlotsNotCoveredError the cluster does not serve every slot
      │    │    └── SlotsMovedError slots moved while the query ran, and went on moving
      │    ├── TableShrankError     keys may have come twice while most were deleted, again and again: shard
      │    ├── KeyChangedError      a long list's elements moved while it was read, again and again: shard
      │    ├── DataReplacedError    the database was emptied, swapped or loaded anew under the query: shard
      │    ├── ResourceLimitError   a bound of the module or of the query was reached
      │    │    ├── RowLimitError        rows read or shipped
      │    │    ├── ByteLimitError       bytes shipped
      │    │    ├── MemoryLimitError     memory of DuckDB, or of frames that wait for their clients
      │    │    └── QueueFullError       stages that wait for a worker
      │    ├── StageSentTwiceError  a server was sent a stage of the same id before
      │    ├── CancelledError       the query was cancelled, or its server shut down
      │    │    └── QueryTimeoutError    the query's time was up
      │    ├── HookTimeoutError     a user's function did not return in time; its session was ended
      │    ├── HookDiedError        a user's function crashed its process, or took too much memory
      │    ├── RowsChangedError     rows changed between their reading and their writing, again and again
      │    └── FunctionChangedError a shard has another version of a function than was planned with
      ├── IntegrityError    what is written would not be a table's rows any more
      │    └── KeyExistsError       INSERT of a key that is there: key
      ├── InternalError     a fault of ours: please report it
      │    └── StageRefusedError    a shard found in a stage's SQL what no plan has
      ├── ProgrammingError  the statement is at fault
      │    ├── SqlSyntaxError
      │    ├── UnknownColumnError   candidates
      │    ├── UnknownTableError    candidates
      │    ├── TableExistsError
      │    ├── UnknownFunctionError candidates
      │    ├── FunctionExistsError
      │    ├── FunctionDefinitionError  the Python of a function, or how it is declared, is at fault
      │    ├── TypeMismatchError    DuckDB's binder refuses the expression
      │    └── AccessDeniedError    the server's ACL forbids it
      └── NotSupportedError the statement is right, and not (yet) ours to answer
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Position:
    """A span of the statement's text: character offsets, `end` exclusive."""

    start: int
    end: int

    def line_and_column(self, text: str) -> tuple[int, int]:
        """Both count from 1."""
        before = text[: self.start]
        return before.count("\n") + 1, self.start - (before.rfind("\n") + 1) + 1


class Warning(builtins.Warning):
    """Important notice; PEP 249."""


@dataclass(frozen=True)
class Written:
    """What a statement that failed half-way has done.

    `rows` were written, `left` were not, the first of them `first_key`. `unsure` were on their way to a shard
    that was lost, so nobody knows.
    """

    rows: int
    left: int
    unsure: int
    first_key: bytes | None

    def told(self) -> str:
        """Return it as words."""
        words = [f"{self.rows:,} {'row was' if self.rows == 1 else 'rows were'} written"]
        if self.left:
            words.append(f"{self.left:,} {'was' if self.left == 1 else 'were'} not")
        if self.unsure:
            words.append(f"of {self.unsure:,} nobody knows")
        if self.first_key is not None:
            words.append(f"the first key not written is {self.first_key.decode(errors='replace')!r}")
        return ", ".join(words)


class Error(Exception):
    """Base of all errors. `text` is the statement that `position` points into, when known."""

    written: Written | None = None
    """What an INSERT, UPDATE, DELETE or COPY had done when it failed half-way."""

    query_id: str | None = None
    """Of the query that ended in it, as in GEARSQL.STATUS and the servers' logs."""

    def __init__(
        self,
        message: str,
        *,
        position: Position | None = None,
        hint: str | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint
        self.text = text

    @property
    def line(self) -> int | None:
        """Line of the fault in the statement, from 1."""
        if self.position is None or self.text is None:
            return None
        return self.position.line_and_column(self.text)[0]

    @property
    def column(self) -> int | None:
        """Column of the fault in its line, from 1."""
        if self.position is None or self.text is None:
            return None
        return self.position.line_and_column(self.text)[1]

    def pretty(self) -> str:
        """The message, the statement's line with a caret under the fault, and the hint."""
        lines = [self.message]
        if self.position is not None and self.text is not None:
            number, column = self.position.line_and_column(self.text)
            source = (self.text.split("\n")[number - 1]).rstrip("\r")
            lead = f"  line {number}: "
            width = max(1, min(self.position.end - self.position.start, len(source) - column + 1))
            lines += [lead + source, " " * (len(lead) + column - 1) + "^" * width]
        if self.written is not None:
            lines.append(f"  {self.written.told()}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.pretty()

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes, whatever their constructors ask for."""
        return _again, (type(self), self.args, self.__dict__.copy())


def _again(kind: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InterfaceError(Error):
    """The driver was used wrongly."""


class DatabaseError(Error):
    """Base of everything that the database side reports."""


class DataError(DatabaseError):
    """A value in the data is at fault."""


class MisfitError(DataError):
    """The text in a field does not fit its column's type; `key` and `value` are raw bytes."""

    def __init__(
        self, message: str, *, key: bytes, field: str, value: bytes, type: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.field = field
        self.value = value
        self.type = type


class HookError(DataError):
    """A user's function raised, or returned what its type cannot hold.

    `traceback` has the line numbers of the user's own text; `arguments` are the reprs of what the function
    was called with, by parameter; `row` counts in the batch. What is not known is None or empty.
    """

    values: list[Any] | None = None
    """The arguments as plain data, encoded as states are (shard/state.py), if short."""

    def __init__(
        self,
        message: str,
        *,
        function: str,
        traceback: str = "",
        arguments: tuple[tuple[str, str], ...] = (),
        row: int | None = None,
        key: bytes | None = None,
        shard: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.function = function
        self.traceback = traceback
        self.arguments = arguments
        self.row = row
        self.key = key
        self.shard = shard

    def pretty(self) -> str:
        """The message, what the function was called with, and the traceback."""
        told = [f"  {name} = {value}" for name, value in self.arguments]
        traced = [f"  {line}" for line in self.traceback.rstrip().splitlines()]
        return "\n".join([self.message, *told, *traced, *([f"  hint: {self.hint}"] if self.hint else [])])


class OperationalError(DatabaseError):
    """The servers are at fault, not the query."""


class ShardError(OperationalError):
    """One shard failed; `shard` is its host:port."""

    def __init__(self, message: str, *, shard: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.shard = shard


class ShardUnreachableError(ShardError):
    """A shard is down, or refuses us (`refused`: by our login, so that trying again is no use)."""

    refused = False


class ServerLoadingError(ShardError):
    """A server loads its data, or is a replica without its primary; queries wait for it a little."""


class ModuleMissingError(ShardError):
    """The module is on some shards only, or was asked for and is absent."""


class VersionMismatchError(ShardError):
    """Shards, or a shard and this client, run different versions."""


class SlotsNotCoveredError(OperationalError):
    """The cluster does not serve every slot, so no answer would be whole."""


class SlotsMovedError(SlotsNotCoveredError):
    """Slots moved between shards while the query ran, and did not come to rest in its time."""

    asked: tuple[str, int] | None = None
    """The server that serves one key of a slot that moves (ASK)."""


class DataReplacedError(ShardError):
    """The database was emptied, swapped or loaded anew while the query read it."""


class TableShrankError(ShardError):
    """So many keys went while the query scanned that others may have come twice: it runs again."""


class KeyChangedError(ShardError):
    """A list changed so while it was read that its elements may have come twice: the query runs again."""


class ResourceLimitError(ShardError):
    """A bound of the module was reached."""


class RowLimitError(ResourceLimitError):
    """The query read or shipped more rows than it may."""


class ByteLimitError(ResourceLimitError):
    """The query shipped more bytes than it may."""


class MemoryLimitError(ResourceLimitError):
    """DuckDB, or the frames that wait for their clients, needed more memory than they may."""


class QueueFullError(ResourceLimitError):
    """Too many stages wait for a worker already."""


class StageSentTwiceError(ShardError):
    """A server was sent a stage of the same id before: it runs once."""


class CancelledError(ShardError):
    """The query was cancelled: here, by an operator, or because its server shuts down."""


class QueryTimeoutError(CancelledError):
    """The query's time was up."""


class HookTimeoutError(ShardError):
    """A user's function did not return in time; its session was ended."""


class HookDiedError(ShardError):
    """A user's function crashed its process, or took more memory than it may."""


class RowsChangedError(OperationalError):
    """Other clients changed rows after an UPDATE or DELETE had read them, as often as it tried."""


class FunctionChangedError(ShardError):
    """A shard has another version of a function than the query was planned with: planned again."""


class IntegrityError(DatabaseError):
    """What is written would not be a table's rows any more."""


class KeyExistsError(IntegrityError):
    """An INSERT's row has the key of another row (or of something else); `key` is the first such key."""

    key: bytes = b""


class InternalError(DatabaseError):
    """A fault of GearsSQL itself."""


class StageRefusedError(InternalError):
    """A shard refuses a stage's SQL: it holds what our own generator does not write."""


class ProgrammingError(DatabaseError):
    """The statement is at fault."""


class SqlSyntaxError(ProgrammingError):
    """The statement cannot be parsed."""


class UnknownColumnError(ProgrammingError):
    """No such column; `candidates` are the near names."""

    def __init__(
        self,
        message: str,
        *,
        candidates: tuple[str, ...] = (),
        position: Position | None = None,
        hint: str | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message, position=position, hint=hint, text=text)
        self.candidates = candidates


class UnknownTableError(UnknownColumnError):
    """No such table; `candidates` are the near names."""


class TableExistsError(ProgrammingError):
    """CREATE TABLE for a name that is taken."""


class UnknownFunctionError(ProgrammingError):
    """No such function; `candidates` are the near names."""

    def __init__(
        self,
        message: str,
        *,
        candidates: tuple[str, ...] = (),
        position: Position | None = None,
        hint: str | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message, position=position, hint=hint, text=text)
        self.candidates = candidates


class FunctionExistsError(ProgrammingError):
    """CREATE FUNCTION for a name that is taken."""


class FunctionDefinitionError(ProgrammingError):
    """The Python of a function, or the way it is declared, is at fault.

    Where only a server found the fault, `source_line` and `source_column` say the
    place in the function's own text, from 1.
    """

    source_line: int | None = None
    source_column: int | None = None


class TypeMismatchError(ProgrammingError):
    """DuckDB's binder refuses the expression."""


class AccessDeniedError(ProgrammingError):
    """The server's ACL forbids it."""


class NotSupportedError(DatabaseError):
    """The statement is right, and not ours to answer (yet)."""
