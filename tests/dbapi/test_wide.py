"""Queries of several tables as a user meets them: names, notes, errors, `_key`, plans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import (
    MisfitError,
    NotSupportedError,
    TypeMismatchError,
    UnknownColumnError,
    UnknownTableError,
)

Rows = list[tuple[object, ...]]


@pytest.fixture(scope="module", params=[1, 3])
def connection(request: pytest.FixtureRequest) -> Iterator[gearsql.Connection]:
    with Cluster(request.param) as cluster, gearsql.connect(cluster.url) as connection:
        client = redis.Redis if request.param == 1 else redis.RedisCluster
        with client.from_url(cluster.url) as server:
            for n in range(20):
                server.hset(f"left:{n}", mapping={"n": n, "w": f"w{n % 3}"})
                server.hset(f"Left:{n}", mapping={"n": n + 100})
                server.hset(f"odd:{n}", mapping={"n": n if n % 5 else "none"})
        connection.execute("CREATE TABLE l (n BIGINT, w VARCHAR) WITH (key = 'left:{id}')")
        connection.execute("CREATE TABLE nulls (n BIGINT) WITH (key = 'odd:{id}', on_error = 'null')")
        connection.execute("CREATE TABLE skips (n BIGINT) WITH (key = 'odd:{id}', on_error = 'skip')")
        connection.execute("CREATE TABLE strict (n BIGINT) WITH (key = 'odd:{id}')")
        yield connection


def rows(connection: gearsql.Connection, text: str, parameters: object = None) -> Rows:
    return list(connection.execute(text, parameters).fetchall())  # type: ignore[arg-type]


def test_patterns_that_differ_in_case_are_two_tables(connection: gearsql.Connection) -> None:
    text = 'SELECT max(a.n), max(b.n), count(*) FROM "left:*" a JOIN "Left:*" b ON b.n = a.n + 100'
    assert rows(connection, text) == [(19, 119, 20)]
    assert rows(connection, "SELECT count(*) FROM l JOIN L AS other USING (n)") == [(20,)]


def test_what_was_left_out_of_any_table_is_said(connection: gearsql.Connection) -> None:
    for text, said in {
        "SELECT count(*), count(nulls.n) FROM l LEFT JOIN nulls USING (n)": "NULL",
        "SELECT count(*), count(skips.n) FROM l LEFT JOIN skips USING (n)": "left out",
    }.items():
        cursor = connection.execute(text)
        assert cursor.fetchall() == [(20, 16)]
        assert any(said in str(note) and "4" in str(note) for _, note in cursor.messages), cursor.messages


def test_a_misfit_of_any_table_ends_the_query(connection: gearsql.Connection) -> None:
    with pytest.raises(MisfitError) as raised:
        rows(connection, "SELECT count(*) FROM l JOIN strict USING (n)")
    assert raised.value.field == "n" and raised.value.hint is not None


def test_stars_have_no_key_and_whoever_names_it_gets_it(connection: gearsql.Connection) -> None:
    cursor = connection.execute("SELECT * FROM l a JOIN l b USING (n) WHERE n = 3")
    assert [name for name, *_ in cursor.description or ()] == ["n", "w", "id", "w", "id"]
    keyed = "SELECT a._key, b.*, (SELECT max(_key) FROM nulls) AS m FROM l a, l b WHERE a.n = b.n AND a.n = 3"
    assert rows(connection, keyed) == [("left:3", 3, "w0", "3", "odd:9")]
    with pytest.raises(NotSupportedError, match="NATURAL"):
        rows(connection, "SELECT a._key FROM l a NATURAL JOIN nulls")


def test_parameters_and_their_names(connection: gearsql.Connection) -> None:
    cursor = connection.execute("SELECT a.n + ? FROM l a JOIN l b USING (n) WHERE a.n = ?", [1, 2])
    assert [name for name, *_ in cursor.description or ()] == ["(a.n + $1)"]
    assert cursor.fetchall() == [(3,)]
    limited = "SELECT n FROM (SELECT n FROM l ORDER BY n LIMIT ?) ORDER BY n DESC LIMIT ?"
    assert rows(connection, limited, [3, 1]) == [(2,)]


@pytest.mark.parametrize(
    ("text", "kind", "under"),
    [
        ("SELECT l.q FROM l, nulls", UnknownColumnError, "l.q"),
        ("SELECT 1 FROM l JOIN nothing ON true", UnknownTableError, "nothing"),
        ("SELECT n FROM l, nulls", TypeMismatchError, "n"),
        ("WITH c AS (SELECT w + 1 FROM l) FROM c", TypeMismatchError, "+"),
        ("SELECT rowid FROM l JOIN nulls USING (n)", NotSupportedError, "rowid"),
        ("SELECT 1 FROM l WHERE n IN (FROM glob('*'))", NotSupportedError, "glob('*')"),
    ],
)
def test_errors_point_at_their_place(
    connection: gearsql.Connection, text: str, kind: type[gearsql.Error], under: str
) -> None:
    with pytest.raises(kind) as raised:
        rows(connection, text)
    place = raised.value.position
    assert place is not None and text[place.start : place.end] == under


def test_conditions_and_columns_go_down_to_the_tables(connection: gearsql.Connection) -> None:
    text = "SELECT a.w, sum(b.n) FROM l a JOIN nulls b ON a.n = b.n AND b.n > 3 WHERE a.n < 15 GROUP BY a.w"
    plan = "\n".join(str(line) for (line,) in rows(connection, f"EXPLAIN {text}"))
    if "on the only shard" not in plan:
        assert 'filter   "n" < 15' in plan and 'filter   "n" > 3' in plan
        # Once in the parts, once in their join on the shards.
        assert [half.count("reads    n BIGINT, w VARCHAR") for half in plan.split("scan_join_0", 1)] == [1, 1]
    outer = f"EXPLAIN {text.replace('JOIN', 'LEFT JOIN').replace('WHERE a.n < 15', 'WHERE b.n IS NULL')}"
    assert 'filter   "n" IS NULL' not in "\n".join(str(line) for (line,) in rows(connection, outer))
    assert dict(rows(connection, text)) == {"w0": 27, "w1": 24, "w2": 33}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("SELECT count(*), max(a.w) FROM l a JOIN nulls b USING (n) WHERE 1 = 0", [(0, None)]),
        ("SELECT a._key, b.* FROM l a FULL JOIN strict b ON a.n = b.n WHERE a.n > 3 AND 'a' || '' = 'c'", []),
        ("SELECT * FROM l NATURAL JOIN nulls AS b(n, i) WHERE NULL", []),
        ("SELECT rank() OVER (ORDER BY n), n FROM strict WHERE 0", []),
        ("SELECT * FROM l JOIN strict ON DATE '2024-01-01' + INTERVAL 1 DAY < DATE '2024-01-01'", []),
        ("SELECT w, max(m) FROM (SELECT w, max(n) m FROM l GROUP BY w UNION SELECT 'x', n FROM strict) s,"
         " nulls WHERE length('abc') < 2 GROUP BY w", []),
        ("SELECT (SELECT max(b.n) FROM l a, strict b WHERE false) IS NULL", [(True,)]),
    ],
)  # fmt: skip
def test_no_key_is_read_where_no_row_can_count(
    connection: gearsql.Connection, text: str, answer: Rows
) -> None:
    assert rows(connection, text) == answer
    plan = [str(line) for (line,) in rows(connection, f"EXPLAIN {text}")]
    assert not [line for line in plan if "shard" in line and "0 keys" not in line], plan


def test_a_side_that_no_row_meets_is_not_read(connection: gearsql.Connection) -> None:
    for join, answer in {"LEFT JOIN": (20, 0), "ANTI JOIN": (20, None), "SEMI JOIN": (0, None)}.items():
        counted = "count(strict.n)" if answer[1] is not None else "NULL"
        assert rows(connection, f"SELECT count(l.n), {counted} FROM l {join} strict ON 1 > 2") == [answer]
    with pytest.raises(MisfitError):
        rows(connection, "SELECT count(*), count(strict.n) FROM l FULL JOIN strict ON 1 > 2")


def test_a_condition_over_parameters_is_asked_anew(connection: gearsql.Connection) -> None:
    text = "SELECT count(*) FROM l a JOIN l b USING (n) WHERE ? = 1"
    found = [rows(connection, text, [value]) for value in (0, 1, 0, 1, 1, 0, None)]
    assert [count for [(count,)] in found] == [0, 20, 0, 20, 20, 0, 0]


@pytest.mark.parametrize("terms", [100, 450, 1200])
def test_what_is_nested_too_deeply_has_a_named_error(one_server: Cluster, terms: int) -> None:
    text = f'SELECT {" + ".join(["n::BIGINT"] * terms)} FROM "deep:*"'
    with gearsql.connect(one_server.url) as connection, one_server.client() as client:
        client.hset("deep:1", "n", "2")
        with pytest.raises(NotSupportedError, match="some 80 operators or calls") as raised:
            connection.execute(text)
        assert raised.value.text == text and raised.value.hint
        short = f'SELECT {" + ".join(["n::BIGINT"] * 60)} FROM "deep:*"'
        assert connection.execute(short).fetchall() == [(120,)]
        client.delete("deep:1")
