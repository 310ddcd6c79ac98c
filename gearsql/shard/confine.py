"""What a worker process gives up before it runs a hook, so that a hook ends its own process at worst.

prepare()   while it waits for work: it dies with its parent, has no files, no rights, and reads only Python,
            its packages, and what they look up in the system
seal()      when its memory is mapped: limits, and no system calls that reach out of the process

Landlock (Linux 5.13 and later) guards files; where there is none, files are read by the rights of the user,
and opened for writing nowhere. System calls are filtered on x86_64 and aarch64.
"""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from gearsql.shard import _mailbox

MEGABYTE = 1 << 20
MOST_FILES = 64
MOST_TASKS = 8192  # of the user, as the kernel counts
PARENT_GONE = 70  # exit code
_ALWAYS = 1000

# What Python, the C library, and numerical libraries look up. Nothing of the user's, no configuration.
_SYSTEM = (
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    *(
        f"/proc/self/{name}"
        for name in ("auxv", "cgroup", "cmdline", "fd", "maps", "stat", "statm", "status", "task")
    ),
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)
_OF_PREFIX = ("lib", "lib32", "lib64", "share", "ssl/openssl.cnf", "pyvenv.cfg")
_WRITABLE = ("/dev/null",)
# One thread each: a batch comes after the other, and each thread of theirs takes address space at once.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve 1 GiB
    "JOBLIB_MULTIPROCESSING": "0",
}


def prepare(parent: int, keep: int) -> None:
    """Give up all but the file `keep`. `parent` is the process to die with."""
    _mailbox.die_with_parent()
    if os.getppid() != parent:
        os._exit(PARENT_GONE)
    _be_killed_first()
    os.environ.update(_ENVIRONMENT)
    os.chdir("/")
    sys.dont_write_bytecode = True
    _mailbox.give_up_rights()
    _guarded.by_landlock = _mailbox.restrict_files(readable(), _WRITABLE) > 0
    # Last: till then stderr is where a failure is told.
    _close_files(keep)


def seal(memory_mb: int) -> None:
    """Take at most so much more memory, and make no call that reaches out of the process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_mb * MEGABYTE)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, MOST_FILES)
    _limit(resource.RLIMIT_NPROC, MOST_TASKS)
    _mailbox.restrict_calls(_guarded.by_landlock)


def readable() -> tuple[str, ...]:
    """Return the paths below which a worker reads: this Python, its packages, this package."""
    # Not all of a prefix: /usr/local/etc is configuration, with passwords perhaps.
    prefixes = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    below = [f"{prefix}/{name}" for prefix in prefixes for name in _OF_PREFIX]
    paths = sysconfig.get_paths()
    packages = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = dict.fromkeys([*_SYSTEM, *below, *packages, *sys.path, str(Path(__file__).parents[1])])
    return tuple(path for path in found if path.startswith("/") and path.strip("/"))


def most_files() -> int:
    """Return a number above those of all open files."""
    return max(map(int, os.listdir("/proc/self/fd"))) + 1


class _Guarded:
    by_landlock = False


_guarded = _Guarded()


def _close_files(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in range(3):
        os.dup2(null, standard)
    os.closerange(3, keep)
    os.closerange(keep + 1, most_files())


def _be_killed_first() -> None:
    """When the machine runs out of memory, it is a worker that the kernel takes, and not the server."""
    with suppress(OSError):  # a container without a writable /proc
        Path("/proc/self/oom_score_adj").write_text(str(_ALWAYS))


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))
