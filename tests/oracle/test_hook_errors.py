"""Users' functions on real servers: errors that name the row, versions that change, notes, plans."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import CancelledError, HookError, TypeMismatchError, UnknownFunctionError

ROWS = 200
FUNCTIONS = """
CREATE OR REPLACE FUNCTION picky(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$
if x == 77:
    raise ValueError('not this one')
return x
$$;
CREATE OR REPLACE FUNCTION lenient(x BIGINT) RETURNS BIGINT LANGUAGE python ON ERROR NULL AS $$
return 1 // (x % 10)
$$;
CREATE OR REPLACE FUNCTION endless(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$
while x is not None:
    x = x + 1 - 1
return x
$$;
CREATE OR REPLACE FUNCTION chars(text VARCHAR) RETURNS TABLE (letter VARCHAR) LANGUAGE python AS $$
for letter in text:
    if text == 'name 77':
        raise KeyError(letter)
    yield letter,
$$;
CREATE OR REPLACE AGGREGATE FUNCTION wary(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$
class wary:
    def __init__(self):
        self.seen = 0

    def accumulate(self, x):
        assert x != 77, 'seventy-seven'
        self.seen += 1

    def merge(self, other):
        self.seen += other.seen

    def finish(self):
        return self.seen
$$
"""


@pytest.fixture(scope="module", params=["one_server", "three_shards"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A server, then a cluster."""
    cluster: Cluster = request.getfixturevalue(request.param)
    client: Any = redis.Redis if request.param == "one_server" else redis.RedisCluster
    with client.from_url(cluster.url) as writer:
        for number in range(ROWS):
            writer.hset(f"hooked:{number}", mapping={"n": number, "name": f"name {number}", "g": number % 3})
    return cluster


@pytest.fixture(scope="module")
def connection(cluster: Cluster) -> Iterator[gearsql.Connection]:
    """A connection to servers with 200 rows, one of which the functions do not like."""
    with gearsql.connect(cluster.url, session="errors") as connection:
        for text in FUNCTIONS.split(";\n"):
            connection.execute(text)
        yield connection


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('SELECT picky(n) FROM "hooked:*"', "picky() failed for key 'hooked:77': ValueError: not this one"),
        ('SELECT n FROM "hooked:*" WHERE picky(n) = 5', "key 'hooked:77'"),
        ('SELECT g, sum(picky(n) + 1) FROM "hooked:*" GROUP BY g', "key 'hooked:77'"),
        ('SELECT picky(n * 7) FROM "hooked:*" WHERE g <> 1', "key 'hooked:11'"),
        ('SELECT entropy(picky(n)) FROM "hooked:*"', "key 'hooked:77'"),
        ('SELECT letter, count(*) FROM "hooked:*", chars(name) GROUP BY letter', "key 'hooked:77'"),
        ('SELECT g, wary(n) FROM "hooked:*" GROUP BY g', "wary() failed for key 'hooked:77': AssertionError"),
    ],
)
def test_an_error_names_the_row(connection: gearsql.Connection, query: str, said: str) -> None:
    with pytest.raises(HookError) as raised:
        connection.execute(query)
    error = raised.value
    assert said in str(error)
    assert error.key is not None and error.key.decode() in said
    assert error.shard is not None and error.shard in str(error)
    # The connection is as good as before.
    assert connection.execute('SELECT count(picky(n)) FROM "hooked:*" WHERE n < 77').fetchone() == (77,)


def test_on_error_null_is_told(connection: gearsql.Connection) -> None:
    cursor = connection.execute('SELECT count(lenient(n)), count(*) FROM "hooked:*"')
    assert cursor.fetchall() == [(ROWS - ROWS // 10, ROWS)]
    assert [str(message) for _, message in cursor.messages] == [
        f"a function failed for {ROWS // 10} rows: NULL, as its ON ERROR NULL says"
    ]


def test_a_failure_over_groups_has_no_row(connection: gearsql.Connection, cluster: Cluster) -> None:
    with pytest.raises(HookError) as raised:
        connection.execute('SELECT g FROM "hooked:*" GROUP BY g HAVING picky(count(*) + 10) > 0')
    assert raised.value.key is None
    assert ("in this client" in str(raised.value)) == (len(cluster.ports) == 3)
    cursor = connection.execute('SELECT g, lenient(count(*) - 66) FROM "hooked:*" GROUP BY g ORDER BY g')
    assert cursor.fetchall() == [(0, 1), (1, 1), (2, None)]
    assert "1 row: NULL" in str(cursor.messages[0][1])


@pytest.mark.parametrize(
    "query", ['SELECT endless(n) FROM "hooked:*"', 'SELECT endless(count(*)) FROM "hooked:*"']
)
def test_ctrl_c_ends_a_function(connection: gearsql.Connection, query: str) -> None:
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        connection.execute(query)
    assert time.monotonic() - begun < 10
    assert connection.execute('SELECT picky(count(*)) FROM "hooked:*"').fetchone() == (ROWS,)


@pytest.mark.parametrize(
    "query", ['SELECT endless(n) FROM "hooked:*"', 'SELECT endless(count(*)) FROM "hooked:*"']
)
def test_a_function_ends_with_its_querys_time(
    connection: gearsql.Connection, cluster: Cluster, query: str
) -> None:
    with gearsql.connect(cluster.url, session="late", timeout=1) as hasty:
        begun = time.monotonic()
        with pytest.raises(CancelledError):
            hasty.execute(query)
        assert time.monotonic() - begun < 10
    assert connection.execute('SELECT picky(count(*)) FROM "hooked:*"').fetchone() == (ROWS,)


def test_another_connection_sees_a_new_version(connection: gearsql.Connection, cluster: Cluster) -> None:
    query = 'SELECT DISTINCT version_of(n) FROM "hooked:*"'
    with gearsql.connect(cluster.url, session="errors") as other:
        for version in ("'first'", "'second'"):
            connection.execute(
                "CREATE OR REPLACE FUNCTION version_of(x BIGINT) RETURNS VARCHAR LANGUAGE python AS $$\n"
                f"return {version}\n$$"
            )
            assert other.execute(query).fetchall() == [(version.strip("'"),)]
        connection.execute(
            "CREATE OR REPLACE FUNCTION version_of(x VARCHAR) RETURNS BLOB LANGUAGE python AS $$ return x $$"
        )
        with pytest.raises(TypeMismatchError, match=r"version_of\(x VARCHAR\)"):
            other.execute(query)
        connection.execute("DROP FUNCTION version_of")
        with pytest.raises(UnknownFunctionError):
            other.execute(query)


def test_an_unknown_function_comes_with_the_near_ones(connection: gearsql.Connection) -> None:
    with pytest.raises(UnknownFunctionError) as raised:
        connection.execute('SELECT leniant(n) FROM "hooked:*"')
    assert raised.value.candidates[0] == "lenient"


def test_explain_says_where_functions_run(connection: gearsql.Connection, cluster: Cluster) -> None:
    rows = connection.execute('EXPLAIN SELECT picky(n), wary(n) FROM "hooked:*" WHERE g = 1 GROUP BY 1')
    lines = [line.split() for (line,) in rows.fetchall()]
    hooks = [" ".join(line[1:]) for line in lines if line[:1] == ["hooks"]]
    both = "picky (in a session of each server), wary (in a session of each server)"
    if len(cluster.ports) == 1:
        assert hooks == [both]
    else:
        assert hooks == [both, "wary (in a process of this client)"]
