"""The supervisor of a server's worker processes: `python -I -m gearsql.shard.supervisor`, orders on file 3.

The server cannot fork (it is large) or reap (it takes the exit codes of all its children); this small
process does both. The orders are in module/session.h. It believes nothing that comes in, shares with a worker
only the first page of its mailbox, and writes `ended` there when the worker has died.
"""

from __future__ import annotations

import fcntl
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gearsql.shard import _mailbox, confine, worker
from gearsql.shard._mailbox import Mailbox

ORDERS = 3
ORDER_BYTES = 64
MAILBOX_BYTES = 4096 + (1 << 30)
MOST_ID = 1 << 64
MOST_MEGABYTES = 1 << 24
CANNOT_START = 72  # exit code, told for a worker that never was
STEP_MS = 500
F_GET_SEALS, F_SEAL_SHRINK = 1034, 2


@dataclass
class Worker:
    """A process, and the first page of what it serves; before an order there is none."""

    pid: int
    end: socket.socket | None = None
    mailbox: Mailbox | None = None
    killed: bool = False

    def kill(self) -> None:
        """End it. Until it is reaped its number is nobody else's."""
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)


class Supervisor:
    """Carries out the orders that come by a socket."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._parent = os.getppid()
        self._workers: dict[int, Worker] = {}
        self._ids: dict[int, int] = {}  # of the server, by pid
        self._spare: Worker | None = None
        self._out_of_memory = _kills_for_memory()

    def run(self) -> None:
        """Serve until the server is gone.

        The kernel could tell of that (PR_SET_PDEATHSIG), but it means the thread that spawned this process,
        which may be a worker's. The pair alone does not: what the server forks to save its data has it, too.
        """
        ended = _child_signals()
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(ended, select.POLLIN)
        self._guarded(self._prepare_spare)
        while os.getppid() == self._parent:
            ready = {file for file, _ in poll.poll(STEP_MS)}
            if ended in ready:
                os.read(ended, 4096)
            self._guarded(self._reap)
            if self._orders.fileno() in ready and not self._obey():
                break
        self._kill_all()

    def _obey(self) -> bool:
        """Carry out one order; False: there will be no more."""
        try:
            order, files, _, _ = socket.recv_fds(self._orders, ORDER_BYTES, 4, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not order and not files:
            return not _is_at_end(self._orders)
        self._guarded(lambda: self._order(order, files))
        for file in files:
            os.close(file)
        return True

    def _order(self, order: bytes, files: list[int]) -> None:
        match order.split(b" "):
            case [b"START", id_, megabytes] if len(files) == 1:
                self._start(_number(id_, MOST_ID), _number(megabytes, MOST_MEGABYTES), files[0])
            case [b"KILL", id_]:
                worker = self._workers.get(_number(id_, MOST_ID))
                if worker is not None:
                    worker.kill()
            case _:
                raise ValueError(f"not an order: {order!r}")

    def _start(self, id_: int, megabytes: int, file: int) -> None:
        if id_ in self._workers:
            raise ValueError(f"{id_} is taken")
        _check_mailbox(file)
        mailbox = Mailbox.attach(file, True, True)
        try:
            started = self._hand_over(b"%d" % megabytes, file)
        except BaseException:
            mailbox.end(_mailbox.ENDED_EXIT + CANNOT_START)
            raise
        started.mailbox = mailbox
        self._workers[id_] = started
        self._ids[started.pid] = id_
        self._prepare_spare()

    def _hand_over(self, order: bytes, file: int) -> Worker:
        """Give an order to the spare worker, or if that has died, to a new one."""
        for spare in (self._spare, None):
            spare = spare or self._fork()
            self._spare = None
            assert spare.end is not None
            try:
                socket.send_fds(spare.end, [order], [file])
                return spare
            except OSError:
                problem = sys.exc_info()[1]
            finally:
                spare.end.close()
        raise RuntimeError("no worker takes an order") from problem

    def _prepare_spare(self) -> None:
        if self._spare is None:
            self._spare = self._fork()

    def _fork(self) -> Worker:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid:
            theirs.close()
            return Worker(pid, mine)
        self._become_worker(theirs, parent)

    def _become_worker(self, end: socket.socket, parent: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A worker must not see the pages of others.
            for other in self._workers.values():
                if other.mailbox is not None:
                    other.mailbox.close()
            gc.enable()
            worker.wait(end, parent)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(CANNOT_START)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self._spare is not None and self._spare.pid == pid:
                # Not at once another: it may be that none can live.
                assert self._spare.end is not None
                self._spare.end.close()
                self._spare = None
                continue
            id_ = self._ids.pop(pid, None)
            if id_ is not None:
                self._tell(self._workers.pop(id_), status)

    def _tell(self, dead: Worker, status: int) -> None:
        """Write why it died to its mailbox, unless it has said so itself."""
        assert dead.mailbox is not None
        if not dead.mailbox.ended:
            dead.mailbox.end(self._why(dead, status))
        dead.mailbox.close()

    def _why(self, dead: Worker, status: int) -> int:
        if not os.WIFSIGNALED(status):
            return _mailbox.ENDED_EXIT + os.WEXITSTATUS(status)
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL and not dead.killed:
            before, self._out_of_memory = self._out_of_memory, _kills_for_memory()
            if self._out_of_memory > before:
                return _mailbox.ENDED_MEMORY
        return _mailbox.ENDED_SIGNAL + number

    def _kill_all(self) -> None:
        for each in self._workers.values():
            each.kill()
        if self._spare is not None:
            self._spare.kill()

    def _guarded(self, do: Callable[[], None]) -> None:
        """Do it, and go on whatever comes of it."""
        try:
            do()
        except Exception:
            traceback.print_exc()


def main() -> None:
    """Run the supervisor."""
    os.closerange(ORDERS + 1, confine.most_files())
    orders = socket.socket(fileno=ORDERS)
    orders.set_inheritable(False)
    # What is here now is shared with all workers, page by page, as long as nobody writes to it.
    gc.collect()
    gc.freeze()
    gc.disable()
    Supervisor(orders).run()


def _number(text: bytes, most: int) -> int:
    number = int(text) if text.isdigit() and len(text) <= 20 else most
    if number >= most:
        raise ValueError(f"not a number in the range: {text!r}")
    return number


def _check_mailbox(file: int) -> None:
    """A file that could shrink would end whoever reads it."""
    if os.fstat(file).st_size != MAILBOX_BYTES:
        raise ValueError("not a mailbox")
    if not fcntl.fcntl(file, F_GET_SEALS) & F_SEAL_SHRINK:
        raise ValueError("a mailbox that is not sealed")


def _child_signals() -> int:
    """Return a file that has something to read after a child's end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _is_at_end(orders: socket.socket) -> bool:
    """An order without a byte reads like the end."""
    poll = select.poll()
    poll.register(orders, 0)
    return bool(poll.poll(0))


def _kills_for_memory() -> int:
    """How often the kernel has killed for want of memory since it started."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
