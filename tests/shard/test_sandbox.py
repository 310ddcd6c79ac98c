"""A client's sandbox: functions in a process that may do what it wants."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gearsql.errors import (
    CancelledError,
    DataError,
    FunctionDefinitionError,
    HookDiedError,
    HookError,
    HookTimeoutError,
)
from gearsql.shard import _mailbox
from gearsql.shard.sandbox import Sandbox
from gearsql.shard.state import state_of
from tests.plan.users import FUNCTIONS

from .driver import scalar, table
from .processes import gone, until

ADD = scalar("add", "x BIGINT", "BIGINT", "return x + 1")
LOOP = scalar("loop", "x BIGINT", "BIGINT", "while True:\n    pass\nreturn x")
PID = scalar("pid", "", "BIGINT", "import os\nreturn os.getpid()")
INVERSE = scalar("inverse", "x BIGINT", "DOUBLE", "return 1 / x", on_error="null")
[GEOMETRIC] = [function for function in FUNCTIONS if function.name == "geometric"]
VALUES: dict[str, Any] = {
    "BOOLEAN": True,
    "UBIGINT": 2**64 - 1,
    "HUGEINT": -(2**100),
    "DOUBLE": 1.5,
    "DECIMAL(38,2)": Decimal("-3.14"),
    "VARCHAR": "ü" * 1000,
    "BLOB": b"\0\xff",
    "DATE": date(1, 1, 1),
    "TIMESTAMP": datetime(2020, 1, 2, 3, 4, 5, 6),
    "TIMESTAMP WITH TIME ZONE": datetime(2020, 1, 2, tzinfo=UTC),
    "INTERVAL": timedelta(-1, 2, 3),
    "UUID": UUID(int=5),
    "VARCHAR[][]": [["a", None], None, []],
    'STRUCT("a" BIGINT, "b" STRUCT("c" VARCHAR)[])': {"a": 1, "b": [{"c": "x"}, {"c": None}]},
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox()
    yield sandbox
    sandbox.close()


def later(seconds: float, do: Callable[[], None]) -> None:
    threading.Timer(seconds, do).start()


def test_a_function_is_called_for_each_row(shared: Sandbox) -> None:
    shared.begin([PID, ADD], "q1")
    assert shared.call(1, [[1, None, 2**62]], 3) == [2, None, 2**62 + 1]
    [pid] = shared.call(0, [], 1)
    assert pid != os.getpid()
    shared.begin([PID], "q2")
    assert shared.call(0, [], 2) == [pid, pid]


@pytest.mark.parametrize("type_", VALUES)
def test_values_go_and_come(shared: Sandbox, type_: str) -> None:
    shared.begin([scalar("same", f"x {type_}", type_, "return x")], "q")
    assert shared.call(0, [[VALUES[type_], None]], 2) == [VALUES[type_], None]


def test_rows_of_a_table_function_are_dicts(shared: Sandbox) -> None:
    shared.begin([table("letters", "text VARCHAR", 'STRUCT("n" BIGINT, "c" VARCHAR)',
                        "yield from enumerate(text)")], "q")  # fmt: skip
    rows = [{"n": 0, "c": "a"}, {"n": 1, "c": "b"}]
    assert shared.call(0, [["ab", "", None]], 3) == [rows, [], None]


def test_groups_and_states(shared: Sandbox) -> None:
    shared.begin([GEOMETRIC], "q")
    whole = shared.whole(0, [[{"a0": 1.0}, {"a0": 3.0}], None], 2)
    assert whole == [pytest.approx(1.0397207708), None]
    states = []
    for value in (1.0, 3.0):
        state = _class()()
        state.accumulate(value)
        states.append(state_of(state))
    assert shared.merge(0, [states, None], 2) == whole


def _class() -> Any:
    names: dict[str, Any] = {}
    exec(GEOMETRIC.source, names)
    return names["geometric"]


def test_rows_that_became_null_are_counted_from_begin_on(shared: Sandbox) -> None:
    shared.begin([INVERSE], "q1")
    assert shared.nulls == 0
    assert shared.call(0, [[1, 0, 0]], 3) == [1.0, None, None]
    assert shared.nulls == 2
    assert shared.call(0, [[0]], 1) == [None]
    assert shared.nulls == shared.nulls == 3
    shared.begin([INVERSE], "q2")
    assert shared.nulls == 0


def test_what_a_function_raises_is_told_and_the_process_goes_on(shared: Sandbox) -> None:
    shared.begin([PID, scalar("fails", "x BIGINT", "BIGINT", "return {}[x]")], "q")
    [pid] = shared.call(0, [], 1)
    with pytest.raises(HookError, match=r"fails\(\) failed: KeyError: 7 \(in this client\)") as failed:
        shared.call(1, [[7]], 1)
    assert failed.value.arguments == (("x", "7"),)
    assert shared.call(0, [], 1) == [pid]


def test_a_function_that_cannot_be_loaded_is_told(shared: Sandbox) -> None:
    with pytest.raises(FunctionDefinitionError, match="no_such_package"):
        shared.begin([scalar("lacks", "x BIGINT", "BIGINT", "return x", requires=("no_such_package",))], "q")
    shared.begin([ADD], "q")
    assert shared.call(0, [[1]], 1) == [2]


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("import os; os._exit(3)", "exit 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_a_death_is_named_and_the_next_query_has_another_process(
    shared: Sandbox, source: str, how: str
) -> None:
    shared.begin([scalar("dying", "x BIGINT", "BIGINT", f"{source}\nreturn x"), ADD], "q1")
    with pytest.raises(HookDiedError, match=rf"dying\(\): {how}"):
        shared.call(0, [[1]], 1)
    with pytest.raises(HookDiedError, match=rf"dying\(\): {how}"):
        shared.call(1, [[1]], 1)
    shared.begin([ADD], "q2")
    assert shared.call(0, [[1]], 1) == [2]


def test_a_death_between_queries_is_no_failure(shared: Sandbox) -> None:
    shared.begin([PID], "q1")
    [pid] = shared.call(0, [], 1)
    os.kill(pid, signal.SIGKILL)
    shared.begin([PID], "q2")
    assert shared.call(0, [], 1) != [pid]


def test_memory_is_bounded() -> None:
    sandbox = Sandbox(memory_mb=128)
    sandbox.begin([scalar("takes", "x BIGINT", "BIGINT", "return len(bytearray(x << 20))")], "q")
    with pytest.raises(HookDiedError, match=r"takes\(\) took more memory than it may"):
        sandbox.call(0, [[10_000]], 1)
    assert sandbox.call(0, [[1]], 1) == [1 << 20]
    sandbox.close()


def test_a_batch_has_a_deadline() -> None:
    sandbox = Sandbox(seconds=0.5)
    sandbox.begin([PID, LOOP], "q1")
    [pid] = sandbox.call(0, [], 1)
    with pytest.raises(HookTimeoutError, match=r"loop\(\) did not return within 0.5 s"):
        sandbox.call(1, [[1]], 1)
    until(lambda: gone([pid]))
    sandbox.begin([ADD], "q2")
    assert sandbox.call(0, [[1]], 1) == [2]
    sandbox.close()


def test_close_ends_a_call_on_another_thread(sandbox: Sandbox) -> None:
    sandbox.begin([PID, LOOP, ADD], "q1")
    [pid] = sandbox.call(0, [], 1)
    later(0.3, sandbox.close)
    began = time.monotonic()
    with pytest.raises(CancelledError, match=r"loop\(\) was interrupted"):
        sandbox.call(1, [[1]], 1)
    assert time.monotonic() - began < 5
    with pytest.raises(CancelledError):
        sandbox.call(2, [[1]], 1)
    until(lambda: gone([pid]))
    sandbox.begin([ADD], "q2")
    assert sandbox.call(0, [[1]], 1) == [2]


def test_close_comes_from_a_signals_handler(sandbox: Sandbox) -> None:
    sandbox.begin([LOOP], "q")
    before = signal.signal(signal.SIGUSR1, lambda *_: sandbox.close())
    later(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(CancelledError):
            sandbox.call(0, [[1]], 1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_thread_that_began_may_end(sandbox: Sandbox) -> None:
    thread = threading.Thread(target=sandbox.begin, args=([ADD], "q"))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert sandbox.call(0, [[1]], 1) == [2]


def test_a_process_ends_with_its_sandbox() -> None:
    sandbox = Sandbox()
    sandbox.begin([PID], "q")
    [pid] = sandbox.call(0, [], 1)
    del sandbox
    until(lambda: gone([pid]))


CLIENT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from gearsql.shard.sandbox import Sandbox
from tests.shard.test_sandbox import LOOP, PID
sandbox = Sandbox()
sandbox.begin([PID, LOOP], "q")
print(sandbox.call(0, [], 1)[0], flush=True)
threading.Thread(target=sandbox.call, args=(1, [[1]], 1), daemon=True).start()
sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_ends_with_its_client(killed: bool) -> None:
    command = [sys.executable, "-c", CLIENT, os.getcwd()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdin is not None
        pid = int(client.stdout.readline())
        assert not gone([pid])
        if killed:
            client.kill()
        client.stdin.close()
        until(lambda: gone([pid]))


FORGES = """
import ctypes, struct, time
[start] = [int(line.split('-')[0], 16) for line in open('/proc/self/maps') if 'memfd:' in line]
kind, size, turn = struct.pack('<I', kind), struct.pack('<Q', size), bytes(4)
for offset, value in (4096, payload), (12, kind), (16, size), (0, turn):
    ctypes.memmove(start + offset, value, len(value))
time.sleep(60)
return None
"""
ONE_TEXT = struct.pack("<QQQ", 1, 0, 3) + b"abc\0\0\0\0\0"


@pytest.mark.parametrize(
    ("kind", "size", "payload"),
    [
        (77, 0, b""),
        (_mailbox.BEGIN, 0, b""),
        (_mailbox.RESULT, 2**63 - 1, ONE_TEXT),
        (_mailbox.RESULT, 0, b""),
        (_mailbox.RESULT, 8, ONE_TEXT),
        (_mailbox.RESULT, 24, struct.pack("<QQQ", 1, 0, 2**40)),
        (_mailbox.RESULT, 24, struct.pack("<QQQ", 1, 2**64 - 8, 8)),
        (_mailbox.RESULT, 32, struct.pack("<QQQ", 1, 0, 3) + b"\xff" * 8),
        (_mailbox.ERROR, 0, b""),
        (_mailbox.ERROR, 2**40, b"{}"),
        (_mailbox.ERROR, 4, b"null"),
        (_mailbox.ERROR, 30_000, b"[" * 30_000),
    ],
)
def test_what_a_process_answers_is_not_believed(
    shared: Sandbox, kind: int, size: int, payload: bytes
) -> None:
    forges = scalar("forges", "kind BIGINT; size BIGINT; payload BLOB", "VARCHAR", FORGES)
    shared.begin([forges], "q1")
    with pytest.raises(HookDiedError, match=r"forges\(\): its process sent no answer of ours"):
        shared.call(0, [[kind], [size], [payload]], 1)
    shared.begin([forges, ADD], "q2")
    assert shared.call(1, [[1]], 1) == [2]
    assert shared.call(0, [[_mailbox.RESULT], [32], [ONE_TEXT]], 1) == ["abc"]
    shared.close()


def test_values_that_do_not_fit_are_a_named_error(shared: Sandbox) -> None:
    shared.begin([ADD], "q")
    with pytest.raises(DataError, match=r"add\(\) cannot be given this as BIGINT"):
        shared.call(0, [["x"]], 1)
    assert shared.call(0, [[1]], 1) == [2]
