"""A worker process: it confines itself, then serves one mailbox until its end.

The supervisor forks those of servers; a client starts its own (sandbox.py) by start().
"""

from __future__ import annotations

import os
import socket
import sys

from gearsql.shard import _mailbox, confine, session
from gearsql.shard._mailbox import Mailbox

# Exit codes.
NO_ORDER = 71  # the supervisor sent none
NOT_CONFINED = 73
BROKEN = 74  # what came was no message


def start() -> None:
    """Serve the mailbox whose file, parent and memory are this program's arguments."""
    file, parent, memory_mb = map(int, sys.argv[1:])
    confine.prepare(parent, file)
    serve(file, parent, memory_mb)


def wait(end: socket.socket, parent: int) -> None:
    """Confine this process and wait for '<memory_mb>' with a mailbox's file, then serve it."""
    confine.prepare(parent, end.fileno())
    order, files, _, _ = socket.recv_fds(end, 64, 1)
    if not order or not files:
        os._exit(NO_ORDER)
    end.close()
    serve(files[0], parent, int(order))


def serve(file: int, parent: int, memory_mb: int) -> None:
    """Serve a mailbox and end this process."""
    mailbox = Mailbox.attach(file)
    os.close(file)
    mailbox.pid = os.getpid()
    try:
        confine.seal(memory_mb)
    except BaseException:
        os._exit(NOT_CONFINED)
    try:
        # Its thread is to be as confined as this one.
        mailbox.watch(parent)
        session.serve(mailbox)
    except MemoryError:
        # Not even the answer that says so found room.
        mailbox.end(_mailbox.ENDED_MEMORY)
        os._exit(BROKEN)
    except BaseException:
        os._exit(BROKEN)
    # Whatever the hooks left behind (threads, exit functions) ends here.
    os._exit(0)


if __name__ == "__main__":
    start()
