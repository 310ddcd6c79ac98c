"""Users' functions for tests, and what runs them in this process, for the merge and for shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from gearsql.catalog.function import Function, Known
from gearsql.catalog.hook_types import HookType, ListOf, Plain, parse_hook_type
from gearsql.merge.values import to_arrow, to_python
from gearsql.shard.source import load
from gearsql.shard.state import instance_of, state_of
from gearsql.sql.hooks import MERGE, ROW, STATE, WHOLE
from gearsql.sql.stubs import register, signatures

GEOMEAN = """
import math

class geometric:
    def __init__(self):
        self.logs, self.count = 0.0, 0

    def accumulate(self, x):
        self.logs += math.log(abs(x) + 1)
        self.count += 1

    def merge(self, other):
        self.logs += other.logs
        self.count += other.count

    def finish(self):
        return self.logs / self.count if self.count else None
"""
WEIGHED = """
class weighed:
    def __init__(self):
        self.total = self.weights = 0

    def accumulate(self, x, w):
        if x is not None and w is not None:
            self.total += x * w
            self.weights += w

    def merge(self, other):
        self.total += other.total
        self.weights += other.weights

    def finish(self):
        return self.total / self.weights if self.weights else None
"""
JOINED = """
class joined:
    def __init__(self):
        self.texts = []

    def accumulate(self, text):
        self.texts.append(text)

    def merge(self, other):
        self.texts += other.texts

    def finish(self):
        return '+'.join(self.texts)
"""
LETTERS = """
for place, letter in enumerate(text or ''):
    yield place, letter
"""
FUNCTIONS = [
    Function("initial", "scalar", (("text", "VARCHAR"),), "VARCHAR", "return text[:1]"),
    Function("length_or", "scalar", (("text", "VARCHAR"), ("other", "BIGINT")), "BIGINT",
             "return other if text is None else len(text)", called_on_null=True),
    Function("halved", "scalar", (("x", "DOUBLE"),), "DOUBLE", "return x / 2"),
    Function("cents", "scalar", (("n", "DECIMAL(10,2)"),), "HUGEINT", "return int(n * 100) * 10**20"),
    Function("pair", "scalar", (("a", "BIGINT"), ("s", "VARCHAR")), 'STRUCT("a" BIGINT, "s" VARCHAR)',
             "return {'a': a, 's': s}"),
    Function("tomorrow", "scalar", (("day", "DATE"),), "DATE",
             "import datetime\nreturn day + datetime.timedelta(days=1)"),
    Function("shout", "scalar", (("texts", "VARCHAR"),), "VARCHAR",
             "return [text.upper() for text in texts]", vectorised="lists"),
    Function("number", "scalar", (("x", "BIGINT"),), "BIGINT", "return x", volatile=True),
    Function("one", "scalar", (), "BIGINT", "return 1"),
    Function("strict", "scalar", (("x", "BIGINT"),), "BIGINT", "return {1: 1}[x]"),
    Function("geometric", "aggregate", (("x", "DOUBLE"),), "DOUBLE", GEOMEAN),
    Function("weighed", "aggregate", (("x", "DOUBLE"), ("w", "BIGINT")), "DOUBLE", WEIGHED,
             called_on_null=True),
    Function("joined", "aggregate", (("text", "VARCHAR"),), "VARCHAR", JOINED),
    Function("letters", "table", (("text", "VARCHAR"),), 'STRUCT("id" INTEGER, "letter" VARCHAR)[]', LETTERS),
    Function("parts", "table", (("text", "VARCHAR"),), 'STRUCT("words" VARCHAR[])[]',
             "yield (text.split('1'),)"),
]  # fmt: skip
KNOWN = {function.name: Known(function, f"gears_hook_{function.name}") for function in FUNCTIONS}


class InProcess:
    """A sandbox that is none."""

    def __init__(self) -> None:
        self.nulls = 0
        self.begun = 0
        self._loaded: list[tuple[Function, Callable[..., Any]]] = []

    def begin(self, functions: Sequence[Function], query: str) -> None:
        """Load the functions."""
        self.nulls = 0
        self.begun += 1
        self._loaded = [(function, load(function)) for function in functions]

    def call(self, index: int, columns: Sequence[list[Any]], rows: int) -> list[Any]:
        """Call a scalar or table function."""
        return called(*self._loaded[index], columns, rows)

    def whole(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Aggregate groups."""
        return [accumulated(*self._loaded[index], group).finish() for group in column]

    def merge(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Merge states and finish."""
        _, kind = self._loaded[index]
        found = []
        for states in column:
            merged = kind()
            for state in states or ():
                merged.merge(instance_of(kind, state))
            found.append(merged.finish())
        return found

    def close(self) -> None:
        """Nothing to do."""


def called(
    function: Function, target: Callable[..., Any], columns: Sequence[list[Any]], rows: int
) -> list[Any]:
    """The results of a batch."""
    arguments = list(zip(*columns, strict=True)) if columns else [()] * rows
    if function.vectorised:
        kept = [i for i, row in enumerate(arguments) if None not in row]
        results = target(*([column[i] for i in kept] for column in columns))
        answers = dict(zip(kept, results, strict=True))
        return [answers.get(i) for i in range(rows)]
    strict = not function.called_on_null
    return [None if strict and None in row else _result(function, target(*row)) for row in arguments]


def _result(function: Function, value: Any) -> Any:
    if function.kind != "table":
        return value
    names = [name for name, _ in function.rows]
    return [dict(zip(names, row, strict=True)) for row in value]


def accumulated(function: Function, kind: Callable[..., Any], group: list[Any] | None) -> Any:
    """The state of a group."""
    state = kind()
    for row in group or ():
        if function.called_on_null or None not in row.values():
            state.accumulate(*row.values())
    return state


def declare(connection: duckdb.DuckDBPyConnection, hooks: Iterable[Known]) -> None:
    """Let a DuckDB run functions natively, aggregates and their states as sql/hooks.py writes them."""
    for known in hooks:
        function = known.function
        target = load(function)
        for name, signature in signatures(function).items():
            body = _body(function, target, name.removeprefix(function.name))
            if body is not None:
                register(connection, name, signature, body)


def _body(function: Function, target: Callable[..., Any], form: str) -> Callable[..., Any] | None:
    types = [_type(type_) for _, type_ in function.parameters]
    rows = (
        ListOf(_type(f"STRUCT({', '.join(f'a{i} {type_}' for i, type_ in enumerate(types))})"))
        if types
        else None
    )

    def scalar(*columns: pa.ChunkedArray) -> Any:
        values = [to_python(column, type_) for column, type_ in zip(columns, types, strict=True)]
        found = called(function, target, values, len(values[0]) if values else 1)
        return to_arrow(found, _type(function.returns)) if values else found[0]

    def row(*columns: pa.ChunkedArray) -> pa.Array:
        return pa.StructArray.from_arrays(
            [column.combine_chunks() for column in columns], [f"a{i}" for i in range(len(columns))]
        )

    def whole(groups: pa.ChunkedArray) -> pa.Array:
        assert rows is not None
        states = [accumulated(function, target, group) for group in to_python(groups, rows)]
        return to_arrow([state.finish() for state in states], _type(function.returns))

    def state(groups: pa.ChunkedArray) -> pa.Array:
        assert rows is not None
        states = [accumulated(function, target, group) for group in to_python(groups, rows)]
        return to_arrow([state_of(state) for state in states], Plain("BLOB"))

    return {"": scalar, ROW: row, WHOLE: whole, STATE: state, MERGE: None}[form]


def _type(text: str) -> HookType:
    found = parse_hook_type(text)
    assert found is not None
    return found
