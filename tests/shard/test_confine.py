"""A hook in a process can end that process, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from .driver import Driver, HookFailed, scalar
from .processes import has_landlock, supervisor

landlock = pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")

LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"


def by_libc(call: str) -> str:
    """A hook that makes a call past Python, and raises what errno says."""
    return (
        f"{LIBC}if libc.{call} == -1:\n    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))"
    )


REFUSED = {
    "a socket": "import socket; socket.socket()",
    "a Unix socket": "import socket; socket.socket(socket.AF_UNIX)",
    "a datagram by a pair": "import socket\n"
    "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '\\0name')",
    "a message by a pair": "import socket\nsocket.socketpair()[0].sendmsg([b'x'])",
    "a fork": "import os; os.fork()",
    "a subprocess": "import subprocess; subprocess.run(['true'])",
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "the end of its parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "the end of all": "import os, signal; os.kill(-1, signal.SIGKILL)",
    "the end of its group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "a signal by a thread's number": by_libc("syscall(234, os.getppid(), os.getppid(), 9)"),
    "a signal by a file's owner": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 8, os.getppid())",
    "a limit of its parent": "import os, resource\n"
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "another's processors": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "another's priority": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "another's memory": by_libc("process_vm_readv(os.getppid(), 0, 0, 0, 0, 0)"),
    "tracing": by_libc("ptrace(16, os.getppid(), 0, 0)"),
    "to outlive its parent": by_libc("prctl(1, 0)"),
    "a namespace": by_libc("unshare(0x10000000)"),
    "io_uring": by_libc("syscall(425, 1, 0)"),
    "bpf": by_libc("syscall(321, 0, 0, 0)"),
    "keys": by_libc("syscall(250, 0, 0)"),
    "shared memory of System V": by_libc("shmget(0, 4096, 0o1600)"),
    "a file in memory": "import os; os.memfd_create('x')",
    "a semaphore": "import multiprocessing; multiprocessing.Lock()",
    "a deletion": "import os; os.unlink('/tmp')",
    "a directory": "import os; os.mkdir('/tmp/gearsql-hook')",
    "another's environment": "import os; open(f'/proc/{os.getppid()}/environ')",
}
UNREAD = {
    "a file to write": "open('/tmp/gearsql-hook', 'w')",
    "accounts": "open('/etc/passwd')",
    "the root's list": "import os; os.listdir('/')",
    "a way around": "open('/proc/self/root/etc/passwd')",
    "another's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "who is connected": "open('/proc/self/net/tcp')",
}
ALLOWED = {
    "numpy": ("import numpy\nones = numpy.ones((300, 300))\nreturn int(ones.dot(ones).sum())", 27_000_000),
    "pyarrow": ("import pyarrow.compute as pc; return pc.sum([1, 2, 3]).as_py()", 6),
    "threads": ("import threading\nfound = []\nt = threading.Thread(target=found.append, args=[5])\n"
                "t.start()\nt.join()\nreturn found[0]", 5),
    "an event loop": ("import asyncio\nasync def five():\n    await asyncio.sleep(0)\n    return 5\n"
                      "return asyncio.run(five())", 5),
    "a callback from C": ("import ctypes\nreturn ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 5)()", 5),
    "hashes": ("import hashlib, ssl\nreturn hashlib.sha256(b'').digest()[0]", 227),
    "time zones": ("import datetime, zoneinfo\nzone = zoneinfo.ZoneInfo('Asia/Tokyo')\n"
                   "return datetime.datetime(2020, 1, 1, tzinfo=zone).utcoffset().seconds", 9 * 3600),
    "a database in memory": ("import sqlite3\nfound = sqlite3.connect(':memory:').execute('SELECT 5')\n"
                             "return found.fetchone()[0]", 5),
    "chance": ("import random, secrets\nreturn random.randint(5, 5)", 5),
    "its own signals": ("import os, signal\ncame = []\n"
                        "signal.signal(signal.SIGUSR1, lambda *_: came.append(5))\n"
                        "os.kill(os.getpid(), signal.SIGUSR1)\nreturn came[0]", 5),
    "files of Python": ("import os\nreturn min(len(open(os.__file__).read()), 5)", 5),
    "nothing to print to": ("import sys\nprint('x')\nprint('x', file=sys.stderr)\nreturn 5", 5),
}  # fmt: skip


@pytest.fixture(scope="module")
def worker() -> Iterator[Driver]:
    with supervisor() as supervised:
        yield supervised.start(2048)


def asked(worker: Driver, source: str) -> Any:
    worker.begin(scalar("asks", "x BIGINT", "BIGINT", f"{source}\nreturn None"))
    return worker.call([1])[0]


@pytest.mark.parametrize("source", REFUSED.values(), ids=REFUSED)
def test_what_reaches_out_of_the_process_is_refused(worker: Driver, source: str) -> None:
    with pytest.raises(HookFailed) as failed:
        asked(worker, source)
    assert failed.value.told["type"] == "PermissionError", failed.value


@landlock
@pytest.mark.parametrize("source", UNREAD.values(), ids=UNREAD)
def test_files_of_others_are_not_opened(worker: Driver, source: str) -> None:
    with pytest.raises(HookFailed) as failed:
        asked(worker, source)
    assert failed.value.told["type"] == "PermissionError", failed.value


@pytest.mark.parametrize(("source", "found"), ALLOWED.values(), ids=ALLOWED)
def test_libraries_work(worker: Driver, source: str, found: int) -> None:
    assert asked(worker, source) == found


def test_memory_is_bounded_and_its_end_is_no_end(worker: Driver) -> None:
    with pytest.raises(HookFailed) as failed:
        asked(worker, "x = bytearray(3 << 30)")
    assert failed.value.told["kind"] == "memory"
    assert asked(worker, "return len(bytearray(1 << 20))") == 1 << 20


def test_a_limit_is_not_raised(worker: Driver) -> None:
    with pytest.raises(HookFailed) as failed:
        asked(worker, "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))")
    assert failed.value.told["message"] == "not allowed to raise maximum limit"


def test_no_file_is_open() -> None:
    with supervisor() as supervised:
        assert asked(supervised.start(), "import os\nreturn len(os.listdir('/proc/self/fd')) - 1") == 3


def test_without_landlock_no_file_is_opened_for_writing(tmp_path: Any) -> None:
    (tmp_path / "there").write_text("here")
    script = """
import os, sys
from gearsql.shard import _mailbox
_mailbox.give_up_rights()
assert _mailbox.restrict_calls(False)
assert open(sys.argv[1] + '/there').read() == 'here'
for flags in os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE | os.O_RDWR:
    for name in 'there', 'new', '':
        try:
            os.open(f'{sys.argv[1]}/{name}', flags)
        except PermissionError:
            continue
        raise SystemExit(f'{name} was opened')
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
