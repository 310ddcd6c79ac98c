"""What one session does to its modules, globals and builtins, no other sees; and how many there can be.

GEARSQL_USES sets how often 200 users use a session (default 600).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.hooks.scene import define, descendants, rows, value
from tests.module.hooks import run_hooks, scalar
from tests.module.raw import connect, status

ROUNDS = 100

# Leaves a mark wherever code of one session could reach another, or says what marks it finds.
MODULES = (
    "builtins sys os io json re math random itertools functools collections string time datetime decimal "
    "struct hashlib threading types abc codecs operator weakref _collections_abc importlib linecache"
)
SPOIL = f"""
import importlib
import sys
import types

NAMES = {MODULES.split()!r}
mark = ''

class Mine:
    mark = ''

def spoil(new, number):
    global mark
    mark = Mine.mark = new
    for name in NAMES:
        module = importlib.import_module(name)
        module.gears_mark = new
        module.__doc__ = new
    import builtins, json, math
    builtins.secret = new
    json.JSONEncoder = lambda value: new
    math.pi = new
    sys.modules['gears_own'] = types.ModuleType('gears_own', new)
    sys.path.append(new)
    exec('def helper(): return ' + repr(new), globals())
    return marks()

def marks():
    import builtins, json, math
    found = {{mark, Mine.mark, builtins.secret, json.JSONEncoder(1), math.pi, helper(), sys.path[-1]}}
    found.add(sys.modules['gears_own'].__doc__)
    for name in NAMES:
        module = importlib.import_module(name)
        found |= {{module.gears_mark, module.__doc__}}
    return '|'.join(sorted(found))
"""


@contextmanager
def together(*works: Callable[[], None]) -> Iterator[None]:
    """Run them at once, each in a thread; raises what the first failing one raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    for failure in failures:
        raise failure


@pytest.mark.parametrize("isolation", ["session", "process"])
def test_two_sessions_that_patch_the_same_modules_do_not_see_each_other(
    trio: Cluster, isolation: str
) -> None:
    with gearsql.connect(trio.url) as connection:
        define(
            connection, "spoil(mark VARCHAR, number BIGINT) RETURNS VARCHAR", SPOIL, f"ISOLATION {isolation}"
        )
    begun = threading.Barrier(2)

    def work(name: str) -> None:
        with gearsql.connect(trio.url, session=name) as own:
            for turn in range(ROUNDS):
                begun.wait(60)
                mark = f"{name} {turn}"
                found = rows(own, "SELECT DISTINCT spoil(?, n) FROM t WHERE n < 9", [mark])
                assert found == [(mark,)]

    with together(lambda: work("a"), lambda: work("b")):
        pass


def test_two_users_that_redefine_the_same_names_do_not_see_each_other(lone: Cluster) -> None:
    """The same function, in two users' sessions: its globals are two."""
    define_and_read = """
import csv

def keep(mark):
    global kept, same
    kept = mark
    def same(): return mark
    csv.reader = same
    import time
    time.sleep(0.0005)
    return f'{kept} {same()} {csv.reader()}'
"""
    with gearsql.connect(lone.url) as connection, lone.client() as server:
        define(connection, "keep(mark VARCHAR) RETURNS VARCHAR", define_and_read, "VOLATILE")
        users = ("ada", "bob")
        for user in users:
            server.execute_command("ACL", "SETUSER", user, "reset", "on", ">x", "+@read", "%R~*")
        begun = threading.Barrier(len(users))

        def work(user: str) -> None:
            with gearsql.connect(lone.url.replace("redis://", f"redis://{user}:x@")) as own:
                for turn in range(ROUNDS):
                    begun.wait(60)
                    mark = f"{user}{turn}"
                    assert value(own, "SELECT keep(?) FROM t WHERE n = 1", [mark]) == f"{mark} {mark} {mark}"

        with together(*(lambda user=user: work(user) for user in users)):
            pass
        for user in users:
            server.execute_command("ACL", "DELUSER", user)
        connection.execute("DROP FUNCTION keep")


def test_functions_of_one_session_share_its_modules_but_not_their_globals(lone: Cluster) -> None:
    with (
        gearsql.connect(lone.url, session="shared") as connection,
        gearsql.connect(lone.url, session="other") as other,
    ):
        define(
            connection,
            "give(v BIGINT) RETURNS BIGINT",
            "import sys\nglobal kept\nkept = sys.gift = v\nreturn v",
            "VOLATILE",
        )
        define(
            connection,
            "take(v BIGINT) RETURNS BIGINT",
            "import sys\nreturn getattr(sys, 'gift', v)",
            "VOLATILE",
        )
        define(connection, "own(v BIGINT) RETURNS BIGINT", "return globals().get('kept', v)", "VOLATILE")
        assert value(connection, "SELECT give(7) FROM t WHERE n = 0") == 7
        assert value(connection, "SELECT take(1) FROM t WHERE n = 0") == 7
        assert value(other, "SELECT take(1) FROM t WHERE n = 0") == 1
        assert value(connection, "SELECT own(1) FROM t WHERE n = 0") == 1
        for name in ("give", "take", "own"):
            connection.execute(f"DROP FUNCTION {name}")


def test_a_session_has_decimal_contexts_of_its_own(lone: Cluster) -> None:
    """Below Python 3.13 all interpreters share C's decimal, and ContextVar's memory of who asked last."""
    source = """
import decimal
if digits:
    decimal.setcontext(decimal.Context(prec=digits))
return str(decimal.Decimal(1) / 3)
"""
    with (
        gearsql.connect(lone.url, session="few") as few,
        gearsql.connect(lone.url, session="all") as other,
    ):
        define(few, "third(digits BIGINT) RETURNS VARCHAR", source, "VOLATILE", "ISOLATION session")
        for digits in range(1, 6):
            for own, asked, given in ((few, digits, digits), (other, 0, 28), (few, 0, digits)):
                found = value(own, "SELECT third(?) FROM t WHERE n = 1", [asked])
                assert found == "0." + "3" * given
        few.execute("DROP FUNCTION third")


# ---- how many ------------------------------------------------------------------------------------------

USERS, USES, AT_ONCE = 200, int(os.environ.get("GEARSQL_USES", "600")), 4
SESSIONS, ENDED = 16, 64
# What 16 sessions, and what CPython keeps of 64 ended ones, may add to a server: docs/operations.md.
MOST_BYTES = (300 if sys.version_info < (3, 13) else 700) << 20
CALLS = "import sys\nsys.calls = getattr(sys, 'calls', 0) + 1\nreturn sys.calls"


def test_the_cap_on_sessions_holds_for_200_users() -> None:
    """Queries of as many users of the server, four at a time, as a client's driver sends them."""
    with Cluster(1) as server, server.client() as client:
        hook = scalar(client, "calls", "BIGINT", "BIGINT", CALLS)
        for user in range(USERS):
            client.execute_command("ACL", "SETUSER", f"u{user}", "on", ">x", "+@read", "+hello", "%R~*")
        numbers, turn, over = iter(range(USES)), threading.Lock(), threading.Event()
        seen: list[int] = []
        peaks = [0, 0]

        def use() -> None:
            while True:
                with turn:
                    number = next(numbers, None)
                if number is None or over.is_set():
                    return
                # In order, so that no session lives until its user comes again.
                with connect(server, username=f"u{number % USERS}", password="x") as own:
                    answer = run_hooks(own, "SELECT max(h0(i)) FROM range(600) t(i)", [hook])
                    seen.append(answer.rows[0][0])

        def watch() -> None:
            with server.client() as own:
                while not over.is_set():
                    peaks[0] = max(peaks[0], status(own)["sessions"])
                    peaks[1] = max(peaks[1], memory(server.pids[0]))
                    over.wait(0.1)

        def use_all() -> None:
            try:
                with together(*[use] * AT_ONCE):
                    pass
            finally:
                over.set()

        before = memory(server.pids[0])
        with together(use_all, watch):
            pass
        assert seen == [600] * USES, "each use had a session that nobody else had used"
        told = status(client)
        assert peaks[0] == SESSIONS == told["sessions"]
        assert told["sessions_ended"] <= ENDED + SESSIONS
        print(f"{before >> 20} MB before, {peaks[1] - before >> 20} MB more at most")
        assert peaks[1] - before < MOST_BYTES


def memory(pid: int | None) -> int:
    """Resident bytes of a process and of all that it started, what they share counted once."""
    return sum(map(_resident, [pid, *descendants(pid)]))


def _resident(pid: int | None) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        return int(dict(line.split(":", 1) for line in lines)["Pss"].split()[0]) << 10
    return 0
