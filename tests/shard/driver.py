"""The server's side of a mailbox: what the module does in C, here in a few lines of Python."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from mmap import MAP_SHARED, mmap
from typing import Any

from gearsql.catalog.function import Function
from gearsql.shard import _mailbox, session
from gearsql.shard._mailbox import Column, Mailbox, Rows

SECONDS = 20.0
_interpreters: Any = importlib.import_module(
    "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
)
_serials = itertools.count(1)


class HookFailed(Exception):
    """The session answered ERROR; `told` is its JSON."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(json.dumps(told, indent=1))
        self.told = told


class Driver:
    """Asks one session."""

    def __init__(self, mailbox: Mailbox, descriptor: int = -1) -> None:
        self.mailbox = mailbox
        self.descriptor = descriptor
        self.log: list[str] = []
        self.commands: list[list[bytes]] = []
        self.reply = b"n"
        self.functions: list[Function] = []
        self.stage = 0

    def begin(self, *functions: Function, user: str = "anna") -> None:
        """Begin a stage."""
        self.stage += 1
        self.functions = list(functions)
        told = {"query": "q1", "shard": "localhost:7001", "user": user}
        told["functions"] = [json.loads(function.definition()) for function in functions]
        self.ask(_mailbox.BEGIN, self.request(), json.dumps(told).encode())

    def end(self) -> int:
        """End it; the rows that ON ERROR NULL made NULL."""
        return struct.unpack("<Q", self.ask(_mailbox.END, self.request()))[0]

    def call(self, *columns: Sequence[Any], index: int = 0, rows: int | None = None) -> list[Any]:
        """Call a function for rows of Python values."""
        rows = len(columns[0]) if rows is None else rows
        sent = self._columns(index, columns)
        return self._result(index, self.ask(_mailbox.CALL, self.request(index, rows), *sent), rows)

    def update(self, handles: Sequence[int], *columns: Sequence[Any], index: int = 0) -> None:
        """Accumulate."""
        sent = self._columns(index, columns)
        self.ask(_mailbox.UPDATE, self.request(index, len(handles)), _handles(handles), *sent)

    def combine(self, sources: Sequence[int], targets: Sequence[int], index: int = 0) -> None:
        """Merge sources into targets."""
        self.ask(_mailbox.COMBINE, self.request(index, len(sources)), _handles(sources), _handles(targets))

    def states(self, handles: Sequence[int], index: int = 0) -> list[bytes]:
        """Return partial states that travel."""
        answer = self.ask(_mailbox.STATE, self.request(index, len(handles)), _handles(handles))
        return read("BLOB", answer, len(handles))

    def finish(self, handles: Sequence[int], index: int = 0) -> list[Any]:
        """Return the results of states."""
        answer = self.ask(_mailbox.FINISH, self.request(index, len(handles)), _handles(handles))
        return self._result(index, answer, len(handles))

    def merge(self, lists: Sequence[list[bytes] | None], index: int = 0) -> list[Any]:
        """Return the results of lists of travelled states."""
        answer = self.ask(_mailbox.MERGE, self.request(index, len(lists)), column("BLOB[]", lists))
        return self._result(index, answer, len(lists))

    def whole(self, groups: Sequence[Any], index: int = 0) -> list[Any]:
        """Return the results of whole groups."""
        types = [type_ for _, type_ in self.functions[index].parameters]
        members = ", ".join(f'"a{i}" {type_}' for i, type_ in enumerate(types))
        sent = column(f"STRUCT({members})[]", groups)
        answer = self.ask(_mailbox.WHOLE, self.request(index, len(groups)), sent)
        return self._result(index, answer, len(groups))

    def ask(self, kind: int, *parts: bytes | Column) -> bytes:
        """Exchange messages until an answer comes."""
        self.mailbox.send(kind, *parts)
        while True:
            answer = self.mailbox.wait(SECONDS)
            message = self.mailbox.message()
            match answer:
                case _mailbox.DONE | _mailbox.RESULT:
                    return message
                case _mailbox.ERROR:
                    raise HookFailed(json.loads(message))
                case _mailbox.LOG:
                    self.log.append(message.decode())
                    self.mailbox.send(_mailbox.ANSWER)
                case _mailbox.EXECUTE:
                    self.commands.append(_words(message))
                    self.mailbox.send(_mailbox.ANSWER, self.reply)
                case _:
                    raise TimeoutError(f"no answer: ended {self.mailbox.ended}")

    def request(self, index: int = 0, rows: int = 0) -> bytes:
        """Return what a message begins with."""
        return struct.pack("<QII", self.stage, index, rows)

    def _columns(self, index: int, columns: Sequence[Sequence[Any]]) -> list[Column]:
        types = [type_ for _, type_ in self.functions[index].parameters]
        return [column(type_, values) for type_, values in zip(types, columns, strict=True)]

    def _result(self, index: int, answer: bytes, rows: int) -> list[Any]:
        return read(self.functions[index].returns, answer, rows)


def column(type_: str, values: Sequence[Any]) -> Column:
    """Return a column of these values."""
    found = Column(type_)
    found.extend(values)
    return found


def read(type_: str, text: bytes, rows: int) -> list[Any]:
    """Return a column's values."""
    found = Rows((type_,))
    found.load(text, rows)
    return found.column(0)


@contextmanager
def thread_session() -> Iterator[Driver]:
    """A session in a thread of this interpreter, as ISOLATION main has it."""
    descriptor = Mailbox.file()
    server, mine = Mailbox.attach(descriptor, False, True), Mailbox.attach(descriptor)
    os.close(descriptor)
    thread = threading.Thread(target=session.serve, args=(mine,))
    thread.start()
    try:
        yield Driver(server)
    finally:
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


@contextmanager
def interpreter_session() -> Iterator[Driver]:
    """A session in a sub-interpreter, isolated as the server makes it, and a thread with a stack of 16 MB."""
    descriptor = Mailbox.file()
    server, memory = Mailbox.attach(descriptor, False, True), mmap(descriptor, 0, MAP_SHARED)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    interpreter = (
        _interpreters.create() if sys.version_info >= (3, 13) else _interpreters.create(isolated=True)
    )
    # As in the module's session_thread.c, below 3.13: contexts entered tell the interpreters' threads apart.
    apart = f"import contextvars; [contextvars.Context().run(int) for _ in range({1000 * next(_serials)})]"
    code = f"import sys; sys.path = {sys.path!r}\nfrom gearsql.shard import session\nsession.main({address})"
    problems: list[Any] = []
    before = threading.stack_size(16 << 20)
    thread = threading.Thread(target=lambda: problems.append(_run(interpreter, f"{apart}\n{code}")))
    thread.start()
    threading.stack_size(before)
    try:
        yield Driver(server, descriptor)
    finally:
        os.close(descriptor)
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive() and problems == [None]


@contextmanager
def stopped_later(driver: Driver) -> Iterator[None]:
    """Have another process stop the session soon: this one may be without a GIL."""
    code = (
        f"import time; from gearsql.shard._mailbox import Mailbox; box = Mailbox.attach({driver.descriptor})"
    )
    command = [sys.executable, "-c", f"{code}; print(flush=True); time.sleep(0.3); box.stop()"]
    with subprocess.Popen(command, pass_fds=[driver.descriptor], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield


def _run(interpreter: Any, code: str) -> object:
    try:
        return _interpreters.run_string(interpreter, code)
    except BaseException as error:
        return error
    finally:
        # In the thread that has imported the interpreter's threading: its end would wait for that one.
        _interpreters.destroy(interpreter)


def scalar(name: str, parameters: str, returns: str, source: str, **options: Any) -> Function:
    """Return a scalar function; parameters as 'a BIGINT; b DECIMAL(4,2)'."""
    return Function(name, "scalar", _parameters(parameters), returns, source, **options)


def table(name: str, parameters: str, returns: str, source: str, **options: Any) -> Function:
    """Return a table function; `returns` is the type of a row."""
    return Function(name, "table", _parameters(parameters), f"{returns}[]", source, **options)


def aggregate(name: str, parameters: str, returns: str, source: str, **options: Any) -> Function:
    """Return an aggregate."""
    return Function(name, "aggregate", _parameters(parameters), returns, source, **options)


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    words = [part.strip().partition(" ") for part in text.split(";") if part.strip()]
    return tuple((name, type_) for name, _, type_ in words)


def _handles(handles: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(handles)}Q", *handles)


def _words(command: bytes) -> list[bytes]:
    count, at, words = struct.unpack_from("<I", command)[0], 4, []
    for _ in range(count):
        size = struct.unpack_from("<I", command, at)[0]
        words.append(command[at + 4 : at + 4 + size])
        at += 4 + size
    assert at == len(command)
    return words
