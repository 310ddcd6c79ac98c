"""INSERT, UPDATE and DELETE leave in the table what DuckDB's leave in a native one; and what they refuse."""

import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import pytest
import redis

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import (
    AccessDeniedError,
    DataError,
    Error,
    KeyExistsError,
    NotSupportedError,
    ProgrammingError,
    RowsChangedError,
    SqlSyntaxError,
    TypeMismatchError,
    UnknownColumnError,
    UnknownTableError,
)

COLUMNS = "id INTEGER, a INTEGER, b VARCHAR, c DOUBLE, d DECIMAL(3,1)"

SCRIPT = [
    "INSERT INTO t VALUES (1, 2, 'x', 1.5, 2.5), (2, NULL, 'y', '3', 4), (3, '17', 'é''s', -1e300, .5)",
    "INSERT INTO t (b, id) VALUES (upper('z') || 1, 10 + 1), ('', 12)",
    "INSERT INTO t (id, a) SELECT id + 100, a * 2 FROM t WHERE id < 10 AND a IS NOT NULL",
    "INSERT INTO t BY NAME SELECT 'n' AS b, id + 200 AS id FROM t WHERE id = 1",
    "INSERT INTO t (id, b) VALUES (1, 'no'), (4, 'yes'), (4, 'no') ON CONFLICT DO NOTHING",
    "INSERT OR IGNORE INTO t (id, b) VALUES (1, 'no'), (5, 'yes')",
    "INSERT OR REPLACE INTO t (id, a, b) VALUES (2, 7, NULL), (6, 8, 'six')",
    "INSERT INTO t (id, a) VALUES (1, 99), (7, 70) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
    "INSERT INTO t (id, a, b) VALUES (1, 10, 'n'), (8, 4, 'new')"
    " ON CONFLICT DO UPDATE SET a = t.a + excluded.a, b = b || excluded.b",
    "INSERT INTO t (id, a) VALUES (1, 1), (2, 5), (9, 9)"
    " ON CONFLICT (id) DO UPDATE SET a = coalesce(a, 0) * 2 + excluded.a WHERE excluded.a > 1 OR b = 'nix'",
    "INSERT INTO t (id, a) SELECT id, 7 FROM t WHERE id < 4"
    " ON CONFLICT (id) DO UPDATE SET c = a + c, d = NULL, b = 'k' || excluded.id",
    "INSERT INTO t (id, a, c) VALUES (3, NULL, 1) ON CONFLICT (id) DO UPDATE SET a = excluded.a WHERE false",
    "INSERT INTO t (id, b) VALUES (3, 'x')"
    " ON CONFLICT (id) DO UPDATE SET a = DEFAULT, b = excluded.b, c = excluded.c",
    "INSERT INTO t (id, a) SELECT i, i FROM range(1, 1200) r(i)"
    " ON CONFLICT DO UPDATE SET a = coalesce(t.a, 0) - excluded.a",
    "DELETE FROM t WHERE id > 300",
    "UPDATE t SET a = coalesce(a, 0) + id, b = b || '!' WHERE id > 1",
    "UPDATE t AS x SET c = CASE WHEN x.a > 50 THEN x.a / 4 END, d = DEFAULT, b = 'b'",
    "UPDATE t SET a = a + 1 WHERE b = 'none'",
    "UPDATE t SET a = (SELECT sum(a) + max(r) FROM (SELECT a, row_number() OVER () AS r FROM t))",
    "UPDATE t SET c = 2.5",
    "DELETE FROM t WHERE id = 2 OR a BETWEEN 10 AND 30",
    "DELETE FROM t x WHERE x.c IS NULL",
    "DELETE FROM t",
]


@pytest.fixture
def t(connection: Connection) -> Connection:
    """A connection with the table t."""
    connection.execute(f"CREATE OR REPLACE TABLE t ({COLUMNS}) WITH (key = 'wt:{{id}}')")
    connection.execute("DELETE FROM t")
    return connection


def rows(connection: Any) -> list[Any]:
    found: list[Any] = connection.execute("SELECT id, a, b, c, d FROM t ORDER BY id").fetchall()
    return found


def test_a_table_holds_afterwards_what_duckdbs_holds(t: Connection) -> None:
    oracle = duckdb.connect()
    oracle.execute(f"CREATE TABLE t ({COLUMNS}, PRIMARY KEY (id))")
    for statement in SCRIPT:
        ((count,),) = oracle.execute(statement).fetchall()
        cursor = t.execute(statement)
        assert cursor.rowcount == count, statement
        assert cursor.description is None
        assert rows(t) == rows(oracle), statement


def test_parameters_stand_in_every_clause(t: Connection) -> None:
    t.execute("INSERT INTO t (id, a, b) VALUES (?, ?, ?)", [1, 5, "x"])
    t.execute("INSERT INTO t (id, b) SELECT id + $n, $b FROM t", {"n": 1, "b": "y"})
    t.execute("UPDATE t SET a = coalesce(a, 0) + ?, c = ? WHERE b = ?", [3, 0.25, "y"])
    assert rows(t) == [(1, 5, "x", None, None), (2, 3, "y", 0.25, None)]
    assert t.execute("DELETE FROM t WHERE id IN (?, ?)", [2, 3]).rowcount == 1


def test_parameters_of_do_update_go_on_where_those_before_it_end(t: Connection) -> None:
    t.execute("INSERT INTO t (id, a, b) VALUES (1, 5, 'x'), (2, 6, 'y'), (3, 7, 'z')")
    new = "INSERT INTO t (id, a) VALUES (?, ?), (2, ?) ON CONFLICT DO UPDATE"
    values = [1, 10, 20, 100, "?", 1000, 15, "nix"]
    t.execute(f"{new} SET a = t.a + excluded.a * ?, b = ? || b, c = ? WHERE excluded.a > ? OR b = ?", values)
    assert rows(t) == [(1, 5, "x", None, None), (2, 2006, "?y", 1000, None), (3, 7, "z", None, None)]
    query = "INSERT INTO t (id, b) SELECT id + $by, $b FROM t WHERE id >= $by"
    given = {"by": 1, "b": "é", "more": -1}
    t.execute(
        f"{query} ON CONFLICT DO UPDATE SET a = a + $more, b = $b || (SELECT max(b) FROM t) || $by", given
    )
    assert rows(t) == [
        (1, 5, "x", None, None),
        (2, 2005, "éz1", 1000, None),
        (3, 6, "éz1", None, None),
        (4, None, "é", None, None),
    ]
    count = "INSERT INTO t (id, a) VALUES ($1, $2) ON CONFLICT DO UPDATE SET a = coalesce(a, 0) + $2"
    cursor = t.cursor()
    cursor.executemany(count, [(4, 1), (4, 2), (5, 3)])
    assert cursor.rowcount == 3
    assert rows(t)[3:] == [(4, 3, "é", None, None), (5, 3, None, None, None)]


@pytest.mark.parametrize("parameters", [None, [], [1, 2], [1, 2, 3, 4], {"a": 1}])
def test_parameters_of_do_update_are_counted_before_anything_is_written(
    t: Connection, parameters: Any
) -> None:
    statement = "INSERT INTO t (id, a) VALUES (?, 1) ON CONFLICT DO UPDATE SET a = a + ?, b = ?"
    with pytest.raises(ProgrammingError, match="for a statement that has 3"):
        t.execute(statement, parameters)
    assert rows(t) == []


def test_executemany_inserts_all_rows_of_values_together(t: Connection) -> None:
    cursor = t.cursor()
    given = [(n, None if n % 3 else n, f"n{n}", n / 2, Decimal(n % 10)) for n in range(2500)]
    cursor.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", given)
    assert cursor.rowcount == 2500
    assert rows(t) == given
    cursor.executemany("UPDATE t SET a = ? WHERE id = ?", [(-1, 0), (-2, 1), (-3, 9999)])
    assert cursor.rowcount == 2
    with pytest.raises(KeyExistsError):
        cursor.executemany("INSERT INTO t (id, a) VALUES (?, ?)", [(5000, 1), (7, 1)])
    assert t.execute("SELECT count(*) FROM t WHERE id = 5000").fetchall() == [(0,)]


TYPED: dict[str, list[Any]] = {
    "BOOLEAN": [True, False],
    "TINYINT": [-128, 127],
    "SMALLINT": [-(2**15), 2**15 - 1],
    "INTEGER": [-(2**31), 0],
    "BIGINT": [-(2**63), 2**63 - 1],
    "HUGEINT": [-(2**127), 2**127 - 1],
    "UTINYINT": [0, 255],
    "USMALLINT": [0, 2**16 - 1],
    "UINTEGER": [0, 2**32 - 1],
    "UBIGINT": [0, 2**64 - 1],
    "FLOAT": [0.5, 3.4028234663852886e38, float("inf"), 1.401298464324817e-45],
    "DOUBLE": [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("-inf"), 1e15, 1e16],
    "DECIMAL(1,1)": [Decimal("0.5"), Decimal("-0.9"), Decimal("0.0")],
    "DECIMAL(38,10)": [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.0000000001")],
    "VARCHAR": ["", "é\0'\"\r\n", "007", " x "],
    "BLOB": [b"", b"\x00\xff\r\n", b"text"],
    "DATE": [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(2024, 2, 29)],
    "TIME": [datetime.time(0, 0), datetime.time(23, 59, 59, 999999)],
    "TIMESTAMP": [datetime.datetime(1969, 12, 31, 23, 59, 59, 1), datetime.datetime(2024, 2, 29)],
    "UUID": [UUID(int=0), UUID("12345678-9abc-def0-8234-56789abcdef0")],
}


TYPED |= {
    "JSON": ['{"a": [1, 2.50]}', "null", '"x"', " 7 "],
    "INTEGER[]": [[], [1, None, -3], [None]],
    "DOUBLE[][]": [[[float("inf"), -0.0], None, []], [[5e-324]]],
    "DECIMAL(2,2)[]": [[Decimal("0.50"), None, Decimal("-0.05")]],
    "HUGEINT[]": [[2**127 - 1, -(2**127)]],
    'STRUCT(a VARCHAR, "b c" DATE, c BOOLEAN)': [
        {"a": "é\0'\"\\\r\n\x7f", "b c": datetime.date(1, 1, 1), "c": True},
        {"a": None, "b c": None, "c": None},
    ],
    "STRUCT(u UUID[], t TIMESTAMP, d TIME, j JSON)[]": [
        [
            {
                "u": [UUID(int=7), None],
                "t": datetime.datetime(2024, 2, 29, 1),
                "d": datetime.time(23),
                "j": "[1,2]",
            },
            None,
        ]
    ],
    "MAP(VARCHAR, MAP(VARCHAR, FLOAT))": [{}, {"": {"x": 0.5, 'é"': None}, "y": None, "z": {}}],
}


def test_a_value_of_a_type_without_a_cast_is_shown_at_its_place(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE st (n INTEGER, v STRUCT(a INTEGER)) WITH (key = 'st:{n}')"
        )
        connection.execute("INSERT INTO st VALUES (1, {a: 1})")
        for statement in (
            "UPDATE st SET v = {x: n}",
            "INSERT INTO st VALUES (7, {x: 1})",
            "INSERT INTO st SELECT 7, {x: n} FROM st",
        ):
            with pytest.raises(DataError, match="column v: STRUCT to STRUCT cast must have") as raised:
                connection.execute(statement)
            place = raised.value.position
            assert place is not None and raised.value.text == statement
            assert statement[place.start : place.end].startswith("{x: ")
        assert connection.execute("DELETE FROM st").rowcount == 1
        with pytest.raises(DataError, match=r"^column v: STRUCT to STRUCT"):
            connection.execute("UPDATE st SET v = {x: n}")  # of no row


@pytest.mark.parametrize("type_", TYPED)
def test_every_type_is_read_back_as_it_was_written(one_server: Cluster, type_: str) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE ty (n INTEGER, v {type_}) WITH (key = 'ty:{{n}}')")
        connection.execute("DELETE FROM ty")
        values = [(n, _written(type_, value)) for n, value in enumerate(TYPED[type_])]
        connection.cursor().executemany("INSERT INTO ty VALUES (?, ?)", values)
        connection.execute("INSERT INTO ty SELECT n + 100, v FROM ty")
        connection.execute("UPDATE ty SET v = v WHERE n >= 100")
        found = connection.execute("SELECT n % 100, v FROM ty ORDER BY n").fetchall()
        assert found == 2 * list(enumerate(TYPED[type_]))
        assert [repr(value) for _, value in found] == 2 * [repr(value) for value in TYPED[type_]]
        connection.execute("DELETE FROM ty")


def _written(type_: str, value: Any) -> Any:
    """A dict is no parameter: what has parts goes in as JSON, which is what its column reads."""
    if not isinstance(value, list | dict):
        return value
    found: str = duckdb.connect().execute(f"SELECT to_json(?::{type_})::VARCHAR", [value]).fetchall()[0][0]
    for name in ("Infinity", "-Infinity", "NaN"):
        found = found.replace(f":{name}", f':"{name}"').replace(f"[{name}", f'["{name}"')
    return found


def test_keys_of_every_type_find_their_rows(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE k (d DATE, u UUID, n DECIMAL(1,1), v INTEGER) "
            "WITH (key = 'k:{{x}}:{d}:{u}:{n}')"
        )
        row = (datetime.date(2024, 1, 2), UUID(int=7), Decimal("0.5"), 1)
        connection.execute("INSERT INTO k VALUES (?, ?, ?, ?)", row)
        with redis.Redis(port=one_server.ports[0]) as client:
            assert client.exists(f"k:{{x}}:2024-01-02:{UUID(int=7)}:0.5")
        assert connection.execute("FROM k").fetchall() == [row]
        connection.execute("DELETE FROM k")


@pytest.mark.parametrize(
    ("statement", "error", "under"),
    [
        ("INSERT INTO t VALUES (9, 'abc', 'x', 1, 2)", DataError, "'abc'"),
        ("INSERT INTO t VALUES (9, '0x10', 'x', 1, 2)", DataError, "'0x10'"),
        ("INSERT INTO t VALUES (9, 1, '', 1, 1), (8, 3000000000, 'x', 1, 2)", DataError, "3000000000"),
        ("INSERT INTO t VALUES (9, upper('x'), 'x', 1, 2)", DataError, "upper('x')"),
        ("INSERT INTO t VALUES (NULL, 1, 'x', 1, 2)", DataError, "NULL"),
        ("INSERT INTO t VALUES (9, [1], 'x', 1, 2)", DataError, "[1]"),
        ("INSERT INTO t (id) VALUES (9)", DataError, None),
        ("INSERT INTO t (id, a) VALUES (9, b)", ProgrammingError, "b"),
        ("INSERT INTO t (id, a) VALUES (9, nextval('s'))", NotSupportedError, "nextval('s')"),
        ("INSERT INTO t (id, a) VALUES (9, 1 + of_a_user(2))", NotSupportedError, "of_a_user(2)"),
        ("INSERT INTO t (a) VALUES (9)", ProgrammingError, "t"),
        ("INSERT INTO t VALUES (1)", ProgrammingError, "1"),
        ("INSERT INTO t (id, a) SELECT 1 FROM t", ProgrammingError, "t"),
        ("INSERT INTO t (id, bb) VALUES (1, 2)", UnknownColumnError, "bb"),
        ("INSERT INTO t (id, ID) VALUES (1, 2)", ProgrammingError, "ID"),
        ("INSERT INTO t (_key, a) VALUES ('x', 2)", ProgrammingError, "_key"),
        ("INSERT INTO nix VALUES (1)", UnknownTableError, "nix"),
        ('INSERT INTO "wt:*" VALUES (1)', NotSupportedError, '"wt:*"'),
        ("INSERT INTO t (id, a) VALUES (9, 1), (9, 2)", KeyExistsError, "t"),
        ("INSERT INTO t (id, a) VALUES (9, 1) RETURNING id", NotSupportedError, "RETURNING"),
        ("INSERT INTO t DEFAULT VALUES", NotSupportedError, "DEFAULT"),
        ("INSERT INTO t (id, a) VALUES (1, 1) ON CONFLICT (a) DO NOTHING", ProgrammingError, "a"),
        *(
            (f"INSERT INTO t (id, a) VALUES (1, 1){more} ON CONFLICT DO UPDATE SET {sets}", error, under)
            for more, sets, error, under in (
                ("", "a = bb + 1", UnknownColumnError, "bb"),
                ("", "a = excluded.bb", UnknownColumnError, "excluded.bb"),
                ("", "a = 'x' || b", DataError, "'x' || b"),
                ("", "id = 2", NotSupportedError, "id"),
                ("", "a = a + ?", ProgrammingError, "DO"),
                (", (1, 2)", "a = t.a + 1", KeyExistsError, "t"),
            )
        ),
        ("INSERT INTO t VALUES", SqlSyntaxError, ""),
        ("INSERT t VALUES (1)", SqlSyntaxError, "t"),
        ("UPDATE t SET id = 5", NotSupportedError, "id"),
        ("UPDATE t SET aa = 5", UnknownColumnError, "aa"),
        ("UPDATE t SET a = bb + 1", UnknownColumnError, "bb"),
        ("UPDATE t SET a = 1, A = 2", ProgrammingError, "A"),
        ("UPDATE t SET a = 'x' || b", DataError, "'x' || b"),
        ("UPDATE t SET a = 1 WHERE nix(a)", ProgrammingError, "nix(a)"),
        ("UPDATE t SET a = nextval('s')", NotSupportedError, "nextval('s')"),
        ("UPDATE t SET a = 1 FROM t x", NotSupportedError, "FROM"),
        ("UPDATE t SET a = 1 a = 2", SqlSyntaxError, "a"),
        *(
            (f"{statement} SET b = 'y', a = 1 + {value}", TypeMismatchError, value.removesuffix(" % 2"))
            for statement in ("UPDATE t", "INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE")
            for value in (
                "sum(a)",
                "count(*) FILTER (WHERE a > 1)",
                "max(a) % 2",
                "row_number() OVER ()",
                "sum(sum(a)) OVER ()",
                "unnest([1])",
            )
        ),
        ("UPDATE t AS x SET a = (SELECT sum(x.a))", TypeMismatchError, "(SELECT sum(x.a))"),
        ("UPDATE t SET a = NULL, b = NULL, c = NULL, d = NULL", DataError, "t"),
        ("UPDATE x.t SET a = 1", NotSupportedError, "."),
        ("DELETE FROM t WHERE nix = 1", UnknownColumnError, "nix"),
        ("DELETE FROM t USING t x", NotSupportedError, "USING"),
        ("DELETE FROM t RETURNING *", NotSupportedError, "RETURNING"),
        ("DELETE t", SqlSyntaxError, "t"),
    ],
)
def test_the_caret_is_under_the_fault_and_nothing_is_written(
    one_server: Cluster, statement: str, error: type[Error], under: str | None
) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE t ({COLUMNS}) WITH (key = 'wt:{{id}}')")
        connection.execute("INSERT OR REPLACE INTO t VALUES (1, 2, 'x', 1, 1)")
        before = rows(connection)
        with pytest.raises(error) as raised:
            connection.execute(statement)
        fault = raised.value
        assert rows(connection) == before
        connection.execute("DELETE FROM t")
        assert fault.text == statement
        if under is None:
            return
        assert fault.position is not None
        if under:
            assert statement[fault.position.start : fault.position.end] == under
        assert fault.line == 1 and fault.column == fault.position.start + 1


def test_near_names_are_told(t: Connection) -> None:
    t.execute("CREATE OR REPLACE TABLE wide (id INTEGER, distance INTEGER) WITH (key = 'wide:{id}')")
    with pytest.raises(UnknownColumnError) as raised:
        t.execute("UPDATE wide SET distanse = 1")
    assert raised.value.candidates == ("distance",)
    with pytest.raises(UnknownTableError) as table:
        t.execute("INSERT INTO wid VALUES (1, 2)")
    assert table.value.candidates == ("wide",)


def test_a_key_is_written_only_if_it_is_read_back(t: Connection) -> None:
    t.execute("CREATE OR REPLACE TABLE two (a VARCHAR, b VARCHAR, v INTEGER) WITH (key = 'two:{a}:{b}')")
    for a, b in (("x:y", "z"), ("", "z"), ("x", "")):
        with pytest.raises(DataError, match=r"would not be read back|cannot be"):
            t.execute("INSERT INTO two VALUES (?, ?, 1)", [a, b])
    assert t.execute("INSERT INTO two VALUES ('x', 'y:z', 1)").rowcount == 1
    assert t.execute("SELECT a, b FROM two").fetchall() == [("x", "y:z")]


def test_a_text_that_means_null_is_not_written(t: Connection) -> None:
    t.execute("CREATE OR REPLACE TABLE na (id INTEGER, v VARCHAR) WITH (key = 'na:{id}', null_values = 'NA')")
    with pytest.raises(DataError, match="'NA' would be read as NULL"):
        t.execute("INSERT INTO na VALUES (1, 'NA')")
    assert t.execute("FROM na").fetchall() == []


def test_fields_that_the_table_does_not_know_stay(place: Cluster, t: Connection) -> None:
    t.execute("INSERT INTO t (id, a, b) VALUES (1, 1, 'x')")
    with _client(place) as client:
        client.hset("wt:1", "other", "kept")
        client.expire("wt:1", 1000)
        t.execute("INSERT OR REPLACE INTO t (id, a, b) VALUES (1, 2, NULL)")
        t.execute("UPDATE t SET a = NULL")
        assert client.hgetall("wt:1") == {b"other": b"kept"}
        assert client.ttl("wt:1") > 900


def test_keys_of_another_type_are_never_touched(place: Cluster, t: Connection) -> None:
    with _client(place) as client:
        client.set("wt:5", "a string")
        try:
            for conflict in ("", "ON CONFLICT DO NOTHING"):
                with pytest.raises(KeyExistsError, match="no hash") as raised:
                    t.execute(f"INSERT INTO t (id, a) VALUES (5, 1) {conflict}")
                assert raised.value.key == b"wt:5"
            with pytest.raises(KeyExistsError):
                t.execute("INSERT OR REPLACE INTO t (id, a) VALUES (5, 1)")
            t.execute("UPDATE t SET a = 1")
            t.execute("DELETE FROM t")
            assert client.get("wt:5") == b"a string"
        finally:
            client.delete("wt:5")


def test_a_row_that_changed_after_it_was_read_is_read_again(
    place: Cluster, t: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    t.execute("INSERT INTO t (id, a) VALUES (1, 1), (2, 2), (3, 3)")
    writes, times = t.engine._writes, iter(range(100))
    ask = writes.ask
    with _client(place) as client:

        def disturbed(*words: Any) -> Any:
            answer = ask(*words)
            if next(times) == 0:
                client.hset("wt:1", "a", "10")
                client.hset("wt:2", "a", "-1")
                client.delete("wt:3")
            return answer

        monkeypatch.setattr(writes, "ask", disturbed)
        assert t.execute("UPDATE t SET a = a + 1 WHERE a > 0").rowcount == 1
    monkeypatch.undo()
    assert [(row[0], row[1]) for row in rows(t)] == [(1, 11), (2, -1)]


def test_rows_that_go_on_changing_are_an_error_at_last(
    place: Cluster, t: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    t.execute("INSERT INTO t (id, a) VALUES (1, 1), (2, 2)")
    writes, ask = t.engine._writes, t.engine._writes.ask
    with _client(place) as client:

        def disturbed(*words: Any) -> Any:
            answer = ask(*words)
            client.hincrby("wt:1", "a", 1)
            return answer

        monkeypatch.setattr(writes, "ask", disturbed)
        with pytest.raises(RowsChangedError, match=r"'wt:1' .1 row was written"):
            t.execute("DELETE FROM t WHERE a > 0")
    monkeypatch.undo()
    assert [row[0] for row in rows(t)] == [1]


def test_a_user_without_the_right_to_write_gets_a_named_error(place: Cluster, t: Connection) -> None:
    t.execute("INSERT INTO t (id, a) VALUES (1, 1)")
    for rights in (["-hset", "-hdel", "-del"], ["-@scripting"], ["resetkeys", "%R~*"]):
        _user(place, "reader", ["~*", "+@all", *rights])
        with gearsql.connect(place.url, username="reader", password="p") as reader:
            for statement in (
                "INSERT INTO t (id, a) VALUES (2, 2), (3, 3)",
                "INSERT OR REPLACE INTO t (id, a) VALUES (1, 5)",
                "UPDATE t SET a = 5",
                "DELETE FROM t",
            ):
                with pytest.raises(AccessDeniedError) as raised:
                    reader.execute(statement)
                assert raised.value.written is None or raised.value.written.rows == 0
                if rights == ["-@scripting"]:
                    assert "+eval" in str(raised.value.hint)
        assert [(row[0], row[1]) for row in rows(t)] == [(1, 1)]


def test_an_error_half_way_says_what_was_written(three_shards: Cluster) -> None:
    with gearsql.connect(three_shards.url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE t ({COLUMNS}) WITH (key = 'wt:{{id}}')")
        _user(three_shards, "some", ["~{gearsql}:*", "~wt:1", "~wt:2", "+@all"])
        some = gearsql.connect(three_shards.url, username="some", password="p")
        with some, pytest.raises(AccessDeniedError) as raised:
            some.execute("INSERT OR REPLACE INTO t (id, a) VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
        told = raised.value.written
        assert told is not None
        assert len(rows(connection)) == told.rows and told.rows + told.left == 4 and told.unsure == 0
        assert told.first_key in (b"wt:1", b"wt:2", b"wt:3") and "not written is 'wt:" in str(raised.value)
        connection.execute("DELETE FROM t")


def _client(place: Cluster) -> Any:
    if len(place.ports) > 1:
        return redis.RedisCluster(host="127.0.0.1", port=place.ports[0])
    return redis.Redis(port=place.ports[0])


def _user(place: Cluster, name: str, rights: list[str]) -> None:
    for port in place.ports:
        with redis.Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", name, "reset", "on", ">p", *rights)
