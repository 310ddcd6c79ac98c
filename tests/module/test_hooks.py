"""Hooks in the server, by raw commands: types, aggregates, errors, ends, and what no stage can ask."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.hooks import Hook, aggregate, definition_words, functions, hook_words, run_hooks, scalar
from tests.module.raw import Word, connect, execute_words, run, status
from tests.native.test_batch import NESTED, VALUES, rows_of
from tests.servers import SERVERS, binary

TIMEOUT_MS = 1500
ENDLESS = "while True: pass\nreturn a0"


@pytest.fixture(scope="module", params=SERVERS)
def home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, Path]]:
    """One server of each kind whose hooks have little time, and its directory."""
    directory = tmp_path_factory.mktemp("hooks")
    options = {"FETCH_TIMEOUT_MS": 5000, "HOOK_TIMEOUT_MS": TIMEOUT_MS, "SESSIONS_ENDED": 10_000}
    with Cluster(1, server=binary(request.param), directory=directory, module_options=options) as server:
        yield server, directory


@pytest.fixture
def server(home: tuple[Cluster, Path]) -> Cluster:
    return home[0]


@pytest.fixture
def client(server: Cluster) -> Iterator[redis.Redis]:
    with connect(server) as client:
        client.flushall()
        yield client
        assert client.ping(), "the server survives every test"
        assert run(client, "SELECT 1").rows == [(1,)]


@pytest.fixture
def loaded(client: redis.Redis) -> redis.Redis:
    """20,000 hashes: ten chunks."""
    pipe = client.pipeline(transaction=False)
    for i in range(20_000):
        pipe.hset(f"user:{i}", mapping={"city": f"city{i % 7}", "age": i})
    pipe.execute()
    return client


@pytest.fixture
def answers(client: redis.Redis) -> Iterator[Callable[[], None]]:
    """After whatever a hook did: sessions, workers and DuckDB go on."""

    def check() -> None:
        hook = scalar(client, "still", "BIGINT", "BIGINT", "return a0 + 1")
        assert run_hooks(client, "SELECT sum(h0(i))::BIGINT FROM range(5000) AS t(i)", [hook]).rows == [
            (12_502_500,)
        ]

    yield check
    check()


def fault(caught: pytest.ExceptionInfo[redis.ResponseError]) -> dict[str, Any]:
    code, _, text = str(caught.value).partition(" ")
    assert code == "GEARSHOOK", caught.value
    told: dict[str, Any] = json.loads(unquote(text))
    return told


# ---- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", [name for name in (*VALUES, *NESTED) if name != "INTERVAL"])
def test_values_of_all_types_go_there_and_back(client: redis.Redis, type: str) -> None:
    same = scalar(client, "same", type, type, "return a0")
    count = f"SELECT count(*), count(y) FROM (SELECT h0(x) AS y, x FROM ({rows_of(type)})) WHERE "
    differing = run_hooks(client, count + "x IS DISTINCT FROM y", [same]).rows
    assert differing == [(0, 0)]
    nulls = len(range(3, 5000, 7))
    assert run_hooks(client, count + "x IS NOT DISTINCT FROM y", [same]).rows == [(5000, 5000 - nulls)]


def test_intervals_without_months_are_timedeltas(client: redis.Redis) -> None:
    twice = scalar(client, "twice", "INTERVAL", "INTERVAL", "return a0 * 2")
    (row,) = run_hooks(
        client, "SELECT h0(INTERVAL '3 days 5 seconds') = INTERVAL '6 days 10 seconds'", [twice]
    ).rows
    assert row == (True,)
    with pytest.raises(redis.ResponseError) as caught:
        run_hooks(client, "SELECT h0(INTERVAL '1 month')", [twice])
    assert fault(caught)["kind"] == "argument"


def test_lists_of_all_types_go_there_and_back(client: redis.Redis) -> None:
    for type in [*VALUES, *NESTED]:
        if type == "INTERVAL":
            continue
        back = scalar(client, "back", f"{type}[]", f"{type}[]", "return a0[::-1]")
        lists = f"SELECT list(x) AS l FROM ({rows_of(type, 2500)}) GROUP BY hash(x) % 40"
        pairs = f"SELECT h0(l) AS y, list_reverse(l) AS x FROM ({lists})"
        sql = f"SELECT count(*) FROM ({pairs}) WHERE x IS DISTINCT FROM y"
        assert run_hooks(client, sql, [back]).rows == [(0,)], type


def test_results_are_typed_by_the_function(client: redis.Redis) -> None:
    cents = scalar(
        client, "cents", "BIGINT", "DECIMAL(6,2)", "from decimal import Decimal\nreturn Decimal(a0) / 3"
    )
    assert run_hooks(client, "SELECT h0(10)", [cents]).rows == [(Decimal("3.33"),)]
    with pytest.raises(redis.ResponseError) as caught:
        run_hooks(client, "SELECT h0(1000000 * i) FROM range(2) AS t(i)", [cents])
    assert (fault(caught)["kind"], fault(caught)["row"]) == ("result", 1)


def test_nulls_are_left_out_unless_the_function_wants_them(client: redis.Redis) -> None:
    rows = "(VALUES (1, 'a'), (NULL, 'b'), (3, NULL), (NULL, NULL)) AS t(i, s)"
    sql = f"SELECT h0(i, s) FROM {rows}"
    strict = scalar(client, "strict", "INTEGER; VARCHAR", "VARCHAR", "return f'{a0}{a1}'")
    assert run_hooks(client, sql, [strict]).rows == [("1a",), (None,), (None,), (None,)]
    called = scalar(
        client, "called", "INTEGER; VARCHAR", "VARCHAR", "return f'{a0}{a1}'", called_on_null=True
    )
    assert run_hooks(client, sql, [called]).rows == [("1a",), ("Noneb",), ("3None",), ("NoneNone",)]


def test_a_function_without_parameters_is_called_for_each_row(client: redis.Redis) -> None:
    count = scalar(
        client, "ticks", "", "BIGINT", "n = 0\ndef ticks():\n  global n\n  n += 1\n  return n", volatile=True
    )
    assert run_hooks(client, "SELECT max(h0()) - min(h0()) FROM range(3000)", [count]).rows[0][0] >= 2999


def test_long_texts_go_there_and_back(client: redis.Redis) -> None:
    twice = scalar(client, "twice", "VARCHAR", "VARCHAR", "return a0 + a0")
    sql = "SELECT sum(length(h0(repeat('é', 300000 * i::INTEGER))))::BIGINT FROM range(9) AS t(i)"
    assert run_hooks(client, sql, [twice]).rows == [(2 * 36 * 300_000,)]


def test_a_batch_that_does_not_fit_the_mailbox_is_refused(client: redis.Redis) -> None:
    length = scalar(client, "len_", "VARCHAR", "BIGINT", "return len(a0)")
    big = "SELECT h0(s) FROM (SELECT repeat('x', 60_000_000) AS s), range(20)"
    with pytest.raises(redis.ResponseError, match=r"GEARSLIMIT len_\(\): the arguments of a batch"):
        run_hooks(client, big, [length])


# ---- where hooks stand in SQL --------------------------------------------------------------------


def test_hooks_stand_wherever_an_expression_does(loaded: redis.Redis) -> None:
    tail = scalar(loaded, "tail", "VARCHAR", "BIGINT", "return int(a0[4:])")
    odd = scalar(loaded, "odd", "BIGINT", "BOOLEAN", "return a0 % 2 == 1")
    sql = """SELECT h0(city) AS c, count(*) FROM scan_0 WHERE h1(age) AND age < 7000 GROUP BY 1
             HAVING h1(h0(city)) ORDER BY -h0(min(city))"""
    answer = run_hooks(loaded, sql, [tail, odd])
    assert answer.rows == [(5, 500), (3, 500), (1, 500)]
    assert answer.stats["hook_us"] > 0
    few = "SELECT 'city' || i AS c FROM range(3) AS t(i)"
    join = f"SELECT count(*) FROM scan_0 JOIN ({few}) ON h0(city) = h0(c)"
    assert run_hooks(loaded, join, [tail]).rows == [(8572,)]


def test_lists_become_rows(loaded: redis.Redis) -> None:
    rows = 'STRUCT("n" BIGINT, "t" VARCHAR)[]'
    steps = scalar(loaded, "steps", "BIGINT", rows, "return [{'n': i, 't': str(i)} for i in range(a0 % 3)]")
    sql = """SELECT count(*), sum(n)::BIGINT, max(t) FROM (
               SELECT unnest(h0(age), max_depth := 2) FROM scan_0)"""
    assert run_hooks(loaded, sql, [steps]).rows == [(6666 + 2 * 6667 - 1, 6666, "1")]


def test_what_duckdb_does_not_evaluate_does_not_fail(loaded: redis.Redis) -> None:
    """DuckDB folds calls over constants when it prepares, and swallows what comes of it."""
    never = scalar(loaded, "never", "BIGINT", "BIGINT", "if a0 is not None: raise ValueError(a0)\nreturn 0")
    sql = "SELECT count(CASE WHEN age < 0 THEN h0(7) ELSE 1 END) FROM scan_0"
    assert run_hooks(loaded, sql, [never]).rows == [(20_000,)]
    assert run_hooks(loaded, "SELECT count(try(h0(age))) FROM scan_0 WHERE age < 5", [never]).rows == [(0,)]


def test_many_stages_share_a_session(server: Cluster, loaded: redis.Redis) -> None:
    hook = scalar(loaded, "plus", "BIGINT", "BIGINT", "return a0 + 1")
    found: list[Any] = []

    def work() -> None:
        with connect(server) as other:
            for _ in range(5):
                found.extend(run_hooks(other, "SELECT sum(h0(age))::BIGINT FROM scan_0", [hook]).rows)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [(sum(range(20_001)),)] * 30


COUNTER = """
n = 0
def counter():
    global n
    n += 1
    return n
"""


def test_a_session_is_the_users_and_the_functions_or_has_a_name(client: redis.Redis) -> None:
    counter = scalar(client, "counter", "", "BIGINT", COUNTER, volatile=True)
    plus = scalar(client, "plus", "BIGINT", "BIGINT", "return a0 + 1")

    def count(*hooks: Hook, session: str = "") -> int:
        ((found,),) = run_hooks(client, "SELECT h0()", [counter, *hooks], session=session).rows
        return int(found)

    assert [count(), count(), count(plus), count(), count(plus)] == [1, 2, 1, 3, 2]
    assert [count(session="a"), count(plus, session="a"), count(session="b")] == [1, 2, 1]


# ---- aggregates ----------------------------------------------------------------------------------

SUM = """
class total:
    def __init__(self): self.n, self.sum = 0, 0
    def accumulate(self, x): self.n += 1; self.sum += x
    def merge(self, other): self.n += other.n; self.sum += other.sum
    def finish(self): return f'{self.n}:{self.sum}'
"""


@pytest.fixture
def total(client: redis.Redis) -> Hook:
    return aggregate(client, "total", "BIGINT", "VARCHAR", SUM)


def test_an_aggregate_of_few_and_of_many_groups(loaded: redis.Redis, total: Hook) -> None:
    assert run_hooks(loaded, "SELECT h0(age) FROM scan_0", [total]).rows == [(f"20000:{sum(range(20_000))}",)]
    for groups in (7, 9973):
        sql = f"SELECT age % {groups} AS g, h0(age), count(*) || ':' || sum(age) FROM scan_0 GROUP BY 1"
        rows = run_hooks(loaded, sql, [total]).rows
        assert len(rows) == groups
        assert all(mine == theirs for _, mine, theirs in rows)


def test_an_aggregate_of_nothing_knows_what_it_is(loaded: redis.Redis, total: Hook) -> None:
    """Two functions of one signature: only the name tells which one a group without rows belongs to."""
    other = aggregate(
        loaded, "other", "BIGINT", "VARCHAR", SUM.replace("total", "other").replace("}:{", "}/{")
    )
    sql = "SELECT h0(age), h1(age) FROM scan_0 WHERE age < 0"
    assert run_hooks(loaded, sql, [total, other]).rows == [("0:0", "0/0")]
    sql = "SELECT h0(age) FILTER (age < 0), h1(age) FILTER (age < 3) FROM scan_0 GROUP BY age < 9 ORDER BY 2"
    assert run_hooks(loaded, sql, [total, other]).rows == [("0:0", "0/0"), ("0:0", "3/3")]


def test_aggregates_take_distinct_order_filter_and_windows(loaded: redis.Redis, total: Hook) -> None:
    text = aggregate(
        *(loaded, "text_", "VARCHAR", "VARCHAR"),
        "class text_:\n"
        "  def __init__(self): self.parts = []\n"
        "  def accumulate(self, s): self.parts.append(s)\n"
        "  def merge(self, other): self.parts += other.parts\n"
        "  def finish(self): return ','.join(self.parts)",
    )
    sql = "SELECT h0(age % 5) FROM scan_0".replace("h0(", f"{total.call}_0(DISTINCT 0, ")
    assert run_hooks(loaded, sql, [total]).rows == [("5:10",)]
    sql = "SELECT h0(city ORDER BY city DESC) FROM scan_0 WHERE age < 4"
    assert run_hooks(loaded, sql, [text]).rows == [("city3,city2,city1,city0",)]
    sql = """SELECT h0(i) OVER w, count(*) OVER w || ':' || sum(i) OVER w FROM range(5000) AS t(i)
             WINDOW w AS (ORDER BY i ROWS 2 PRECEDING)"""
    assert all(mine == theirs for mine, theirs in run_hooks(loaded, sql, [total]).rows)


def test_nulls_are_no_rows_of_an_aggregate(client: redis.Redis, total: Hook) -> None:
    sql = "SELECT h0(if(i % 2 = 0, NULL, i)) FROM range(10) AS t(i)"
    assert run_hooks(client, sql, [total]).rows == [("5:25",)]


def test_states_travel(loaded: redis.Redis, total: Hook) -> None:
    sql = "SELECT age % 3 AS g, s0(age), s0(age) FILTER (age < 0) FROM scan_0 GROUP BY 1 ORDER BY 1"
    answer = run_hooks(loaded, sql, [total])
    assert [type(state) for _, state, _ in answer.rows] == [bytes] * 3
    assert len({state for _, state, _ in answer.rows}) == 3
    assert len({empty for _, _, empty in answer.rows}) == 1


def test_an_error_in_an_aggregate_is_told(loaded: redis.Redis) -> None:
    for part in ("accumulate(self, x)", "merge(self, other)", "finish(self)"):
        source = SUM.replace(f"def {part}: ", f"def {part}: raise ValueError('in {part}'); ")
        broken = aggregate(loaded, "total", "BIGINT", "VARCHAR", source)
        calls = [
            "SELECT h0(age) FROM scan_0",
            "SELECT h0(age) OVER (ORDER BY age ROWS 99 PRECEDING) FROM scan_0",
        ]
        with pytest.raises(redis.ResponseError) as caught:
            for sql in calls:
                run_hooks(loaded, sql, [broken])
        assert fault(caught)["message"] == f"in {part}"


# ---- errors --------------------------------------------------------------------------------------


def test_an_error_has_the_users_lines_and_the_rows_arguments(loaded: redis.Redis) -> None:
    source = "b = a0 - 15000\nif b == 0:\n  return 1 // b\nreturn b"
    broken = scalar(loaded, "broken", "BIGINT; VARCHAR", "BIGINT", source)
    with pytest.raises(redis.ResponseError) as caught:
        run_hooks(loaded, "SELECT sum(h0(age, city)) FROM scan_0", [broken])
    told = fault(caught)
    assert (told["kind"], told["type"], told["function"]) == ("raised", "ZeroDivisionError", "broken")
    assert told["arguments"] == [["a0", "15000"], ["a1", "'city6'"]]
    assert "line 3" in told["traceback"] and "return 1 // b" in told["traceback"]


def test_rows_that_on_error_null_forgives_are_counted(loaded: redis.Redis) -> None:
    some = scalar(loaded, "some", "BIGINT", "BIGINT", "return 1 // (a0 % 10)", on_error="null")
    answer = run_hooks(loaded, "SELECT count(h0(age)) FROM scan_0", [some])
    assert answer.rows == [(18_000,)]
    assert answer.stats["hook_nulls"] == 2000


def test_a_fault_of_the_text_is_found_by_check_and_nothing_is_stored(client: redis.Redis) -> None:
    good = scalar(client, "checked", "BIGINT", "BIGINT", "return a0").function
    assert client.execute_command("GEARSQL.DEFINE", "CHECK", *definition_words(good))[1] == 0
    for source in ("return a0 +", "import nothing_of_that_name\ndef checked(a0): return a0"):
        bad = replace(good, source=source)
        with pytest.raises(redis.ResponseError) as caught:
            client.execute_command("GEARSQL.DEFINE", "CHECK", *definition_words(bad))
        assert fault(caught)["kind"] in ("definition", "raised")
    assert [told["hash"].decode() for told in functions(client) if told["name"] == b"checked"] == [good.hash]


# ---- ends ----------------------------------------------------------------------------------------


def in_background(server: Cluster, sql: str, hooks: list[Hook]) -> tuple[threading.Thread, list[str]]:
    caught: list[str] = []

    def work() -> None:
        with connect(server) as other:
            try:
                run_hooks(other, sql, hooks, stage="slow")
            except redis.ResponseError as error:
                caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, caught


def wait_for_stage(client: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while not status(client)["stages_running"] and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)


@pytest.mark.parametrize("source", [ENDLESS, ENDLESS.replace("pass", "__import__('time').sleep(0.01)")])
def test_cancel_reaches_into_a_hook(
    server: Cluster, client: redis.Redis, answers: Callable[[], None], source: str
) -> None:
    endless = scalar(client, "endless", "BIGINT", "BIGINT", source)
    thread, caught = in_background(server, "SELECT h0(i) FROM range(10) AS t(i)", [endless])
    wait_for_stage(client)
    started = time.monotonic()
    assert client.execute_command("GEARSQL.CANCEL", "slow") == 1
    thread.join(10)
    assert caught == ["GEARSCANCELLED by GEARSQL.CANCEL"]
    assert time.monotonic() - started < 1


def test_cancel_between_messages_leaves_the_session(
    server: Cluster, client: redis.Redis, answers: Callable[[], None]
) -> None:
    before = status(client)
    slow = scalar(client, "slow_", "BIGINT", "BIGINT", "import time\ntime.sleep(0.00002)\nreturn a0")
    thread, caught = in_background(server, "SELECT sum(h0(i)) FROM range(1000000) AS t(i)", [slow])
    wait_for_stage(client)
    client.execute_command("GEARSQL.CANCEL", "slow")
    thread.join(10)
    assert caught == ["GEARSCANCELLED by GEARSQL.CANCEL"]
    assert status(client).get("sessions_ended_total") == before.get("sessions_ended_total")


def test_a_client_that_vanishes_ends_its_hook(
    server: Cluster, client: redis.Redis, answers: Callable[[], None]
) -> None:
    endless = scalar(client, "endless", "BIGINT", "BIGINT", ENDLESS)
    other = connect(server)
    sql = f"SELECT {endless.call}(0, 7)"
    other.connection.send_command(*hook_words(sql, [endless]))  # type: ignore[union-attr]
    wait_for_stage(client)
    other.close()
    other.connection_pool.disconnect()
    deadline = time.monotonic() + 5
    while status(client)["stages_running"]:
        assert time.monotonic() < deadline, "a stage was not freed"
        time.sleep(0.01)


def test_a_runaway_meets_its_deadline(client: redis.Redis, answers: Callable[[], None]) -> None:
    endless = scalar(client, "endless", "BIGINT", "BIGINT", ENDLESS)
    started = time.monotonic()
    with pytest.raises(redis.ResponseError, match=r"GEARSHOOKTIME endless\(\) did not answer within 1500 ms"):
        run_hooks(client, "SELECT h0(i) FROM range(3) AS t(i)", [endless])
    assert 1.4 < time.monotonic() - started < 3


def test_talking_to_the_server_does_not_move_the_deadline(
    client: redis.Redis, answers: Callable[[], None]
) -> None:
    chatty = scalar(
        client,
        "chatty",
        "BIGINT",
        "BIGINT",
        "from gearsql import hook\nwhile True: hook.execute('GET', 'x')\nreturn 0",
    )
    with pytest.raises(redis.ResponseError, match="GEARSHOOKTIME chatty"):
        run_hooks(client, "SELECT h0(7)", [chatty])


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\nreturn 0", "killed by SIGSEGV"),
        ("import os\nos._exit(3)\nreturn 0", "exit 3"),
    ],
)
def test_a_process_that_dies_is_named(
    client: redis.Redis, answers: Callable[[], None], source: str, how: str
) -> None:
    dying = scalar(client, "dying", "BIGINT", "BIGINT", source, isolation="process")
    with pytest.raises(redis.ResponseError, match=rf"GEARSHOOKDIED dying\(\): {how}"):
        run_hooks(client, "SELECT h0(i) FROM range(5000) AS t(i)", [dying])


FORGED = """
import struct, time
from gearsql.shard.stages import current
mailbox = current.stage.mailbox
mailbox.send(a0, bytes.fromhex(a1))
time.sleep(60)
return a1
"""


def test_an_answer_out_of_the_format_ends_its_session(
    client: redis.Redis, answers: Callable[[], None]
) -> None:
    forge = scalar(client, "forge", "INTEGER; VARCHAR", "VARCHAR", FORGED, volatile=True)
    valid, offsets = "0100000000000000", "0000000000000000"
    for kind, payload, problem in (
        (33, "", "a column is cut off"),
        (33, valid, "a column is cut off"),
        (33, valid + offsets + "ff" * 8, "a column is cut off"),
        (33, valid + "01" + offsets[2:] + offsets, "offsets do not ascend"),
        (33, valid + offsets + "0100000000000000" + "ff" + "00" * 7, "a VARCHAR is not UTF-8"),
        (32, "", "an answer that was not asked for"),
        (7, "", "no answer of ours"),
    ):
        with pytest.raises(redis.ResponseError) as caught:
            run_hooks(client, f"SELECT h0({kind}, '{payload}')", [forge])
        assert str(caught.value).startswith("GEARSHOOKDIED forge(): its session")
        assert problem in str(caught.value)


def test_sessions_and_processes_in_one_stage(loaded: redis.Redis) -> None:
    here = scalar(loaded, "here", "BIGINT", "BIGINT", "import os\nreturn os.getpid()")
    there = scalar(loaded, "there", "BIGINT", "BIGINT", "import os\nreturn os.getpid()", isolation="process")
    sql = "SELECT min(h0(age)), max(h0(age)), min(h1(age)), max(h1(age)) FROM scan_0"
    ((a, b, c, d),) = run_hooks(loaded, sql, [here, there]).rows
    assert a == b == loaded.info("server")["process_id"]
    assert c == d != a


# ---- what a hook may ask of the server -----------------------------------------------------------


EXECUTE = """
from gearsql import hook
try:
    return repr(hook.execute(*a0.split(' ')))
except hook.CommandError as error:
    return f'error {error}'
"""


def executed(client: redis.Redis, hook: Hook, command: str) -> str:
    ((told,),) = run_hooks(client, f"SELECT h0('{command}')", [hook]).rows
    return str(told)


def test_hooks_execute_commands_that_read(client: redis.Redis) -> None:
    execute = scalar(client, "execute", "VARCHAR", "VARCHAR", EXECUTE, volatile=True)
    client.set("k", b"v\xff")
    client.hset("h", mapping={"a": 1})
    client.rpush("l", *range(3))
    assert executed(client, execute, "GET k") == repr(b"v\xff")
    assert executed(client, execute, "GET nothing") == "None"
    assert executed(client, execute, "strlen k") == "2"
    assert executed(client, execute, "HGETALL h") == repr(["a", "1"])
    assert executed(client, execute, "LRANGE l 0 -1") == repr(["0", "1", "2"])
    assert executed(client, execute, "OBJECT ENCODING l") in ("'listpack'", "'quicklist'")
    assert executed(client, execute, "GET l").startswith("error WRONGTYPE")
    assert executed(client, execute, "GET").startswith("error ERR wrong number")


def test_hooks_execute_nothing_else(client: redis.Redis) -> None:
    execute = scalar(client, "execute", "VARCHAR", "VARCHAR", EXECUTE, volatile=True)
    client.set("k", "v")
    for command in (
        *(
            "SET k w",
            "DEL k",
            "FLUSHALL",
            "EVAL return(1) 0",
            "EVAL_RO return(1) 0",
            "FCALL f 0",
            "CONFIG GET *",
        ),
        *("SHUTDOWN", "MULTI", "SUBSCRIBE c", "BLPOP l 0", "SORT l STORE m", "PUBLISH c m", "DEBUG SLEEP 1"),
        *(
            "CLUSTER RESET",
            "ACL SETUSER x",
            "NOTHING",
            "GEARSQL.DEFINE SET",
            "GEARSQL.UNDEFINE 99 execute",
            "",
            "-",
        ),
    ):
        assert executed(client, execute, command).startswith("error "), command
    assert executed(client, execute, "XREAD BLOCK 0 STREAMS s $") == "None", "nothing blocks"
    stage = " ".join(str(word) for word in execute_words("SELECT(1)", stage="inner"))
    assert executed(client, execute, stage).startswith("error GEARSSTAGE"), "no stage within a stage"
    assert client.get("k") == b"v"


def test_hooks_execute_as_the_calling_user(server: Cluster, client: redis.Redis) -> None:
    execute = scalar(client, "execute", "VARCHAR", "VARCHAR", EXECUTE, volatile=True)
    client.set("mine", "1")
    client.set("other", "2")
    rights = ("+gearsql.execute", "+gearsql.fetch", "+get", "+ping")
    client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~mine", *rights)
    try:
        with connect(server, username="limited", password="secret") as limited:
            assert executed(limited, execute, "GET mine") == repr("1")
            assert executed(limited, execute, "GET other").startswith("error NOPERM")
            assert executed(limited, execute, "STRLEN mine").startswith("error NOPERM")
        assert executed(client, execute, "GET other") == repr("2")
    finally:
        client.execute_command("ACL", "DELUSER", "limited")


def test_hooks_read_the_database_of_the_query(client: redis.Redis) -> None:
    execute = scalar(client, "execute", "VARCHAR", "VARCHAR", EXECUTE, volatile=True)
    client.set("k", "zero")
    client.select(3)
    client.set("k", "three")
    assert executed(client, execute, "GET k") == repr("three")
    client.select(0)
    assert executed(client, execute, "GET k") == repr("zero")


def test_hooks_write_a_thousand_lines_into_the_log_at_most(
    client: redis.Redis, home: tuple[Cluster, Path]
) -> None:
    source = "from gearsql import hook\nhook.log(f'line {a0} of\\n{hook.query_id()}')\nreturn a0"
    log = scalar(client, "log_", "BIGINT", "BIGINT", source)
    run_hooks(client, "SELECT sum(h0(i)) FROM range(3000) AS t(i)", [log], stage="logged")
    written = "".join(path.read_text(errors="replace") for path in home[1].rglob("*.log"))
    assert written.count("hook log_ of stage logged: line ") == 1000
    assert "hook log_ of stage logged: line 999 of%0Alogged" in written


def test_a_hook_knows_its_query(client: redis.Redis) -> None:
    source = "from gearsql import hook\nreturn [hook.query_id(), hook.user(), hook.shard_id()]"
    who = scalar(client, "who", "", "VARCHAR[]", source, volatile=True)
    run_id = client.info("server")["run_id"]
    assert run_hooks(client, "SELECT h0()", [who], stage="this one").rows == [
        (["this one", "default", run_id],)
    ]


# ---- what no stage can ask -----------------------------------------------------------------------


def test_calls_of_other_hooks_are_refused(client: redis.Redis) -> None:
    number = scalar(client, "number", "BIGINT", "BIGINT", "return a0")
    text = scalar(client, "text_", "VARCHAR", "VARCHAR", "return a0")
    total = aggregate(client, "total", "BIGINT", "VARCHAR", SUM)
    hooks = [number, text, total]
    assert run_hooks(client, "SELECT h0(1), h1('a'), h2(2)", hooks).rows == [(1, "a", "1:2")]
    for sql in (
        f"SELECT {number.call}(1, 7)",
        f"SELECT {number.call}(3, 7)",
        f"SELECT {number.call}(-1, 7)",
        f"SELECT {number.call}(2147483647, 7)",
        f"SELECT {number.call}(NULL, 7)",
        f"SELECT {number.call}(i::INTEGER, 7) FROM range(2) AS t(i)",
        f"SELECT {number.call}(if(i = 1, NULL, 0)::INTEGER, 7) FROM range(2) AS t(i)",
        f"SELECT {number.call}(2, 7)",
        f"SELECT {total.call}_2(0, 7)",
        f"SELECT {total.call}_2(NULL, 7)",
        f"SELECT {total.call}_2(i::INTEGER, 7) FROM range(3) AS t(i)",
    ):
        with pytest.raises(redis.ResponseError, match=r"GEARSSQL .*first argument of a hook's call"):
            client.execute_command(*hook_words(sql, hooks))
    for sql in (f"SELECT {number.call}(0, 7)", f"SELECT {total.call}_2(2, 7)", f"SELECT {text.call}(0, 'a')"):
        with pytest.raises(redis.ResponseError, match=r"GEARSSQL .*first argument"):
            run(client, sql)
        with pytest.raises(redis.ResponseError, match=r"GEARSSQL .*first argument"):
            client.execute_command(*hook_words(sql, [text, number] if "'a'" not in sql else [number, text]))
    with pytest.raises(redis.ResponseError, match="GEARSSQL"):
        client.execute_command(*hook_words("SELECT gears_hook_0000000000000000(0, 1)", hooks))


def test_an_unknown_function_or_another_definition_is_refused(client: redis.Redis) -> None:
    hook = scalar(client, "known", "BIGINT", "BIGINT", "return a0")
    for pair in (
        ("unknown", hook.words[1]),
        ("known", "0" * 64),
        ("known", ""),
        ("", ""),
        ("kn\0wn\xff", "x\0"),
    ):
        with pytest.raises(redis.ResponseError, match=r"^GEARSFUNCTION "):
            client.execute_command(*hook_words("SELECT 1", [hook, pair]))
    old = hook
    scalar(client, "known", "BIGINT", "BIGINT", "return a0 + 1")
    with pytest.raises(redis.ResponseError, match=r"^GEARSFUNCTION known\(\)"):
        run_hooks(client, "SELECT h0(1)", [old])


def test_sixty_four_hooks_are_the_most(client: redis.Redis) -> None:
    hook = scalar(client, "known", "BIGINT", "BIGINT", "return a0")
    assert run_hooks(client, "SELECT h63(1)", [hook] * 64).rows == [(1,)]
    with pytest.raises(redis.ResponseError, match=r"GEARSSTAGE argument .* hooks"):
        run_hooks(client, "SELECT 1", [hook] * 65)


def test_every_prefix_and_every_wrong_word_is_refused_by_name(client: redis.Redis) -> None:
    hook = scalar(client, "known", "BIGINT", "BIGINT", "return a0")
    good = hook_words(f"SELECT {hook.call}(1, 7)", [hook, hook])
    assert client.execute_command(*good)[1] == 0
    start = good.index("HOOKS")
    wrong: list[list[Word]] = [good[:length] for length in range(start, len(good))]
    odd: list[Word] = ["", "-1", "99999999999999999999", "65", "3", b"\x00", "HOOKS", "SQL", "x" * 1000]
    for place, word in itertools.product(range(start, len(good) - 1), odd):
        wrong.append([*good[:place], word, *good[place + 1 :]])
    wrong.append([*good[:start], *good[start:-2], *good[start:]])
    for words in wrong:
        try:
            client.execute_command(*words)
        except redis.ResponseError as error:
            assert str(error).startswith(("GEARS", "wrong number of arguments")), (words, error)
