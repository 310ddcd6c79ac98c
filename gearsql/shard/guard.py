"""A guard rail for sessions that are threads of a server: what would end or harm it is refused by name.

It is there against accidents: a library that forks, a hook that calls os.kill or writes a file. It is NO
security boundary. Whoever may define a function may run any code in the server's process, and can get around
all of this: what is to be held back belongs into ISOLATION process, which the kernel guards.

What CPython tells its audit hooks is refused there; what it does not tell is replaced in the modules of this
interpreter. Other interpreters of the process are not touched: see install().
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from gearsql.shard import _mailbox
from gearsql.shard.stages import current

# C that reaches around Python, or that refuses more than one interpreter, at the first or at the second one.
_MODULES = """
ctypes _ctypes cffi _cffi_backend faulthandler numpy pyarrow duckdb pandas torch _xxsubinterpreters
_interpreters _testcapi _testinternalcapi
"""
MODULES = frozenset(_MODULES.split())
# Deeper, what goes through C (list.sort: 5 KB a level) would overflow a session's stack of 16 MB in 3.11.
# Later versions count C by itself.
DEEPEST = 3_000 if sys.version_info < (3, 12) else 100_000

_AUDITED = """
os.chdir os.chflags os.chmod os.chown os.exec os.fork os.forkpty os.kill os.killpg os.link os.lockf os.mkdir
os.posix_spawn os.putenv os.remove os.removexattr os.rename os.rmdir os.setxattr os.spawn os.symlink os.system
os.truncate os.unsetenv os.utime signal.pthread_kill subprocess.Popen pty.spawn resource.setrlimit
resource.prlimit syslog.syslog syslog.openlog _thread.start_new_thread _thread.start_joinable_thread
"""
_EVENTS = frozenset(_AUDITED.split())
_FAMILIES = ("socket.", "fcntl.", "shutil.", "ctypes.", "ftplib.", "smtplib.", "telnetlib.")
_HARMLESS = frozenset(("socket.gethostname",))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_OS = """
_exit abort chroot closerange copy_file_range dup dup2 eventfd fchdir fchmod fchown fork forkpty ftruncate
initgroups kill killpg lchown login_tty memfd_create mkfifo mknod nice openpty pidfd_open pipe pipe2
posix_fallocate posix_spawn posix_spawnp pwrite pwritev sched_setaffinity sched_setparam sched_setscheduler
sendfile set_blocking set_inheritable setegid seteuid setgid setgroups setns setpgid setpgrp setpriority
setregid setresgid setresuid setreuid setsid setuid splice sync tcsetpgrp umask unshare wait wait3 wait4
waitid waitpid write writev
"""
_SIGNAL = """
alarm pause pidfd_send_signal pthread_kill pthread_sigmask raise_signal set_wakeup_fd setitimer siginterrupt
signal sigtimedwait sigwait sigwaitinfo
"""


class GuardError(PermissionError):
    """A hook wanted what a session in a server may not."""


def install() -> None:
    """Guard this interpreter, for good. Never in a main one: the server's own Python lives there."""
    sys.dont_write_bytecode = True
    import _thread
    import posix
    import signal
    import time

    _signal = import_module("_signal")

    _refuse((os, posix), "os", _OS)
    _refuse((signal, _signal), "signal", _SIGNAL)
    _refuse((_thread,), "_thread", "interrupt_main")
    _refuse((time,), "time", "tzset")
    _refuse((sys,), "sys", "setswitchinterval activate_stack_trampoline")
    # Modules say this as they are loaded. Nothing forks here.
    os.register_at_fork = posix.register_at_fork = lambda **_: None
    _bound_recursion()
    _keep_locale()
    _own_files((os, posix))
    sys.stdin = io.StringIO()
    sys.stdout = sys.stderr = _Lines()
    sys.addaudithook(_audit)


def _refused(what: str) -> NoReturn:
    raise GuardError(f"{what} is not for hooks, which run inside the server")


def _refuse(modules: tuple[ModuleType, ...], title: str, names: str) -> None:
    for name in names.split():
        for module in modules:
            if hasattr(module, name):
                setattr(module, name, _refusal(f"{title}.{name}"))


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        _refused(what)

    return refuse


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        _check_open(*arguments)
    elif event == "import":
        _check_import(arguments[0])
    elif event in _EVENTS or (event.startswith(_FAMILIES) and event not in _HARMLESS):
        _refused(event)
    elif event == "sqlite3.connect" and arguments[0] != ":memory:":
        _refused("a file of sqlite3")


def _check_open(path: Any, mode: str | None, flags: int) -> None:
    if isinstance(path, int):
        _refused("open() of a file descriptor")
    if (flags & _WRITES or (mode and set(mode) & set("wax+"))) and path != os.devnull:
        _refused("open() for writing")


def _check_import(name: str) -> None:
    if name.partition(".")[0] in MODULES:
        raise ImportError(
            f"{name} is not for sessions inside a server: CREATE FUNCTION … ISOLATION process", name=name
        )


def _bound_recursion() -> None:
    set_limit = sys.setrecursionlimit

    def setrecursionlimit(limit: int, /) -> None:
        """Set the limit, up to what the session's stack holds."""
        if limit > DEEPEST:
            _refused(f"sys.setrecursionlimit() beyond {DEEPEST}")
        set_limit(limit)

    sys.setrecursionlimit = setrecursionlimit


def _keep_locale() -> None:
    """The locale is the whole process's."""
    import _locale

    set_locale = _locale.setlocale

    def setlocale(category: int, locale: str | None = None, /) -> str:
        """Tell the locale."""
        if locale is not None:
            _refused("locale.setlocale()")
        return set_locale(category, None)

    _locale.setlocale = setlocale
    if "locale" in sys.modules:
        sys.modules["locale"]._setlocale = setlocale  # type: ignore[attr-defined]


def _own_files(modules: tuple[ModuleType, ...]) -> None:
    """Let os.read and os.close see what os.open gave, and nothing of the server's."""
    own: set[int] = set()
    real_open, real_close = os.open, os.close

    def open_(*arguments: Any, **options: Any) -> int:
        descriptor = real_open(*arguments, **options)
        own.add(descriptor)
        return descriptor

    def close(fd: int) -> None:
        if fd not in own:
            _refused("os.close() of the server's file")
        own.discard(fd)
        real_close(fd)

    def of_own(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: int, *arguments: Any, **options: Any) -> Any:
            if fd not in own:
                _refused(f"os.{name}() of the server's file")
            return real(fd, *arguments, **options)

        return call

    guarded: dict[str, Callable[..., Any]] = {"open": open_, "close": close}
    for name in ("read", "readv", "pread", "preadv", "lseek"):
        guarded[name] = of_own(name, getattr(os, name))
    for name, function in guarded.items():
        for module in modules:
            setattr(module, name, function)


class _Lines(io.TextIOBase):
    """What a hook prints are lines of the server's log; outside of a call they go nowhere."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[-10_000:]
        for line in lines:
            if line and current.stage is not None and current.stage.mailbox.held:
                current.stage.ask(_mailbox.LOG, line.encode(errors="backslashreplace"))
        return len(text)
