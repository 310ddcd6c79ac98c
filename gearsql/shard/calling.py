"""CALL: the columns of a batch → calls of the user's function → a column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gearsql.catalog.function import Function
from gearsql.shard import _mailbox
from gearsql.shard._mailbox import Column, Rows
from gearsql.shard.faults import told
from gearsql.shard.stages import Stage, current

REQUEST = 16  # bytes of gears_request, which begins a message
_KINDS = {"argument": "argument", "call": "raised", "result": "result"}


@dataclass
class Place:
    """Where a hook is: what a failure has to tell."""

    phase: str = "call"  # 'argument', 'call', 'result'
    row: int | None = None
    arguments: tuple[Any, ...] = ()


class Hook(ABC):
    """A function of a session, and the buffers that its messages need. One message at a time."""

    def __init__(self, function: Function, target: Callable[..., Any]) -> None:
        self.function = function
        self.target = target
        self.strict = not function.called_on_null
        self.tolerate = function.on_error == "null"
        self.rows = Rows(tuple(type_ for _, type_ in function.parameters))
        self.result = Column(function.returns)
        self.place = Place()

    def answer(self, kind: int, stage: Stage, rows: int) -> None:
        """Answer a message of the server. Whatever is raised is the user's; tell() says what of it.

        The stage is the current one once the message is copied: what the user's code (a destructor, even)
        asks the server lies in the same place.
        """
        if kind != _mailbox.CALL:
            raise ValueError(f"no message for a {self.function.kind} function: {kind}")
        self.rows.load(stage.mailbox, rows, REQUEST)
        current.stage = stage
        stage.forgiven += self.call()
        stage.mailbox.send(_mailbox.RESULT, self.result)

    @abstractmethod
    def call(self) -> int:
        """Write the results of `rows` to `result`. Returns how many ON ERROR NULL made NULL."""

    def tell(self, error: BaseException) -> dict[str, Any]:
        """Return ERROR's JSON of what answer() raised."""
        place = self.place
        names = [name for name, _ in self.function.parameters]
        arguments = list(zip(names, place.arguments, strict=False))
        return told(error, _KINDS[place.phase], self.function.name, row=place.row, arguments=arguments)

    def clear(self) -> None:
        """Forget a message and its answer, which may have been large."""
        self.place = Place()
        self.rows.clear()
        self.result.clear()

    def failed_row(self) -> None:
        """Take the place from `rows`."""
        row, phase = self.rows.failed, self.rows.phase
        if row is not None:
            arguments = () if phase == "argument" else self.rows.row(row)
            self.place = Place(phase, row, arguments)


class Scalar(Hook):
    """A call for each row."""

    def call(self) -> int:
        try:
            return self.rows.map(self.target, self.result, self.strict, self.tolerate)
        except BaseException:
            self.failed_row()
            raise


class Table(Scalar):
    """A call for each row, whose rows are walked as they come: what it yields, or returns to be walked."""

    def __init__(self, function: Function, target: Callable[..., Any]) -> None:
        super().__init__(function, rows_of(target, [name for name, _ in function.rows]))


class Vectorised(Hook):
    """A call for a batch, with a list for each parameter; a list comes back.

    Batches have any size, and none is empty. One that fails with ON ERROR NULL is called again row by row.
    """

    def call(self) -> int:
        kept = self.rows.kept() if self.strict else bytes([1]) * len(self.rows)
        count = sum(kept)
        try:
            if count:
                self.once(kept, count)
            else:
                self.result.scatter([], kept)
            return 0
        except Exception as error:
            if not self.tolerate or isinstance(error, MemoryError):
                raise
        self.result.clear()
        return self._one_by_one(kept)

    def once(self, kept: bytes, count: int) -> None:
        """Call for the kept rows, `count` many."""
        self.place = Place("argument")
        columns = [self.rows.column(index, self.strict) for index in range(len(self.function.parameters))]
        self.write(self.called(columns, count), kept)

    def called(self, columns: Sequence[Any], count: int) -> Any:
        """Return what the function makes of the columns: `count` values."""
        self.place = Place("call", None, tuple(columns))
        values = self.target(*columns)
        self.place.phase = "result"
        found = _length(self.function, values)
        if found != count:
            raise ValueError(f"{self.function.name} returned {found} values for {count} rows")
        return values

    def write(self, values: Any, kept: bytes) -> None:
        """Write values for the kept rows."""
        try:
            self.result.scatter(values, kept)
        except BaseException:
            self.place.row = len(self.result)
            raise

    def single(self, row: int) -> Sequence[Any]:
        """Return a row as columns."""
        return [[value] for value in self.rows.row(row)]

    def _one_by_one(self, kept: bytes) -> int:
        forgiven = 0
        for row, is_kept in enumerate(kept):
            try:
                if is_kept:
                    self.append(self.called(self.single(row), 1))
                    continue
            except Exception as error:
                if isinstance(error, MemoryError):
                    raise
                forgiven += 1
            self.result.append(None)
        return forgiven

    def append(self, values: Any) -> None:
        """Write the value of a single row."""
        self.result.append(values[0])


def rows_of(target: Callable[..., Any], names: Sequence[str]) -> Callable[..., Iterator[Any] | None]:
    """Return a function whose result walks the rows. Those of a single column may be its bare values."""
    columns = set(names)

    def row(value: Any) -> Any:
        if isinstance(value, tuple) or (isinstance(value, dict) and value.keys() == columns):
            return value
        return (value,)

    def walk(*arguments: Any) -> Iterator[Any] | None:
        found = target(*arguments)
        if found is None:
            return None
        if isinstance(found, (str, bytes, dict)):
            raise TypeError(f"rows are needed, not {type(found).__name__}: {found!r:.100}")
        return map(row, found) if len(columns) == 1 else iter(found)

    return walk


def _length(function: Function, values: Any) -> int:
    try:
        return len(values)
    except TypeError:
        found = type(values).__name__
        raise TypeError(
            f"{function.name} returned {found}, and vectorised it returns a value for each row"
        ) from None
