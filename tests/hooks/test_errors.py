"""What a user is told when a hook fails: which line, for which row, where; and what ON ERROR NULL hides."""

from __future__ import annotations

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import FunctionDefinitionError, HookError
from tests.hooks.scene import define, descendants, rows, value

isolations = pytest.mark.parametrize("isolation", ["session", "process", "main"])

LATE = """
def check(value):
    if value == 77:
        raise ValueError('not 77, please')
    return value

def picky(n, s):
    # A line that counts.
    return check(n)
"""


@isolations
def test_an_error_shows_the_users_lines_the_key_the_arguments_and_the_shard(
    connection: Connection, place: Cluster, isolation: str
) -> None:
    define(
        connection,
        "picky(n BIGINT, s VARCHAR) RETURNS BIGINT",
        LATE,
        f"CALLED ON NULL INPUT ISOLATION {isolation}",
    )
    with pytest.raises(HookError) as raised:
        connection.execute("SELECT sum(picky(n, s)) FROM t")
    error = raised.value
    assert error.function == "picky"
    assert error.shard in {f"127.0.0.1:{port}" for port in place.ports}
    assert error.key == b"t:77"
    assert error.arguments == (("n", "77"), ("s", "'word 0'"))
    assert error.message == (
        f"picky() failed for key 't:77': ValueError: not 77, please (shard {error.shard})"
    )
    # Lines count from the one after the opening $$.
    carets = {" ", "^"}  # Pythons differ in what they underline.
    assert [line for line in error.traceback.splitlines() if not set(line) <= carets] == [
        "Traceback (most recent call last):",
        '  File "<function picky>", line 9, in picky',
        "    return check(n)",
        '  File "<function picky>", line 4, in check',
        "    raise ValueError('not 77, please')",
        "ValueError: not 77, please",
    ]


@isolations
def test_a_body_has_its_own_lines(connection: Connection, isolation: str) -> None:
    source = "first = n\n\nif n == 5:\n    boom = 1 / 0\nreturn first"
    define(connection, "body(n BIGINT) RETURNS BIGINT", source, f"ISOLATION {isolation}")
    with pytest.raises(HookError) as raised:
        connection.execute("SELECT body(n) FROM t")
    assert '  File "<function body>", line 4, in body\n    boom = 1 / 0' in raised.value.traceback
    assert raised.value.key == b"t:5"


@isolations
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("return 'seven'", "TypeError"),
        ("return 2**63", "BIGINT"),
        ("return True", "bool"),
        ("return 1.5", "float"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise RecursionError('deep')", "RecursionError"),
        ("def again(): return again()\nreturn again()", "RecursionError"),
        ("import sys\nsys.exit('bye')", "SystemExit: bye"),
        ("raise MemoryError", "MemoryError|memory"),
        ("raise StopIteration", "StopIteration"),
    ],
)
def test_whatever_is_raised_is_an_error_of_the_query(
    lone: Cluster, isolation: str, source: str, said: str
) -> None:
    with gearsql.connect(lone.url, session="errors") as connection:
        define(connection, "odd(n BIGINT) RETURNS BIGINT", f"{source}\nreturn n", f"ISOLATION {isolation}")
        with pytest.raises(gearsql.errors.DatabaseError, match=said) as raised:
            connection.execute("SELECT odd(n) FROM t")
        assert "odd()" in raised.value.message
        define(connection, "odd(n BIGINT) RETURNS BIGINT", "return n", f"ISOLATION {isolation}")
        assert value(connection, "SELECT count(odd(n)) FROM t") == 600
        connection.execute("DROP FUNCTION odd")


@isolations
def test_an_error_of_an_aggregate_names_its_method(connection: Connection, isolation: str) -> None:
    source = """
class fussy:
    def __init__(self): self.seen = []
    def accumulate(self, n):
        self.seen.append(n)
        if n == 99:
            raise ValueError('had enough')
    def merge(self, other):
        self.seen += other.seen
    def finish(self):
        return len(self.seen)
"""
    define(connection, "fussy(n BIGINT) RETURNS BIGINT", source, f"ISOLATION {isolation}", aggregate=True)
    with pytest.raises(HookError, match="had enough") as raised:
        connection.execute("SELECT k, fussy(n) FROM t GROUP BY k")
    assert "line 7, in accumulate\n    raise ValueError" in raised.value.traceback
    assert raised.value.key == b"t:99"
    assert value(connection, "SELECT fussy(n) FROM t WHERE n < 50") == 50


def test_an_error_in_the_merge_says_that_it_was_here(trio_connection: Connection) -> None:
    define(trio_connection, "no(n BIGINT) RETURNS BIGINT", "return n // 0")
    with pytest.raises(HookError, match=r"no\(\) failed: ZeroDivisionError: .* \(in this client\)") as raised:
        trio_connection.execute("SELECT no(count(*)) FROM t")
    assert raised.value.shard is None
    assert 'File "<function no>", line 1, in no' in raised.value.traceback
    assert raised.value.arguments == (("n", "600"),)


@pytest.mark.parametrize(
    ("type_", "text", "said"),
    [
        ("DATE", "infinity", "this DATE is beyond"),
        ("DATE", "10000-01-01", "this DATE is beyond"),
        ("TIMESTAMP", "infinity", "this TIMESTAMP is beyond"),
        ("TIMESTAMP WITH TIME ZONE", "10000-01-01 00:00:00Z", "this TIMESTAMP is beyond"),
        ("TIME", "24:00:00", "this TIME is beyond"),
        ("INTERVAL", "1 month", "an INTERVAL of 1 months"),
    ],
)
def test_an_argument_that_python_cannot_hold_is_the_same_error_in_shards_and_merge(
    trio_connection: Connection, type_: str, text: str, said: str
) -> None:
    define(trio_connection, f"same(v {type_}) RETURNS {type_}", "return v")
    literal = f"CAST('{text}' AS {type_})"
    for query in (
        f"SELECT same(max({literal})) FROM t",
        f"SELECT same(CASE WHEN n = 3 THEN {literal} END) FROM t",
    ):
        with pytest.raises(HookError, match=rf"same\(\) failed.*OverflowError: {said}"):
            trio_connection.execute(query)


def test_on_error_null_says_nothing_if_nothing_fails(connection: Connection) -> None:
    define(connection, "fine(n BIGINT) RETURNS BIGINT", "return n", "ON ERROR NULL")
    cursor = connection.execute("SELECT sum(fine(n)) FROM t")
    assert cursor.fetchall() == [(sum(range(600)),)] and cursor.messages == []


def test_on_error_null_forgives_results_that_do_not_fit(connection: Connection) -> None:
    define(connection, "small(n BIGINT) RETURNS TINYINT", "return n", "ON ERROR NULL")
    assert value(connection, "SELECT count(small(n)) FROM t") == 128


def test_on_error_null_in_the_merge_is_noted_too(trio_connection: Connection) -> None:
    define(trio_connection, "maybe(n BIGINT) RETURNS DOUBLE", "return 1 / (n % 2)", "ON ERROR NULL")
    cursor = trio_connection.execute("SELECT n, maybe(max(n)) FROM t GROUP BY n")
    assert sum(v is None for _, v in cursor.fetchall()) == 300
    assert "a function failed for 300 rows" in str(cursor.messages[0][1])


# ---- definitions ---------------------------------------------------------------------------------------


@isolations
@pytest.mark.parametrize(
    ("source", "requires", "said", "line"),
    [
        ("return n +", "", "invalid syntax", 2),
        ("import no_such_thing\ndef bad(n): return n", "", "No module named 'no_such_thing'", 2),
        ("x = 1\ny = x / 0\ndef bad(n): return n", "", "ZeroDivisionError", 3),
        ("return n", "REQUIRES ('no_such_thing')", "No module named 'no_such_thing'", 1),
        ("return n", "REQUIRES ('json', 'os.nothing')", "os.nothing", 1),
    ],
)
def test_a_definition_that_no_shard_can_load_is_refused_at_its_line(
    connection: Connection, isolation: str, source: str, requires: str, said: str, line: int
) -> None:
    with pytest.raises(FunctionDefinitionError, match=said) as raised:
        define(connection, "bad(n BIGINT) RETURNS BIGINT", source, requires, f"ISOLATION {isolation}")
    assert raised.value.line == line
    if "syntax" not in said:
        assert "(shard 127.0.0.1:" in raised.value.message
    assert rows(connection, "SHOW FUNCTIONS") == []


@isolations
@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_the_shard_that_lacks_a_package_is_named_and_no_shard_has_the_function(
    trio: Cluster, trio_connection: Connection, isolation: str, lacking: int
) -> None:
    # A session is the server, a process a child of the supervisor, which is one of the server.
    there = {trio.pids[lacking], *descendants(trio.pids[lacking])}
    source = f"""
import os
if {{os.getpid(), os.getppid()}} & {there}:
    raise ModuleNotFoundError("No module named 'rare'")

def rare(n):
    return n
"""
    with pytest.raises(FunctionDefinitionError, match="No module named 'rare'") as raised:
        define(trio_connection, "rare(n BIGINT) RETURNS BIGINT", source, f"ISOLATION {isolation}")
    assert f"(shard 127.0.0.1:{trio.ports[lacking]})" in raised.value.message
    for shard in range(3):
        with trio.client(shard) as client:
            assert all(b"rare" not in told for told in client.execute_command("GEARSQL.FUNCTIONS"))
