"""The server's side of the supervisor: what module/session_process.c does, in a few lines of Python."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gearsql.shard._mailbox import Mailbox

from .driver import SECONDS, Driver


def has_landlock() -> bool:
    """Whether this kernel guards files."""
    return bool(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0)


class Supervised:
    """A supervisor and its workers."""

    def __init__(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-m", "gearsql.shard.supervisor"],
            {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
            setsid=True,
        )
        theirs.close()
        self.last = 0

    def start(self, memory_mb: int = 1024) -> Driver:
        """Order a worker; `last` is its id."""
        self.last += 1
        file = Mailbox.file()
        mailbox = Mailbox.attach(file, False, True)
        self.order(b"START %d %d" % (self.last, memory_mb), file)
        os.close(file)
        return Driver(mailbox)

    def order(self, text: bytes, *files: int) -> None:
        """Send any datagram."""
        socket.send_fds(self.orders, [text], files)

    def children(self) -> list[int]:
        """The processes of the supervisor."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def end(self) -> None:
        """Close the pair and wait for the supervisor."""
        self.orders.close()
        until(lambda: os.waitpid(self.pid, os.WNOHANG)[0] == self.pid)
        self.pid = 0


@contextmanager
def supervisor() -> Iterator[Supervised]:
    """A supervisor, and its end."""
    found = Supervised()
    try:
        yield found
    finally:
        if found.pid:
            os.kill(found.pid, signal.SIGKILL)
            os.waitpid(found.pid, 0)
        found.orders.close()


def until(is_so: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def gone(pids: Sequence[int]) -> bool:
    """Whether none of these processes runs any more."""
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                return False
    return True
