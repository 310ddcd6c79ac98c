"""ISOLATION process, on shards and in the client's merge: crashes, memory, and rights that it has not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import HookDiedError, HookError, HookTimeoutError
from tests.faults.scene import stages, wait_until
from tests.hooks.conftest import drop_all
from tests.hooks.scene import ROWS, define, fill, value
from tests.servers import SERVERS, binary

TIMEOUT_MS = 1500
MEMORY_MB = 64
OPTIONS = {"HOOK_TIMEOUT_MS": TIMEOUT_MS, "HOOK_MEMORY": MEMORY_MB}

DEATHS = {
    "segfault": ("import ctypes\nctypes.string_at(0)", HookDiedError, "killed by SIGSEGV"),
    "abort": ("import os\nos.abort()", HookDiedError, "killed by SIGABRT"),
    "exit": ("import os\nos._exit(3)", HookDiedError, "exit 3"),
    "kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", HookDiedError, "killed by SIGKILL"),
    "loop in c": ("sum(range(10**12))", HookTimeoutError, "did not answer"),
    "regex": ("import re\nre.search('(a*)*b', 'a' * 60)", HookTimeoutError, "did not answer"),
    "loop": ("while True: pass", HookTimeoutError, "did not answer"),
    "10 GB": ("held = bytearray(10 << 30)", HookDiedError, "memory"),
    "10 GB bit by bit": ("held = []\nwhile True: held.append(bytes(1 << 20))", HookDiedError, "memory"),
    "10 GB of small things": ("held = {}\nwhile True: held[len(held)] = [1]", HookDiedError, "memory"),
    "10 GB of a text": ("text = 'x' * (1 << 20)\nwhile True: text += text", HookDiedError, "memory"),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """Three shards whose processes have little memory and little time."""
    with Cluster(3, module_options=OPTIONS) as cluster:
        fill(cluster)
        yield cluster


@pytest.fixture
def beside(guarded: Cluster) -> Iterator[Callable[[], int]]:
    """Another session's process lives through the test: it counts its calls."""
    with gearsql.connect(guarded.url, session="beside") as connection:
        define(
            connection,
            "ups(n BIGINT) RETURNS BIGINT",
            "import sys\nsys.ups = getattr(sys, 'ups', 0) + 1\nreturn sys.ups",
            "ISOLATION process",
        )

        def ups() -> int:
            return int(value(connection, "SELECT max(ups(n)) FROM t"))

        first = ups()
        yield ups
        assert ups() > first
        drop_all(connection)


@pytest.mark.parametrize("death", DEATHS)
def test_a_hook_that_dies_ends_its_query_only(
    guarded: Cluster, beside: Callable[[], int], death: str
) -> None:
    source, error, said = DEATHS[death]
    with gearsql.connect(guarded.url) as connection:
        define(connection, "dying(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n", "ISOLATION process")
        begun = time.monotonic()
        with pytest.raises(error, match=said) as raised:
            connection.execute("SELECT dying(n) FROM t WHERE n = 7")
        assert "dying()" in raised.value.message and raised.value.shard is not None
        assert time.monotonic() - begun < 6
        wait_until(lambda: stages(guarded) == 0, "a stage was not freed")
        define(connection, "dying(n BIGINT) RETURNS BIGINT", "return n", "ISOLATION process")
        assert value(connection, "SELECT sum(dying(n)) FROM t") == sum(range(ROWS))


@pytest.mark.parametrize("death", [death for death in DEATHS if DEATHS[death][1] is HookDiedError])
def test_a_hook_that_dies_in_the_merge_ends_its_query_only(trio: Cluster, death: str) -> None:
    source, error, said = DEATHS[death]
    with gearsql.connect(trio.url) as connection:
        define(connection, "dying(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n", "ISOLATION process")
        with pytest.raises(error, match=said):
            connection.execute("SELECT dying(max(n)) FROM t")
        define(connection, "dying(n BIGINT) RETURNS BIGINT", "return n", "ISOLATION process")
        assert value(connection, "SELECT dying(max(n)) FROM t") == ROWS - 1
        drop_all(connection)


# ---- rights --------------------------------------------------------------------------------------------

TRY = """
def tries(n):
    try:
        found = attempt()
    except BaseException as error:
        return f'{type(error).__name__}: {error}'
    return f'done: {found!r:.300}'
"""
ATTEMPTS = {
    "write a file": "return open('{home}/written', 'w').write('x')",
    "write to /tmp": "import tempfile\n    return tempfile.TemporaryFile().write(b'x')",
    "append to the log": "return open('{home}/server.log', 'a').write('x')",
    "remove a file": "import os\n    return os.remove('{home}/kept')",
    "rename a file": "import os\n    return os.rename('{home}/kept', '{home}/other')",
    "truncate a file": "import os\n    return os.truncate('{home}/kept', 0)",
    "make a directory": "import os\n    return os.mkdir('{home}/made')",
    "link": "import os\n    return os.symlink('/etc/passwd', '{home}/link')",
    "connect": "import socket\n    return socket.create_connection(('127.0.0.1', {port}), 2)",
    "connect by ipv6": "import socket\n    return socket.socket(socket.AF_INET6).connect(('::1', {port}))",
    "send a datagram": "import socket\n    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    ".sendto(b'x', ('127.0.0.1', {port}))",
    "listen": "import socket\n    return socket.create_server(('127.0.0.1', 0))",
    "unix socket": "import socket\n    return socket.socket(socket.AF_UNIX).connect('{home}/socket')",
    "subprocess": "import subprocess\n    return subprocess.run(['/bin/true'], check=True)",
    "system": "import os\n    return 1 / (os.system('true') != 0) and 1 / 0",
    "fork": "import os\n    return os.fork() or os._exit(0)",
    "exec": "import os\n    return os.execv('/bin/true', ['true'])",
    "kill the server": "import os\n    return os.kill(os.getppid(), 0), os.kill({pid}, 9)",
    "trace": "import ctypes\n    return 1 / (ctypes.CDLL(None).ptrace(16, {pid}, 0, 0) + 1)",
    "more memory": "import resource\n    return resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "set user": "import os\n    return os.setuid(12345)",
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "server.log").write_text("log")
    tmp_path.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listening:
        # Its path is short enough only relative to where it is.
        before = os.getcwd()
        os.chdir(tmp_path)
        try:
            listening.bind("socket")
        finally:
            os.chdir(before)
        listening.listen()
        yield tmp_path


@pytest.mark.parametrize("where", ["shard", "merge"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_process_has_no_rights(lone: Cluster, trio: Cluster, home: Path, attempt: str, where: str) -> None:
    server, sql = {
        "shard": (lone, "SELECT tries(n) FROM t WHERE n = 7"),
        "merge": (trio, "SELECT tries(max(n)) FROM t"),
    }[where]
    body = ATTEMPTS[attempt].format(home=home, port=server.ports[0], pid=server.pids[0])
    with gearsql.connect(server.url) as connection:
        source = f"def attempt():\n    {body}\n{TRY}"
        define(connection, "tries(n BIGINT) RETURNS VARCHAR", source, "ISOLATION process")
        try:
            said = value(connection, sql)
        except (HookDiedError, HookError) as error:
            said = str(error)
        assert not said.startswith("done"), said
        drop_all(connection)
    assert sorted(path.name for path in home.iterdir()) == ["kept", "server.log", "socket"]
    assert (home / "kept").read_text() == "kept" and (home / "server.log").read_text() == "log"
    assert server.pids[0] is not None


def test_a_process_may_read_what_its_python_needs(connection: Connection) -> None:
    define(
        connection,
        "imports(name VARCHAR) RETURNS VARCHAR",
        "import importlib\nreturn importlib.import_module(name).__name__",
        "ISOLATION process",
    )
    for name in ("numpy", "pyarrow", "sqlite3", "zoneinfo", "decimal", "ssl", "email.mime.text"):
        assert value(connection, "SELECT imports(?) FROM t WHERE n = 7", [name]) == name


# ---- everything in processes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_hook_process_makes_processes_mandatory(name: str) -> None:
    with (
        Cluster(1, server=binary(name), module_options={"HOOK_PROCESS": "yes"}) as server,
        gearsql.connect(server.url) as connection,
    ):
        fill(server)
        define(connection, "here(n BIGINT) RETURNS BIGINT", "import os\nreturn os.getpid()")
        assert value(connection, "SELECT here(n) FROM t WHERE n = 7") != server.pids[0]
        define(connection, "here(n BIGINT) RETURNS BIGINT", "import os\nos._exit(9)\nreturn n")
        with pytest.raises(HookDiedError, match="exit 9"):
            connection.execute("SELECT here(n) FROM t WHERE n = 7")


def test_many_deaths_at_once_leave_the_servers_well(guarded: Cluster) -> None:
    """Eight clients, each with a session of its own that crashes again and again."""
    with gearsql.connect(guarded.url) as connection:
        define(
            connection,
            "maybe(n BIGINT) RETURNS BIGINT",
            "import os\nif n % 200 == 7: os.kill(os.getpid(), 11)\nreturn n",
            "ISOLATION process",
        )
    outcomes: list[object] = []

    def work(number: int) -> None:
        with gearsql.connect(guarded.url, session=f"mortal {number}") as own:
            for turn in range(6):
                limit = 5 if turn % 2 else ROWS
                try:
                    outcomes.append(value(own, "SELECT count(maybe(n)) FROM t WHERE n < ?", [limit]))
                except HookDiedError:
                    outcomes.append("died")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, outcomes)) == ["5"] * 24 + ["died"] * 24
    assert None not in guarded.pids
