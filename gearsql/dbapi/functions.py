"""create_function: a Python function or class, its annotations and options → a Function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from gearsql.catalog.function import Function, Isolation, OnHookError, Vectorised
from gearsql.catalog.names import fold
from gearsql.catalog.source import LINE_END, SourceError, read_source
from gearsql.dbapi.shipping import source_of
from gearsql.dbapi.signature import Parameters, Returns, Signature
from gearsql.errors import FunctionDefinitionError, InterfaceError, Position
from gearsql.sql.ddl_functions import default_isolation
from gearsql.sql.function_rules import faults


def function_of(
    subject: Callable[..., Any] | type,
    name: str | None = None,
    *,
    vectorised: Vectorised | Literal[True] | None = None,
    called_on_null: bool = False,
    volatile: bool = False,
    isolation: Isolation | None = None,
    on_error: OnHookError = "fail",
    requires: Sequence[str] = (),
    parameters: Parameters | None = None,
    returns: Returns | None = None,
) -> Function:
    """Return what a def or class defines; raises FunctionDefinitionError if it cannot be shipped or typed."""
    array: Vectorised | None = "lists" if vectorised is True else vectorised
    _require("vectorised", array, (None, *get_args(Vectorised)))
    _require("isolation", isolation, (None, *get_args(Isolation)))
    _require("on_error", on_error, get_args(OnHookError))
    source = source_of(subject)
    signature = Signature(subject, parameters, returns, array is not None)
    function = Function(
        fold(subject.__name__ if name is None else name),
        signature.kind,
        signature.parameters(),
        signature.returns(),
        source,
        vectorised=array,
        called_on_null=bool(called_on_null),
        volatile=bool(volatile),
        isolation=isolation or default_isolation(array),
        on_error=on_error,
        requires=(requires,) if isinstance(requires, str) else tuple(requires),
    )
    _check(function)
    return function


def located(error: FunctionDefinitionError, function: Function) -> FunctionDefinitionError:
    """Return what a server found in a function's text, at its line there."""
    if error.source_line is not None:
        line = LINE_END.split(function.source)[error.source_line - 1]
        indent = len(line) - len(line.lstrip())
        found = SourceError("", error.source_line, indent + 1, max(len(line), indent + 1) + 1)
        error.position, error.text = _position(function.source, found), function.source
    return error


def _position(text: str, error: SourceError) -> Position:
    starts = [0] + [end.end() for end in LINE_END.finditer(text)]
    start = starts[error.line - 1] + error.column - 1
    return Position(start, start + error.end_column - error.column)


def _check(function: Function) -> None:
    for fault in faults(function):
        raise fault.error(fault.message, hint=fault.hint)
    try:
        read_source(function)
    except SourceError as error:
        place = _position(function.source, error)
        raise FunctionDefinitionError(
            error.message, position=place, hint=error.hint, text=function.source
        ) from error


def _require(option: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        shown_choices = ", ".join(map(repr, choices))
        raise InterfaceError(f"{option} is one of {shown_choices}, not {value!r}")
