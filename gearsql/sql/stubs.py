"""Users' functions as DuckDB knows them where nothing runs: stubs, which have a signature and no body."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from gearsql.catalog.function import Function, Known
from gearsql.sql.hooks import MERGE, ROW, STATE, WHOLE

NO_CONSTANT = "a user's function has no value while a query is bound"
Signature = tuple[tuple[str, ...], str, bool]
"""The parameters' types, the result's type, and whether it may differ from call to call."""


def signatures(function: Function) -> dict[str, Signature]:
    """What a function is to DuckDB, by name: itself, or the forms of an aggregate's calls (hooks.py)."""
    types = tuple(type_ for _, type_ in function.parameters)
    if function.kind != "aggregate":
        return {function.name: (types, function.returns, function.volatile)}
    row = f"STRUCT({', '.join(f'a{index} {type_}' for index, type_ in enumerate(types))})"
    forms: dict[str, tuple[tuple[str, ...], str]] = {
        ROW: (types, row),
        WHOLE: ((f"{row}[]",), function.returns),
        STATE: ((f"{row}[]",), "BLOB"),
        MERGE: (("BLOB[]",), function.returns),
    }
    return {function.name + form: (*signature, function.volatile) for form, signature in forms.items()}


def register(
    connection: duckdb.DuckDBPyConnection, name: str, signature: Signature, body: Callable[..., Any]
) -> None:
    """Declare a function, in the place of the one before, whatever interrupted that.

    `body` gets Arrow arrays, a batch at a time, or nothing if it has no parameters.
    """
    types, returns, volatile = signature
    with suppress(duckdb.Error):
        connection.remove_function(name)
    connection.create_function(
        name,
        _with_parameters(body, len(types)),
        list(types),
        returns,
        # Over no arguments DuckDB calls row by row, whatever the type, and wants a whole batch for Arrow.
        type=PythonUDFType.ARROW if types else PythonUDFType.NATIVE,
        null_handling=FunctionNullHandling.SPECIAL,
        side_effects=volatile,
    )


class Stubs:
    """The stubs of one connection: one at a time for a name, so a new version takes the old one's place."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._known: dict[str, Signature] = {}

    def require(self, hooks: Iterable[Known]) -> None:
        """Declare what is not declared yet, or otherwise."""
        for known in hooks:
            for name, signature in signatures(known.function).items():
                if self._known.get(name) != signature:
                    self._declare(name, signature)

    def _declare(self, name: str, signature: Signature) -> None:
        self._known.pop(name, None)
        register(self._connection, name, signature, _never)
        self._known[name] = signature


def _never(*_: Any) -> NoReturn:
    # DuckDB's binder calls functions over constants in the few places that want a constant.
    raise ValueError(NO_CONSTANT)


def _with_parameters(body: Callable[..., Any], count: int) -> Callable[..., Any]:
    """DuckDB counts the parameters; of *arguments it would take any number."""

    def function(*arguments: Any) -> Any:
        return body(*arguments)

    names = [inspect.Parameter(f"a{index}", inspect.Parameter.POSITIONAL_ONLY) for index in range(count)]
    function.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    return function
