"""The supervisor of worker processes, driven as a server drives it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearsql.shard import _mailbox
from gearsql.shard._mailbox import Mailbox

from .driver import Driver, scalar
from .processes import Supervised, gone, supervisor, until

ADD = scalar("add", "x BIGINT", "BIGINT", "return x + 1")
ENDED_BY = {
    "a segmentation fault": ("import ctypes; ctypes.string_at(0)", _mailbox.ENDED_SIGNAL + signal.SIGSEGV),
    "a signal": ("import os; os.kill(os.getpid(), 11)", _mailbox.ENDED_SIGNAL + signal.SIGSEGV),
    "abort": ("import os; os.abort()", _mailbox.ENDED_SIGNAL + signal.SIGABRT),
    "an exit": ("import os; os._exit(3)", _mailbox.ENDED_EXIT + 3),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Supervised]:
    with supervisor() as supervised:
        yield supervised


@pytest.fixture
def own() -> Iterator[Supervised]:
    with supervisor() as supervised:
        yield supervised


def works(worker: Driver) -> bool:
    worker.begin(ADD)
    found = worker.call([1, 2, None])
    worker.end()
    return found == [2, 3, None]


def pid(worker: Driver) -> int:
    until(lambda: worker.mailbox.pid != 0)
    return worker.mailbox.pid


def until_ended(worker: Driver) -> None:
    until(lambda: worker.mailbox.ended != 0)


def looping(worker: Driver) -> None:
    """Have the worker run what does not end; do not wait for it."""
    worker.begin(scalar("loop", "x BIGINT", "BIGINT", "while True:\n    pass\nreturn x"))
    column = _mailbox.Column("BIGINT")
    column.append(1)
    worker.mailbox.send(_mailbox.CALL, worker.request(0, 1), column)


def test_each_worker_is_a_process_of_its_own(shared: Supervised) -> None:
    workers = [shared.start() for _ in range(4)]
    assert all(works(worker) for worker in workers)
    assert len({pid(worker) for worker in workers}) == 4
    assert {pid(worker) for worker in workers} <= set(shared.children())


def test_a_worker_sees_no_memory_and_no_file_of_another(shared: Supervised) -> None:
    first, second = shared.start(), shared.start()
    assert works(first) and works(second)
    maps = Path(f"/proc/{pid(second)}/maps").read_text()
    assert maps.count("memfd:") == 1
    assert all(not os.readlink(f"/proc/{pid(second)}/fd/{fd}").startswith("socket")
               for fd in os.listdir(f"/proc/{pid(second)}/fd"))  # fmt: skip


@pytest.mark.parametrize(("source", "ended"), ENDED_BY.values(), ids=ENDED_BY)
def test_how_a_worker_ended_is_told(shared: Supervised, source: str, ended: int) -> None:
    dying, other = shared.start(), shared.start()
    dying.begin(scalar("dying", "x BIGINT", "BIGINT", f"{source}\nreturn x"))
    with pytest.raises(TimeoutError):
        dying.call([1])
    assert dying.mailbox.ended == ended
    assert works(other)


def test_a_loop_is_killed(shared: Supervised) -> None:
    worker = shared.start()
    id_ = shared.last
    looping(worker)
    assert worker.mailbox.wait(0.2) == 0 and not worker.mailbox.ended
    shared.order(b"KILL %d" % id_)
    began = time.monotonic()
    assert worker.mailbox.wait(10) == 0
    assert worker.mailbox.ended == _mailbox.ENDED_SIGNAL + signal.SIGKILL
    assert time.monotonic() - began < 5
    shared.order(b"KILL %d" % id_)
    assert works(shared.start())


def test_a_worker_that_is_asked_to_stop_stops(shared: Supervised) -> None:
    idle, busy = shared.start(), shared.start()
    assert works(idle)
    looping(busy)
    for worker in (idle, busy):
        worker.mailbox.stop()
        until_ended(worker)
        assert worker.mailbox.ended == _mailbox.ENDED_EXIT


def test_memory_is_what_the_order_says(shared: Supervised) -> None:
    source = "return len(bytearray(x << 20))"
    for megabytes in (64, 512):
        worker = shared.start(megabytes)
        worker.begin(scalar("takes", "x BIGINT", "BIGINT", source, on_error="fail"))
        assert worker.call([megabytes // 2]) == [megabytes // 2 << 20]
        with pytest.raises(Exception, match='"kind": "memory"'):
            worker.call([megabytes])
        assert works(worker)


GARBAGE = (
    *(b"", b"\0", b"\xff\xfe\xfd", b"HELLO", b"x" * 60_000),
    *(b"START", b"START 1", b"START x 1", b"START -1 1", b"START 1 1 1", b"START 900 99999999999"),
    *(b"START " + b"9" * 19 + b" 64", b"START 9999999999999999999999 64"),
    *(b"KILL", b"KILL -1", b"KILL 0", b"KILL 1e3", b"KILL " + b"9" * 50),
)


def test_garbage_is_passed_over(own: Supervised) -> None:
    worker = own.start()
    assert works(worker)
    for text in GARBAGE:
        own.order(text)
        for count in (1, 2, 9):
            with open(os.devnull) as null:
                own.order(text, *[null.fileno()] * count)
    assert works(worker) and works(own.start())
    files = os.listdir(f"/proc/{own.pid}/fd")
    assert len(files) < 12


def test_a_file_that_could_shrink_is_not_mapped(own: Supervised) -> None:
    for size in (0, 4096, 4096 + (1 << 30)):
        file = os.memfd_create("no mailbox", os.MFD_ALLOW_SEALING)
        os.ftruncate(file, size)
        own.order(b"START %d 64" % (100 + size), file)
        os.close(file)
    assert works(own.start())
    assert "no mailbox" not in Path(f"/proc/{own.pid}/maps").read_text()


def test_an_id_is_taken_once(own: Supervised) -> None:
    worker = own.start()
    file = Mailbox.file()
    other = Mailbox.attach(file, False, True)
    own.order(b"START 1 64", file)
    os.close(file)
    assert works(worker)
    assert other.pid == 0


def test_a_worker_that_waits_may_die(own: Supervised) -> None:
    for _ in range(5):
        until(lambda: len(own.children()) == 1)
        spare = own.children()
        os.kill(spare[0], signal.SIGKILL)
        until(lambda spare=spare: gone(spare))  # type: ignore[misc]
        assert works(own.start())
        own.order(b"KILL %d" % own.last)


def test_all_end_with_the_servers_end_of_the_pair(own: Supervised) -> None:
    idle, busy = own.start(), own.start()
    assert works(idle)
    looping(busy)
    children = own.children()
    own.end()
    until(lambda: gone(children))


def test_workers_end_with_the_supervisor(own: Supervised) -> None:
    worker = own.start()
    looping(worker)
    children = own.children()
    os.kill(own.pid, signal.SIGKILL)
    until(lambda: gone(children))


def test_nobody_is_left_unreaped(own: Supervised) -> None:
    for _ in range(8):
        worker = own.start()
        assert works(worker)
        own.order(b"KILL %d" % own.last)
        until_ended(worker)
    until(lambda: len(own.children()) == 1)
    mapped = Path(f"/proc/{own.pid}/maps").read_text()
    assert "memfd:" not in mapped


def test_the_supervisor_stays_small(own: Supervised) -> None:
    for _ in range(8):
        assert works(own.start())
    status = Path(f"/proc/{own.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 40_000
