"""Sessions from outside: how many there are, how they end, and that the server outlives them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.hooks import Hook, definition_words, hook_words, run_hooks, scalar
from tests.module.raw import connect, run, status
from tests.servers import SERVERS, binary

SECONDS = 15.0
NUMBERS = ("sessions", "session_processes", "sessions_ended")
ENDLESS = {
    "python": "while True: pass\nreturn 0",
    "stubborn": "while True:\n    try:\n        while True: pass\n    except BaseException: pass\nreturn 0",
    "asleep": "import time\ntime.sleep(3600)\nreturn 0",
    "in c": "import re\nreturn len(re.findall('(a*)*b', 'a' * 40))",
}


def counts(client: redis.Redis) -> tuple[int, ...]:
    told = status(client)
    return tuple(told[name] for name in NUMBERS)


def wait_for(what: Callable[[], object], expected: object, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while what() != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert what() == expected


@contextmanager
def one(name: str = "valkey-9.1", **options: Any) -> Iterator[tuple[Cluster, redis.Redis]]:
    with (
        Cluster(1, server=binary(name), module_options=options) as server,
        connect(server) as client,
    ):
        yield server, client


def counter(client: redis.Redis, isolation: Any = "session", name: str = "counter") -> Hook:
    """A function that says how often its session has called it, and so tells sessions apart."""
    source = "import sys\nsys.gears_count = getattr(sys, 'gears_count', 0) + 1\nreturn sys.gears_count"
    return scalar(client, name, "", "BIGINT", source, isolation=isolation, volatile=True)


def runaway(client: redis.Redis, kind: str, isolation: Any = "session") -> Hook:
    return scalar(client, "endless", "", "BIGINT", ENDLESS[kind], volatile=True, isolation=isolation)


def sleeper(client: redis.Redis) -> Hook:
    """A function that takes its argument's seconds."""
    return scalar(
        client, "sleeper", "DOUBLE", "DOUBLE", "import time\ntime.sleep(a0)\nreturn a0", volatile=True
    )


def calls(client: redis.Redis, hook: Hook, session: str = "") -> int:
    """Call it once, and return how often it has been called there."""
    ((number,),) = run_hooks(client, "SELECT h0()", [hook], session=session).rows
    assert isinstance(number, int)
    return number


def processes_of(server: Cluster) -> list[int]:
    """The supervisor and what it has forked."""
    supervisor = _supervisor(server)
    return [*_children(supervisor), supervisor]


def _supervisor(server: Cluster) -> int:
    def find() -> list[int]:
        return [
            child for child in _children(server.pids[0]) if b"gearsql.shard.supervisor" in _command(child)
        ]

    wait_for(lambda: len(find()), 1)
    return find()[0]


def _children(pid: int | None) -> list[int]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(directory.name))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Query(threading.Thread):
    """A query that runs beside the test, on its own connection."""

    def __init__(
        self, server: Cluster, hook: Hook, session: str = "", parameter: str = "", stage: str = "q"
    ) -> None:
        super().__init__(daemon=True)
        self.outcome: object = None
        self.stage = stage
        self._words = hook_words(f"SELECT {hook.call}(0{parameter})", [hook], session=session, stage=stage)
        self._server = server
        self.start()

    def run(self) -> None:
        try:
            with connect(self._server) as client:
                self.outcome = client.execute_command(*self._words)
        except redis.RedisError as error:
            self.outcome = error

    def result(self) -> str:
        self.join(SECONDS)
        assert not self.is_alive()
        return str(self.outcome)


# ---- how many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_a_session_is_made_at_its_first_hook_and_kept(name: str) -> None:
    with one(name) as (_, client):
        assert counts(client) == (0, 0, 0)
        assert run(client, "SELECT 1").rows == [(1,)] and counts(client) == (0, 0, 0)
        hook = counter(client)
        assert counts(client) == (0, 0, 0)
        assert [calls(client, hook) for _ in range(3)] == [1, 2, 3]
        assert [calls(client, hook, "named") for _ in range(2)] == [1, 2]
        assert counts(client) == (2, 0, 0)
        info = client.info("gearsql")
        assert tuple(info[f"gearsql_{name}"] for name in NUMBERS) == (2, 0, 0)


def test_the_least_recently_used_session_ends_for_a_new_one() -> None:
    with one(SESSIONS=3) as (_, client):
        hook = counter(client)
        assert [calls(client, hook, session) for session in "abc"] == [1, 1, 1]
        assert calls(client, hook, "a") == 2
        assert calls(client, hook, "d") == 1, "b is the one that was used least recently"
        assert counts(client) == (3, 0, 1)
        assert [calls(client, hook, session) for session in "acd"] == [3, 2, 2]
        assert calls(client, hook, "b") == 1
        assert counts(client) == (3, 0, 2)


def test_many_sessions_at_once_keep_the_cap() -> None:
    with one(SESSIONS=3, SESSIONS_ENDED=10_000, WORKERS=8) as (server, client):
        hook = counter(client)
        failures: list[object] = []

        def use(user: int) -> None:
            with connect(server) as own:
                for i in range(40):
                    try:
                        calls(own, hook, f"s{(user * 7 + i) % 20}")
                    except Exception as error:
                        failures.append(error)

        users = [threading.Thread(target=use, args=(user,)) for user in range(8)]
        for user in users:
            user.start()
        while any(user.is_alive() for user in users):
            assert counts(client)[0] <= 3
            time.sleep(0.01)
        assert not failures
        assert counts(client)[0] <= 3
        wait_for(lambda: hook_threads(server), 2 * 3)


def hook_threads(server: Cluster) -> int:
    """Two for each session: its watcher has its name."""
    names = Path(f"/proc/{server.pids[0]}/task").glob("*/comm")
    return sum(name.read_text().startswith("gearsql-hook") for name in names)


def test_when_all_sessions_are_in_use_a_query_waits_its_deadline() -> None:
    with one(SESSIONS=1, HOOK_TIMEOUT_MS=2000) as (server, client):
        hook = sleeper(client)
        first = Query(server, hook, "first", ", 0.5")
        wait_for(lambda: counts(client)[0], 1)
        assert "GEARS" not in Query(server, hook, "second", ", 0.0").result(), "it waits, and has its turn"
        assert "GEARS" not in first.result()
        slow = Query(server, hook, "first", ", 0.0005 + i * 0.0) FROM range(8192) t(i) WHERE (true")
        wait_for(lambda: status(client)["stages_running"], 1)
        time.sleep(0.3)
        assert Query(server, hook, "second", ", 0.0").result() == "GEARSLIMIT all 1 sessions are in use"
        slow.result()


def test_beyond_a_bound_of_ended_ones_sessions_are_processes() -> None:
    with one(SESSIONS=1, SESSIONS_ENDED=2) as (_, client):
        hook = counter(client)
        for i, session in enumerate("ab"):
            assert [calls(client, hook, session) for _ in range(2)] == [1, 2]
            assert counts(client) == (1, 0, i)
        for session in "cdefgh":
            assert [calls(client, hook, session) for _ in range(2)] == [1, 2]
            assert counts(client) == (1, 1, 2)


def test_all_are_processes_where_that_is_demanded() -> None:
    with one(HOOK_PROCESS="yes") as (server, client):
        pid = scalar(client, "pid", "", "BIGINT", "import os\nreturn os.getpid()", volatile=True)
        ((number,),) = run_hooks(client, "SELECT h0()", [pid]).rows
        assert number in _children(_supervisor(server))
        main = counter(client, "main", "main_counter")
        assert calls(client, main) == 1
        assert counts(client)[1] == counts(client)[0]


def test_isolation_main_must_be_allowed() -> None:
    with one() as (_, client):
        hook = counter(client, "main")
        with pytest.raises(redis.ResponseError, match=r"GEARSLIMIT ISOLATION main needs .* HOOK_MAIN yes"):
            calls(client, hook)
    with one(HOOK_MAIN="yes") as (_, client):
        hook = counter(client, "main")
        assert [calls(client, hook, session) for session in "aab"] == [1, 2, 3], "one interpreter for all"


@pytest.mark.parametrize(
    "option",
    [
        ("SESSIONS", 0),
        ("SESSIONS_ENDED", -1),
        ("HOOK_TIMEOUT_MS", 0),
        ("HOOK_MEMORY", 1),
        ("HOOK_MAIN", "maybe"),
    ],
)
def test_an_argument_out_of_range_is_named(option: tuple[str, Any]) -> None:
    with (
        pytest.raises(Exception, match=f"module argument {option[0]} is missing or wrong"),
        one(**dict([option])),
    ):
        pass


def test_the_checks_of_a_user_share_a_session() -> None:
    with one(SESSIONS=2) as (_, client):
        hook = counter(client)
        assert calls(client, hook) == 1
        for number in range(20):
            function = replace(hook.function, source=f"return {number}")
            client.execute_command("GEARSQL.DEFINE", "CHECK", *definition_words(function, 1))
        assert counts(client) == (2, 0, 0)
        assert calls(client, hook) == 2


# ---- runaways ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_runaway_ends_its_query_and_its_session_only(kind: str) -> None:
    with one(HOOK_TIMEOUT_MS=700) as (server, client):
        good, endless = counter(client), runaway(client, kind)
        assert calls(client, good, "good") == 1
        begun = time.monotonic()
        with pytest.raises(redis.ResponseError, match=r"^GEARSHOOKTIME endless\(\)"):
            calls(client, endless, "endless")
        assert time.monotonic() - begun < 4
        assert counts(client) == (1, 0, 1)
        assert run(client, "SELECT 2").rows == [(2,)]
        if kind != "in c":  # It holds the one GIL that there is before Python 3.13.
            assert calls(client, good, "good") == 2
            assert calls(client, good, "endless") == 1, "a new session under the old name"
        if kind == "python":
            wait_for(lambda: hook_threads(server), 2 * 2)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("kind", ["stubborn", "in c"])
def test_sigterm_does_not_wait_for_a_runaway(name: str, kind: str) -> None:
    with one(name) as (server, client):
        endless = runaway(client, kind)
        query = Query(server, endless)
        wait_for(lambda: status(client)["sessions"], 1)
        time.sleep(0.3)
        begun = time.monotonic()
        assert server.terminate(0) == 0
        assert time.monotonic() - begun < 4
        assert "BUG REPORT" not in server.log(0)
        assert query.result() != "None"


@pytest.mark.parametrize("name", SERVERS)
def test_sigterm_with_idle_and_abandoned_sessions(name: str) -> None:
    with one(name, HOOK_TIMEOUT_MS=1500, HOOK_MAIN="yes") as (server, client):
        for isolation in ("session", "main"):
            for session in "ab":
                calls(client, counter(client, isolation), session)
        for kind in ("python", "stubborn"):
            with pytest.raises(redis.ResponseError, match="GEARSHOOKTIME"):
                calls(client, runaway(client, kind))
        assert server.terminate(0) == 0
        assert "BUG REPORT" not in server.log(0)


def test_cancel_reaches_into_a_hook_and_an_obedient_session_lives_on() -> None:
    with one() as (server, client):
        source = "import time\nfor i in range(100): time.sleep(0.01)\nreturn 1"
        patient = scalar(client, "patient", "", "BIGINT", source, volatile=True)
        endless = runaway(client, "python")
        for hook in (patient, endless):
            query = Query(server, hook)
            time.sleep(0.4)
            begun = time.monotonic()
            assert client.execute_command("GEARSQL.CANCEL", "q") == 1
            assert query.result() == "GEARSCANCELLED by GEARSQL.CANCEL"
            assert time.monotonic() - begun < 1


def test_a_cancelled_query_leaves_the_session_to_the_others() -> None:
    with one() as (server, client):
        hook = sleeper(client)
        first, second = (Query(server, hook, "", f", {seconds}") for seconds in (1.0, 1.5))
        wait_for(lambda: status(client)["stages_running"], 2)
        time.sleep(0.5)
        client.execute_command("CLIENT", "KILL", "ID", oldest_stage(client))
        assert "GEARS" not in second.result()
        assert counts(client) == (1, 0, 0)
        first.join(SECONDS)


@pytest.mark.parametrize("which", ["the one at work", "the one that waits"])
def test_a_cancelled_stage_is_gone_while_its_session_works_on(which: str) -> None:
    with one() as (server, client):
        hook = sleeper(client)
        first = Query(server, hook, "", ", 1.5", stage="first")
        wait_for(lambda: status(client)["stages_running"], 1)
        time.sleep(0.3)
        second = Query(server, hook, "", ", 0.1", stage="second")
        wait_for(lambda: status(client)["stages_running"], 2)
        time.sleep(0.1)
        cancelled, other = (first, second) if which == "the one at work" else (second, first)
        client.execute_command("GEARSQL.CANCEL", cancelled.stage)
        assert cancelled.result() == "GEARSCANCELLED by GEARSQL.CANCEL"
        assert status(client)["stages_running"] == 1, "the other has not had its answer yet"
        assert "GEARS" not in other.result()
        assert counts(client) == (1, 0, 0)


TALKS = """
import time
from gearsql import hook
for i in range(int(a0 * 100)):
    hook.execute('DBSIZE')
    hook.log('at work')
    time.sleep(0.01)
return a0
"""


@pytest.mark.parametrize("isolation", ["session", "process"])
def test_a_cancelled_function_that_talks_to_the_server_ends_no_other_query(isolation: Any) -> None:
    with one() as (server, client):
        hook = scalar(client, "talks", "DOUBLE", "DOUBLE", TALKS, volatile=True, isolation=isolation)
        for _ in range(3):
            first = Query(server, hook, "", ", 1.0", stage="first")
            wait_for(lambda: status(client)["stages_running"], 1)
            time.sleep(0.3)
            second = Query(server, hook, "", ", 0.1", stage="second")
            wait_for(lambda: status(client)["stages_running"], 2)
            client.execute_command("GEARSQL.CANCEL", "first")
            assert first.result() == "GEARSCANCELLED by GEARSQL.CANCEL"
            assert "GEARS" not in second.result()
        assert counts(client)[2] == 0


def oldest_stage(client: redis.Redis) -> int:
    """The client whose stage has run longest."""
    stages = [{flat[i]: flat[i + 1] for i in range(0, len(flat), 2)} for flat in status(client)["stages"]]
    return int(max(stages, key=lambda stage: int(stage[b"running_us"]))[b"client"])


def test_two_queries_of_one_session_take_turns() -> None:
    with one() as (server, client):
        source = "import time\ntime.sleep(0.002)\nreturn a0"
        slow = scalar(client, "slow", "BIGINT", "BIGINT", source)
        words = [
            hook_words(f"SELECT sum({slow.call}(0, i)) FROM range(600) t(i), (SELECT {n}) u(n)", [slow])
            for n in range(2)
        ]
        ended: list[float] = []

        def ask(command: list[Any]) -> None:
            with connect(server) as own:
                own.execute_command(*command)
                ended.append(time.monotonic())

        threads = [threading.Thread(target=ask, args=(command,)) for command in words]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert len(ended) == 2 and counts(client)[0] == 1


# ---- processes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_the_death_of_a_worker_ends_its_query_only(name: str) -> None:
    with one(name) as (server, client):
        hook = counter(client, "process")
        endless = runaway(client, "python", "process")
        assert [calls(client, hook) for _ in range(2)] == [1, 2]
        query = Query(server, endless)
        wait_for(lambda: counts(client)[1], 2)
        time.sleep(0.5)
        os.kill(busiest(_children(_supervisor(server))), signal.SIGKILL)
        assert query.result() == "GEARSHOOKDIED endless(): killed by SIGKILL"
        assert calls(client, hook) == 3, "the other process has lost nothing"
        assert "GEARSHOOKDIED" not in str(Query(server, hook).result())


def busiest(pids: list[int]) -> int:
    def ticks(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    return max(pids, key=ticks)


def test_an_idle_worker_that_died_is_replaced() -> None:
    with one() as (server, client):
        hook = counter(client, "process")
        assert calls(client, hook) == 1
        for worker in _children(_supervisor(server)):
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.3)
        assert calls(client, hook) == 1
        assert counts(client)[1] == 1


@pytest.mark.parametrize("name", SERVERS)
def test_a_supervisor_that_died_is_spawned_anew(name: str) -> None:
    with one(name) as (server, client):
        hook = counter(client, "process")
        endless = runaway(client, "python", "process")
        assert calls(client, hook) == 1
        query = Query(server, endless)
        wait_for(lambda: counts(client)[1], 2)
        time.sleep(0.3)
        old = processes_of(server)
        os.kill(old[-1], signal.SIGKILL)
        assert query.result().startswith("GEARSHOOKDIED endless(): ")
        assert [calls(client, hook) for _ in range(2)] == [1, 2]
        assert _supervisor(server) != old[-1]
        wait_for(lambda: [pid for pid in old if is_alive(pid)], [])


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_processes_end_with_the_server(name: str, end: str) -> None:
    with one(name) as (server, client):
        calls(client, counter(client, "process"))
        endless = runaway(client, "stubborn", "process")
        Query(server, endless)
        wait_for(lambda: counts(client)[1], 2)
        pids = processes_of(server)
        assert len(pids) >= 3
        if end == "SIGTERM":
            assert server.terminate(0) == 0
        else:
            server.kill(0)
        wait_for(lambda: [pid for pid in pids if is_alive(pid)], [])


def test_processes_have_nothing_of_the_server() -> None:
    os.environ["GEARSQL_TEST_SECRET"] = "secret"
    try:
        with one() as (server, client):
            source = (
                "import os\nreturn sorted(os.listdir('/proc/self/fd')), os.environ.get('GEARSQL_TEST_SECRET')"
            )
            del source
            calls(client, counter(client, "process"))
            for pid in processes_of(server):
                files = [file for file in Path(f"/proc/{pid}/fd").iterdir() if file.name != "2"]
                assert not any(os.readlink(file).endswith(".log") for file in files)
                assert len(files) < 12
                assert b"GEARSQL_TEST_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()
                assert os.getsid(pid) != os.getsid(server.pids[0] or 0)
    finally:
        del os.environ["GEARSQL_TEST_SECRET"]


def test_the_deadline_kills_a_process() -> None:
    with one(HOOK_TIMEOUT_MS=700) as (server, client):
        endless = scalar(client, "endless", "", "BIGINT", ENDLESS["in c"], volatile=True, isolation="process")
        supervisor = _supervisor(server)
        before = set(_children(supervisor))
        with pytest.raises(redis.ResponseError, match=r"^GEARSHOOKTIME endless\(\)"):
            calls(client, endless)
        assert counts(client) == (0, 0, 0)
        wait_for(lambda: [pid for pid in set(_children(supervisor)) - before if _ticking(pid)], [])


def _ticking(pid: int) -> bool:
    """Whether a process uses the processor."""
    stat = Path(f"/proc/{pid}/stat")
    with suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] == "R"
    return False


def test_a_big_message_leaves_no_memory_behind() -> None:
    with one() as (server, client):
        long = scalar(client, "long", "BIGINT", "VARCHAR", "return 'x' * a0")
        before = shared_memory(server)
        ((length,),) = run_hooks(
            client, "SELECT sum(length(h0(200000)))::BIGINT FROM range(500)", [long]
        ).rows
        assert length == 100_000_000
        assert shared_memory(server) - before < 40 << 20


def shared_memory(server: Cluster) -> int:
    lines = Path(f"/proc/{server.pids[0]}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("RssShmem")]
    return int(line.split()[1]) << 10
