"""Hooks that do not end: the deadline, cancels, clients that go; and what a session refuses to do at all."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import CancelledError, FunctionDefinitionError, HookError, HookTimeoutError
from tests.faults.scene import Background, another_process, stages, wait_until
from tests.hooks.conftest import drop_all
from tests.hooks.scene import OPTIONS, ROWS, define, fill, rows, value
from tests.module.raw import status

TIMEOUT_MS = 1200
ENDLESS = {
    "python": "while True: pass",
    # It hears nobody; nothing but its own end frees the thread of such a session.
    "stubborn": "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end:\n"
    "    try:\n        while time.monotonic() < end: pass\n    except BaseException: pass",
    "asleep": "import time\ntime.sleep(3600)",
}
# Below Python 3.13 it holds the one GIL of all sessions as long as it runs, so it has to end.
IN_C = {"sum": "sum(range(500_000_000))", "regex": "__import__('re').search('(a*)*b', 'a' * 26)"}
own_gil = sys.version_info >= (3, 13)

isolations = pytest.mark.parametrize("isolation", ["session", "process"])


@pytest.fixture(scope="module")
def hasty() -> Iterator[Cluster]:
    """Three shards whose hooks have little time."""
    with Cluster(3, module_options=OPTIONS | {"HOOK_TIMEOUT_MS": TIMEOUT_MS}) as cluster:
        fill(cluster)
        yield cluster


@pytest.fixture
def hurried(hasty: Cluster) -> Iterator[Connection]:
    """A connection to them; afterwards the servers are well, and sessions answer."""
    with gearsql.connect(hasty.url) as connection:
        yield connection
        assert_well(hasty)
        drop_all(connection)


def define_endless(connection: Connection, source: str, isolation: str = "session") -> None:
    define(connection, "endless(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n", f"ISOLATION {isolation}")


def assert_well(cluster: Cluster) -> None:
    wait_until(lambda: stages(cluster) == 0, "a stage was not freed")
    assert None not in cluster.pids
    with gearsql.connect(cluster.url, session="well") as connection:
        assert value(connection, "SELECT count(*) FROM t") == ROWS
        define(connection, "well(n BIGINT) RETURNS BIGINT", "return n")
        assert value(connection, "SELECT sum(well(n)) FROM t") == sum(range(ROWS))


@pytest.mark.parametrize("returns", ["VARCHAR[]", "TABLE (v VARCHAR)"])
def test_values_that_never_end_are_stopped_by_the_bound_of_a_batch(lone: Cluster, returns: str) -> None:
    with gearsql.connect(lone.url) as connection:
        source = "import itertools\nreturn itertools.repeat('x' * 4_000_000)"
        define(connection, f"unending(n BIGINT) RETURNS {returns}", source)
        query = (
            "SELECT count(e.v) FROM t, unending(n) AS e"
            if "TABLE" in returns
            else "SELECT unending(n) FROM t"
        )
        with pytest.raises(HookError, match="the values of this batch need more than 1 GiB"):
            connection.execute(query)
        drop_all(connection)


# ---- the deadline --------------------------------------------------------------------------------------


@isolations
@pytest.mark.parametrize("kind", ENDLESS)
def test_the_deadline_ends_the_query_and_no_other_session(
    hasty: Cluster, hurried: Connection, kind: str, isolation: str
) -> None:
    define(
        hurried, "endless(n BIGINT) RETURNS BIGINT", f"{ENDLESS[kind]}\nreturn n", f"ISOLATION {isolation}"
    )
    define(hurried, "count_up(n BIGINT) RETURNS BIGINT", COUNT_UP, f"ISOLATION {isolation}")
    with gearsql.connect(hasty.url, session="beside") as beside:
        before = max(rows(beside, "SELECT count_up(n) FROM t"))[0]
        begun = time.monotonic()
        with pytest.raises(HookTimeoutError, match=rf"endless\(\) did not answer within {TIMEOUT_MS} ms"):
            hurried.execute("SELECT endless(n) FROM t WHERE n = 7")
        assert TIMEOUT_MS / 1000 - 0.1 < time.monotonic() - begun < 4
        assert max(rows(beside, "SELECT count_up(n) FROM t"))[0] > before, "the other session lives"


COUNT_UP = "import sys\nsys.ups = getattr(sys, 'ups', 0) + 1\nreturn sys.ups"


@pytest.mark.parametrize("kind", IN_C)
def test_a_loop_in_c_is_given_up_too(hurried: Connection, kind: str) -> None:
    """The thread stays in C until that ends; the query does not wait for it."""
    define(hurried, "endless(n BIGINT) RETURNS BIGINT", f"{IN_C[kind]}\nreturn n")
    begun = time.monotonic()
    with pytest.raises(HookTimeoutError, match=r"endless\(\)"):
        hurried.execute("SELECT endless(n) FROM t WHERE n = 7")
    assert time.monotonic() - begun < 4
    assert value(hurried, "SELECT count(*) FROM t") == ROWS, "queries without hooks take no GIL"
    define_process(hurried)
    assert value(hurried, "SELECT sum(apart(n)) FROM t") == sum(range(ROWS)), "nor do processes"
    if not own_gil:
        wait_until(lambda: _answers(hurried), "sessions come back when the loop in C ends")


def define_process(connection: Connection) -> None:
    define(connection, "apart(n BIGINT) RETURNS BIGINT", "return n", "ISOLATION process")


def _answers(connection: Connection) -> bool:
    try:
        define(connection, "again(n BIGINT) RETURNS BIGINT", "return n")
        return bool(value(connection, "SELECT sum(again(n)) FROM t") == sum(range(ROWS)))
    except (HookTimeoutError, gearsql.OperationalError):
        return False


@isolations
def test_an_endless_accumulate_merge_or_finish_meets_the_deadline(
    hasty: Cluster, hurried: Connection, isolation: str
) -> None:
    for method in ("accumulate", "finish", "merge"):
        source = "\n".join(
            [
                "class slow:",
                "    def __init__(self): self.n = 0",
                "    def accumulate(self, n): self.n += 1; ACCUMULATE",
                "    def merge(self, other): self.n += other.n; MERGE",
                "    def finish(self): FINISH; return self.n",
            ]
        ).replace(method.upper(), "__import__('time').sleep(60)")
        for other in ("ACCUMULATE", "MERGE", "FINISH"):
            source = source.replace(other, "pass")
        define(hurried, "slow(n BIGINT) RETURNS BIGINT", source, f"ISOLATION {isolation}", aggregate=True)
        if method == "accumulate":
            with pytest.raises(HookTimeoutError, match=r"slow\(\)"):
                hurried.execute("SELECT slow(n) FROM t")
        else:
            # Merged and finished in this client: its timeout holds there.
            with (
                gearsql.connect(hasty.url, timeout=1) as own,
                pytest.raises((HookTimeoutError, CancelledError)),
            ):
                own.execute("SELECT slow(n) FROM t")


# ---- cancels -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patient() -> Iterator[Cluster]:
    """Three shards whose hooks have the default's time: only a cancel is in time."""
    with Cluster(3) as cluster:
        fill(cluster)
        yield cluster


@pytest.fixture
def waiting(patient: Cluster) -> Iterator[Connection]:
    with gearsql.connect(patient.url) as connection:
        yield connection
        assert_well(patient)
        drop_all(connection)


ASKED = "SELECT endless(n) FROM t"


def wait_until_hooks_run(cluster: Cluster) -> None:
    wait_until(lambda: stages(cluster) == len(cluster.ports), "no query began")
    time.sleep(0.2)


@isolations
@pytest.mark.parametrize("kind", ["python", "asleep"])
def test_gearsql_cancel_ends_a_hook_within_a_second(
    patient: Cluster, waiting: Connection, kind: str, isolation: str
) -> None:
    define(
        waiting, "endless(n BIGINT) RETURNS BIGINT", f"{ENDLESS[kind]}\nreturn n", f"ISOLATION {isolation}"
    )
    query = Background(patient.url, ASKED)
    wait_until_hooks_run(patient)
    begun = time.monotonic()
    with patient.client(1) as client:
        (stage,) = status(client)["stages"]
        assert client.execute_command("GEARSQL.CANCEL", stage[1]) == 1
    with pytest.raises(CancelledError):
        query.end()
    wait_until(lambda: stages(patient) == 0, "one shard's cancel ends the others'")
    assert time.monotonic() - begun < 1


@isolations
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_client_that_goes_takes_its_hooks_along(
    patient: Cluster, waiting: Connection, how: signal.Signals, isolation: str
) -> None:
    define(
        waiting,
        "endless(n BIGINT) RETURNS BIGINT",
        f"{ENDLESS['python']}\nreturn n",
        f"ISOLATION {isolation}",
    )
    with another_process(patient, ASKED) as client:
        wait_until_hooks_run(patient)
        begun = time.monotonic()
        client.send_signal(how)
        client.wait(10)
        wait_until(lambda: stages(patient) == 0, "a stage was not freed")
        assert time.monotonic() - begun < 1


@isolations
def test_ctrl_c_reaches_into_a_hook_on_a_shard(patient: Cluster, waiting: Connection, isolation: str) -> None:
    define(
        waiting,
        "endless(n BIGINT) RETURNS BIGINT",
        f"{ENDLESS['asleep']}\nreturn n",
        f"ISOLATION {isolation}",
    )
    begun = _interrupted(waiting, ASKED)
    assert time.monotonic() - begun < 1
    assert value(waiting, "SELECT count(*) FROM t") == ROWS


@pytest.mark.parametrize("kind", ["python", "asleep", "in C"])
def test_ctrl_c_reaches_into_a_hook_of_the_merge(waiting: Connection, kind: str) -> None:
    source = (ENDLESS | {"in C": "sum(range(10**12))"})[kind]
    define(waiting, "endless(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n")
    begun = _interrupted(waiting, "SELECT endless(max(n)) FROM t")
    assert time.monotonic() - begun < 1
    define(waiting, "endless(n BIGINT) RETURNS BIGINT", "return n + 1")
    assert value(waiting, "SELECT endless(max(n)) FROM t") == ROWS


def _interrupted(connection: Connection, sql: str) -> float:
    """Run a query and press Ctrl-C; the time of the press."""
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    timer = threading.Timer(0.6, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            connection.execute(sql)
    finally:
        timer.cancel()
    return pressed[0]


@isolations
def test_the_connections_timeout_reaches_into_a_hook(
    patient: Cluster, waiting: Connection, isolation: str
) -> None:
    define(
        waiting,
        "endless(n BIGINT) RETURNS BIGINT",
        f"{ENDLESS['asleep']}\nreturn n",
        f"ISOLATION {isolation}",
    )
    begun = time.monotonic()
    with gearsql.connect(patient.url, timeout=0.7) as own, pytest.raises(CancelledError):
        own.execute(ASKED)
    wait_until(lambda: stages(patient) == 0, "a stage was not freed")
    assert time.monotonic() - begun < 2


# ---- what a session refuses ----------------------------------------------------------------------------

REFUSED = [
    "import os\nos._exit(3)",
    "import os\nos.abort()",
    "import os\nos.kill(os.getpid(), 9)",
    "import os\nos.killpg(0, 9)",
    "import os\nos.fork()",
    "import os\nos.execv('/bin/true', ['true'])",
    "import os\nos.posix_spawn('/bin/true', ['true'], {})",
    "import os\nos.system('true')",
    "import posix\nposix._exit(3)",
    "import subprocess\nsubprocess.run(['true'])",
    "import signal\nsignal.raise_signal(9)",
    "import signal\nsignal.pthread_kill(__import__('threading').get_ident(), 9)",
    "import ctypes\nctypes.string_at(0)",
    "import faulthandler\nfaulthandler._sigsegv()",
    "import multiprocessing\nmultiprocessing.Process(target=print).start()",
]


# CPython refuses some of it itself.
REFUSALS = r"is not for hooks|is not for sessions|not supported for isolated"


@pytest.mark.parametrize("source", REFUSED, ids=lambda source: source.split("\n")[1][:40])
def test_what_would_end_the_server_is_refused(lone: Cluster, source: str) -> None:
    with gearsql.connect(lone.url) as connection:
        with pytest.raises((FunctionDefinitionError, HookError), match=REFUSALS):
            define(connection, "finis(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n")
            connection.execute("SELECT finis(n) FROM t WHERE n = 7")
        assert value(connection, "SELECT count(*) FROM t") == ROWS
        drop_all(connection)
    assert lone.pids[0] is not None
