"""A client's own worker process: where users' functions run that a query cannot leave to the servers.

It is confined as a server's is, and believed as little: what comes back is checked, and a process that died,
hangs, or answers nonsense is ended with a named error. The next begin() starts another one.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gearsql.catalog.function import Function
from gearsql.catalog.hook_errors import hook_error
from gearsql.catalog.hook_types import quoted
from gearsql.errors import (
    CancelledError,
    DataError,
    Error,
    HookDiedError,
    HookTimeoutError,
    NotSupportedError,
    ResourceLimitError,
)

try:
    from gearsql.shard import _mailbox
    from gearsql.shard._mailbox import Column, Mailbox, Rows
except ImportError as problem:  # it is built where there are memfd and futex
    raise NotSupportedError(
        "this query calls a function in the client, which needs Linux",
        hint="aggregates and filters by functions run on the servers where the query lets them",
    ) from problem

SECONDS = 30.0
START_SECONDS = 30.0  # and a batch's, to start a process and import what functions import
END_SECONDS = 2.0
MEGABYTES = 1024
COMPLAINT_BYTES = 4000  # of a worker that does not get as far as to confine itself
MOST_TOLD = 1 << 20
_HERE = "(in this client)"
_START = """
import sys
parent = sys.argv.pop()
try:
    import gearsql
except ImportError:
    sys.path.append(parent)
from gearsql.shard.worker import start
start()
"""
_ENVIRONMENT = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_REQUEST = struct.Struct("<QII")
_NULLS = struct.Struct("<Q")
_log = logging.getLogger("gearsql.hook")


class Sandbox:
    """Runs functions in a process of its own. Any thread may call, one at a time; close() comes whenever."""

    def __init__(self, seconds: float = SECONDS, memory_mb: int = MEGABYTES) -> None:
        """`seconds` is the time for a batch, `memory_mb` what the functions may take."""
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._process: _Process | None = None
        self._functions: list[Function] = []
        self._query = ""
        self._stage = 0
        self._is_open = False
        self._is_closed = False
        self._nulls = 0
        self._failure: Error | None = None

    def begin(self, functions: Sequence[Function], query: str) -> None:
        """Start a query: later calls name a function by its place in `functions`."""
        self._is_closed = False
        if self._process is not None and (not self._process.lives or not self._end()):
            self.close()
            self._is_closed = False
        self._failure = None
        self._is_open = False
        self._functions, self._query, self._nulls = list(functions), query, 0
        self._open()

    @property
    def nulls(self) -> int:
        """How many rows failed and became NULL since begin(), as ON ERROR NULL says."""
        self._end()
        return self._nulls

    def call(self, index: int, columns: Sequence[list[Any]], rows: int) -> list[Any]:
        """Call a scalar or table function for each row."""
        types = [type_ for _, type_ in self._functions[index].parameters]
        return self._result(_mailbox.CALL, index, list(zip(types, columns, strict=True)), rows)

    def whole(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Aggregate each list of rows, which are dicts of a0, a1, …; None is a list without rows."""
        types = [type_ for _, type_ in self._functions[index].parameters]
        members = ", ".join(f"{quoted(f'a{place}')} {type_}" for place, type_ in enumerate(types))
        return self._result(_mailbox.WHOLE, index, [(f"STRUCT({members})[]", column)], rows)

    def merge(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Merge each list of partial states and finish; None is a list without states."""
        return self._result(_mailbox.MERGE, index, [("BLOB[]", column)], rows)

    def close(self) -> None:
        """End the process; a call that waits for it ends with CancelledError. Signal handlers may call it."""
        self._is_closed = True
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    # ---- messages

    def _open(self) -> None:
        if self._process is None:
            process = _Process(self._memory_mb)
            weakref.finalize(self, process.kill)
            self._process = process
            if self._is_closed:
                self.close()
        self._stage += 1
        told = {"query": self._query, "shard": "", "user": ""}
        definitions = [json.loads(function.definition()) for function in self._functions]
        text = json.dumps({**told, "functions": definitions}).encode()
        names = ", ".join(function.name for function in self._functions)
        begin = _REQUEST.pack(self._stage, 0, 0)
        self._ask(_mailbox.BEGIN, names, begin, text, seconds=START_SECONDS + self._seconds)
        self._is_open = True

    def _end(self) -> bool:
        """End the query; False: there is no one to tell."""
        if not self._is_open:
            return True
        self._is_open = False
        try:
            process = self._ask(_mailbox.END, "end", _REQUEST.pack(self._stage, 0, 0), seconds=END_SECONDS)
            self._nulls += _NULLS.unpack(process.mailbox.message())[0]
            process.mailbox.shed()
        except (Error, ValueError, struct.error):
            return False
        return True

    def _result(
        self, kind: int, index: int, columns: Sequence[tuple[str, list[Any]]], rows: int
    ) -> list[Any]:
        function = self._functions[index]
        if not self._is_open and self._failure is None and not self._is_closed:
            self._open()
        sent = [_column(function, type_, values) for type_, values in columns]
        process = self._ask(kind, function.name, _REQUEST.pack(self._stage, index, rows), *sent)
        found = Rows((function.returns,))
        try:
            found.load(process.mailbox, rows)
            return found.column(0)
        except Exception as problem:
            raise self._fail(process, _nonsense(function.name)) from problem

    def _ask(self, kind: int, name: str, *parts: bytes | Column, seconds: float = 0) -> _Process:
        """Exchange messages until there is an answer, which lies in the mailbox then."""
        seconds = seconds or self._seconds
        if self._failure is not None:
            raise self._failure
        process = self._process
        if process is None:
            raise CancelledError(f"{name}: the query was interrupted")
        mailbox, deadline = process.mailbox, time.monotonic() + seconds
        try:
            mailbox.send(kind, *parts)
        except OverflowError as problem:
            raise ResourceLimitError(f"{name}(): {problem} {_HERE}") from problem
        while True:
            answer = mailbox.wait(max(deadline - time.monotonic(), 0))
            match answer:
                case _mailbox.DONE | _mailbox.RESULT:
                    return process
                case _mailbox.LOG:
                    _log.info("%s", _message(mailbox)[:MOST_TOLD].decode(errors="replace"))
                    mailbox.send(_mailbox.ANSWER)
                case _mailbox.EXECUTE:
                    mailbox.send(_mailbox.ANSWER, _refusal())
                case _mailbox.ERROR:
                    raise self._told(process, name)
                case 0:
                    raise self._fail(process, self._lost(process, name, seconds))
                case _:
                    raise self._fail(process, _nonsense(name))

    def _told(self, process: _Process, name: str) -> Error:
        """Return the error that the process tells of."""
        text = _message(process.mailbox)
        try:
            told = json.loads(text[:MOST_TOLD])
            error = hook_error({**told, "function": told.get("function") or name})
        except Exception:
            return self._fail(process, _nonsense(name))
        if told.get("kind") == "memory":
            error.hint = f"a function has {self._memory_mb} MB in the client"
        return error

    def _lost(self, process: _Process, name: str, seconds: float) -> Error:
        """Return why no answer came."""
        if self._is_closed:
            return CancelledError(f"{name}() was interrupted {_HERE}")
        if process.lives:
            return HookTimeoutError(f"{name}() did not return within {seconds:g} s {_HERE}")
        return HookDiedError(f"{name}(): {process.end()} {_HERE}", hint=process.complaint or None)

    def _fail(self, process: _Process, error: Error) -> Error:
        """End the process. Until the next query all calls fail so."""
        process.kill()
        self._failure = error
        self._process = None
        self._is_open = False
        return error


class _Process:
    """A worker and its mailbox.

    The thread that started it waits for it: the kernel ends the worker when that thread ends.
    """

    def __init__(self, memory_mb: int) -> None:
        self.complaint = ""
        self._owner = os.getpid()
        self._child: subprocess.Popen[bytes] | None = None
        self._problem: BaseException | None = None
        self._started = threading.Event()
        file = Mailbox.file()
        try:
            self.mailbox = Mailbox.attach(file, False, True)
            arguments = (file, memory_mb)
            threading.Thread(target=self._live, args=arguments, name="gearsql sandbox", daemon=True).start()
            self._started.wait()
        finally:
            os.close(file)
        if self._problem is not None:
            raise HookDiedError(f"no process for functions: {self._problem} {_HERE}") from self._problem

    @property
    def lives(self) -> bool:
        """Whether it may still answer, and answers to this process."""
        return self._owner == os.getpid() and not self.mailbox.ended

    def kill(self) -> None:
        """End it, without waiting."""
        if self._child is not None and self._owner == os.getpid():
            with suppress(OSError):
                self._child.kill()

    def end(self) -> str:
        """Return what it died of."""
        ended = self.mailbox.ended
        if ended == _mailbox.ENDED_MEMORY:
            return "out of memory"
        if ended >= _mailbox.ENDED_EXIT:
            return f"exit {ended - _mailbox.ENDED_EXIT}"
        try:
            return f"killed by {signal.Signals(ended - _mailbox.ENDED_SIGNAL).name}"
        except ValueError:
            return "its process ended"

    def _live(self, file: int, memory_mb: int) -> None:
        """Runs on: a thread of its own, as long as the worker."""
        command = [sys.executable, "-I", "-c", _START, str(file), str(os.getpid()), str(memory_mb)]
        try:
            self._child = subprocess.Popen(
                [*command, str(Path(__file__).parents[2])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(file,),
                cwd="/",
                env={name: value for name, value in os.environ.items() if _is_handed_on(name)},
                start_new_session=True,
            )
        except BaseException as problem:
            self._problem = problem
            return
        finally:
            self._started.set()
        assert self._child.stderr is not None
        # Its end comes when the worker has confined itself, or dies before.
        with self._child.stderr as stderr:
            self.complaint = stderr.read(COMPLAINT_BYTES).decode(errors="replace").strip()
        status = self._child.wait()
        if not self.mailbox.ended:
            self.mailbox.end(_mailbox.ENDED_SIGNAL - status if status < 0 else _mailbox.ENDED_EXIT + status)


def _column(function: Function, type_: str, values: list[Any]) -> Column:
    column = Column(type_)
    try:
        column.extend(values)
    except (TypeError, ValueError, OverflowError) as problem:
        raise DataError(f"{function.name}() cannot be given this as {type_}: {problem}") from problem
    return column


def _message(mailbox: Mailbox) -> bytes:
    """Return what the process tells; nothing, if it gives a size beyond all bounds."""
    with suppress(ValueError):
        return mailbox.message()
    return b""


def _refusal() -> bytes:
    text = b"ERR hook.execute() answers on servers, and this function was called in the client"
    return b"e" + struct.pack("<I", len(text)) + text


def _nonsense(name: str) -> Error:
    return HookDiedError(f"{name}(): its process sent no answer of ours {_HERE}")


def _is_handed_on(variable: str) -> bool:
    """No secret of the client's environment reaches a function."""
    return variable in _ENVIRONMENT or variable.startswith("LC_")
