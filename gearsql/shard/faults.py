"""An exception of a hook → what its user is told: ERROR's JSON.

kind        'raised' by the user's code; 'result': what it returned does not fit; 'argument': a value that
            Python does not have; 'definition': it cannot be compiled or imported; 'memory'; 'internal': ours
type, message, traceback    as Python tells them, the traceback from the user's first frame on
function, row, arguments    row is the batch's, null if the whole batch was one call; [name, repr] pairs
values      the arguments in the encoding of state.py, if short
hint, line, column          where there is one; both count from 1 in the function's text
"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps, loads
from linecache import cache as line_cache
from traceback import TracebackException
from types import TracebackType
from typing import Any

from gearsql.catalog.source import LINE_END
from gearsql.shard import state

SHOWN_ARGUMENT = 200
SHOWN_MESSAGE = 4_000
SHOWN_TRACEBACK = 16_000
SHOWN_VALUES = 8_000
MOST_BYTES = 40_000  # the server hands on no more than 48 KiB


class HookFault(Exception):
    """A failure that is already told; `told` is ERROR's JSON."""

    def __init__(self, **told: Any) -> None:
        super().__init__(told.get("message"))
        self.told = told


def file_name(function: str) -> str:
    """Return what tracebacks call the text of a function."""
    return f"<function {function}>"


def show_lines(function: str, text: str) -> None:
    """Let tracebacks show the function's lines."""
    lines = [line + "\n" for line in LINE_END.split(text)]
    line_cache[file_name(function)] = (len(text), None, lines, file_name(function))


def told(
    error: BaseException,
    kind: str,
    function: str,
    *,
    row: int | None = None,
    arguments: Sequence[tuple[str, object]] = (),
    hint: str | None = None,
) -> dict[str, Any]:
    """Tell of a failure. The reprs of the user's objects may fail in turn: that is told too."""
    if isinstance(error, HookFault):
        return error.told
    if isinstance(error, MemoryError):
        kind = "memory"
    found: dict[str, Any] = {
        "kind": kind,
        "type": type(error).__name__,
        "message": cut(_text(str, error), SHOWN_MESSAGE),
        "traceback": cut(_traceback(error, function), SHOWN_TRACEBACK),
        "function": function,
        "row": row,
        "arguments": [[name, cut(_text(repr, value), SHOWN_ARGUMENT)] for name, value in arguments],
    }
    if hint is not None:
        found["hint"] = hint
    if arguments and (values := _values([value for _, value in arguments])) is not None:
        found["values"] = values
    return found


def encode(found: dict[str, Any]) -> bytes:
    """Return the JSON, of no more than MOST_BYTES."""
    text = _written(found)
    for most in (SHOWN_TRACEBACK // 4, SHOWN_TRACEBACK // 16, 0):
        if len(text) <= MOST_BYTES:
            break
        found = {**found, "traceback": cut(found["traceback"], most), "message": cut(found["message"], most)}
        found["arguments"] = found["arguments"][: most // 64]
        found.pop("values", None)
        text = _written(found)
    return text


def _written(found: dict[str, Any]) -> bytes:
    # A lone surrogate of a message has no UTF-8.
    return dumps(found, ensure_ascii=False).encode(errors="replace")


def _values(values: list[object]) -> Any:
    """The arguments as state.py tells them; None if that is long, or they are no plain values."""
    try:
        text = state.encode(values)
    except BaseException:
        return None
    return loads(text) if len(text) <= SHOWN_VALUES else None


def cut(text: str, most: int) -> str:
    """Shorten from the middle: both ends tell something."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def _text(of: Any, value: object) -> str:
    try:
        return str(of(value))
    except BaseException as problem:
        return f"<{type(value).__name__}, which fails to show itself: {type(problem).__name__}>"


def _traceback(error: BaseException, function: str) -> str:
    try:
        lines = TracebackException(
            type(error), error, _users(error.__traceback__, function), compact=True
        ).format()
        return "".join(lines)
    except BaseException as problem:
        return f"<no traceback: {type(problem).__name__}>"


def _users(trace: TracebackType | None, function: str) -> TracebackType | None:
    """Leave out our own frames: those before the user's first."""
    while trace is not None and trace.tb_frame.f_code.co_filename != file_name(function):
        trace = trace.tb_next
    return trace
