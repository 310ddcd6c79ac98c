"""Point reads: rows of known keys, equal to DuckDB's and the scan's, and read without looking at others."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import AccessDeniedError, MisfitError, RowLimitError
from tests.oracle.compare import assert_same
from tests.oracle.judge import Oracle, ask

TYPES = {
    "country": "VARCHAR",
    "id": "INTEGER",
    "flag": "BOOLEAN",
    "tiny": "TINYINT",
    "big": "BIGINT",
    "huge": "HUGEINT",
    "ubig": "UBIGINT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "narrow": "DECIMAL(4,1)",
    "wide": "DECIMAL(38,10)",
    "day": "DATE",
    "tod": "TIME",
    "ts": "TIMESTAMP",
    "uid": "UUID",
    "name": "VARCHAR",
    "raw": "BLOB",
}
ROWS = """
    SELECT ['de', 'fr', 'it''s', 'ü'][i % 4 + 1] AS country, i::INTEGER - 20 AS id, i % 2 = 0 AS flag,
        (i - 50)::TINYINT AS tiny, i * 1234567890123 - 7 AS big,
        i::HUGEINT * -170141183460469231731687303 AS huge,
        (i * 184467440737095516)::UBIGINT AS ubig, (i / 7)::FLOAT AS real, i / 3.0::DOUBLE AS double,
        (i * 1.5 - 30)::DECIMAL(4,1) AS narrow, (i * 12345678901234567.0123456789)::DECIMAL(38,10) AS wide,
        DATE '0001-01-01' + (i * 70000)::INTEGER AS day,
        TIME '00:00:00' + INTERVAL (i * 1234567890) MICROSECOND AS tod,
        TIMESTAMP '1900-01-01' + INTERVAL (i * 31415926535897) MICROSECOND AS ts,
        md5(i::VARCHAR)::UUID AS uid,
        'näme ' || i AS name, ('\\x00\\xFF' || i)::BLOB AS raw
    FROM range(40) r(i)
"""
QUERIES: list[tuple[str, Any]] = [
    ("SELECT * FROM pt WHERE country = 'de' AND id = -20", None),
    ("SELECT * FROM pt WHERE id = ? AND country = ?", [-19, "fr"]),
    ("SELECT * FROM pt WHERE id IN (-20, -19, -18, 3, 400) AND country IN ('de', 'fr', 'it''s', 'ü')", None),
    ("SELECT name, id + 1, name AS again FROM pt WHERE id = $id AND country = $c", {"id": -18, "c": "it's"}),
    ("SELECT _key, raw FROM pt WHERE _key = 'pt:ü:-17'", None),
    ("SELECT flag, flag FROM pt WHERE _key IN ('pt:ü:-17', 'pt:de:-16', 'pt:de:-9', 'other')", None),
    ("SELECT count(*), sum(big), max(ts) FROM pt WHERE id IN (-20, -16) AND country = 'de'", None),
    ("SELECT country, sum(tiny) FROM pt WHERE id IN (-20, -19) AND country IN ('de', 'fr') GROUP BY 1", None),
    ("SELECT count(*) FROM pt WHERE id = 2147483648 AND country = 'de'", None),
    ("SELECT id FROM pt WHERE id = NULL AND country = 'de'", None),
    ("SELECT id FROM pt WHERE (id = -20 OR id = -16) AND country = 'de' AND flag ORDER BY id LIMIT 1", None),
    ("SELECT id, flag FROM pt WHERE country IN ('de', 'fr') AND (id = -20 OR (id = -19 AND flag))", None),
    ("SELECT id FROM pt WHERE _key = 'pt:de:-20' OR (_key = 'pt:fr:-19' AND tiny > ?)", [0]),
    ("SELECT * FROM pt WHERE country = 'd' || 'e' AND id = 4 - 20", None),
    ("SELECT id FROM pt WHERE country IN (lower('DE'), 'f' || 'r') AND id IN (-19 - 1, -19, NULL + 1)", None),
    ("SELECT raw FROM pt WHERE _key = concat('pt:', ?::VARCHAR, ':', ? - 20)", ["ü", 3]),
    ("SELECT name FROM pt WHERE id = ? + 1 AND country = ? AND tiny <> ?", [-21, "de", 3]),
    ("SELECT name FROM pt WHERE id = ? + 1 AND country = ? AND tiny <> ?", [-17, "de", 3]),
    ("SELECT count(*), sum(big), list(name) FROM pt WHERE false", None),
    ("SELECT country, max(ts) FROM pt WHERE 1 = 0 GROUP BY country", None),
    ("SELECT DISTINCT country, id FROM pt WHERE flag AND NULL > 3 ORDER BY id LIMIT 3", None),
    ("SELECT count(*) FROM pt WHERE ? > 3", [1]),
    ("SELECT CAST(name AS INTEGER) + CAST('x' AS INTEGER) FROM pt WHERE false", None),
    ("SELECT max(id + CAST('x' AS INTEGER)) FROM pt WHERE 1 = 0 AND name = 3::VARCHAR", None),
    ("SELECT id FROM pt WHERE (1 = 0 OR id = -4 * 5) AND country = 'de'", None),
    ("SELECT name FROM pt WHERE 1 = 0 UNION ALL SELECT name FROM pt WHERE _key = 'pt:' || 'de:-16'", None),
    ("SELECT a.id, b.name FROM pt a JOIN pt b ON a.country = b.country WHERE a.id = -20 AND b.id = -16"
     " AND a.country = 'de' AND b.country = 'de'", None),
    ("SELECT name FROM pt WHERE id = -20 AND country = 'de' UNION ALL SELECT 'x'", None),
]  # fmt: skip


NARROWED: list[tuple[str, Any]] = [
    ("SELECT country, id, tiny FROM pt WHERE country = 'de'", None),
    ("SELECT country, count(*), avg(tiny) FROM pt WHERE country = ? AND flag GROUP BY country", ["it's"]),
    ("SELECT max(_key), min(id) FROM pt WHERE country IN ('ü') AND id < 0", None),
    ("SELECT count(*) FROM pt WHERE country = 'd'", None),
    ("SELECT count(*) FROM pt WHERE country = 'de:-20'", None),
    ("SELECT a.id, b.id FROM pt a JOIN pt b ON a.tiny = b.tiny + 1 WHERE a.country = 'de' AND b.flag", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE rows AS {ROWS}")
        connection.execute(
            "CREATE VIEW pt AS SELECT *, 'pt:' || country || ':' || id AS _key FROM rows WHERE id <> 19"
        )
        yield Oracle(connection)


def _client(cluster: Cluster) -> Any:
    if len(cluster.ports) == 1:
        return cluster.client()
    return redis.RedisCluster.from_url(cluster.url)


@contextmanager
def filled(cluster: Cluster, oracle: Oracle) -> Iterator[gearsql.Connection]:
    columns = ", ".join(f"{name} {type_}" for name, type_ in TYPES.items())
    with gearsql.connect(cluster.url) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE pt ({columns}) WITH (key = 'pt:{{country}}:{{id}}')")
        texts = ", ".join(f"{name}::VARCHAR" if name != "raw" else name for name in TYPES)
        with _client(cluster) as client:
            for row in oracle.connection.sql(f"SELECT {texts} FROM rows").fetchall():
                given = dict(zip(TYPES, row, strict=True))
                client.hset(f"pt:{given.pop('country')}:{given.pop('id')}", mapping=given)
        yield connection


@pytest.fixture(params=["one_server", "three_shards", "plain_server", "plain_shards"], scope="module")
def place(request: pytest.FixtureRequest, oracle: Oracle) -> Iterator[gearsql.Connection]:
    with filled(request.getfixturevalue(request.param), oracle) as connection:
        yield connection


@pytest.mark.parametrize(("query", "parameters"), QUERIES)
def test_a_point_read_answers_as_duckdb(
    place: gearsql.Connection, oracle: Oracle, query: str, parameters: Any
) -> None:
    native = query.replace("SELECT *", "SELECT * EXCLUDE (_key)")
    for _ in range(2):
        assert_same(ask(place, query, parameters), oracle.ask(native, parameters), ordered=False)


@pytest.mark.parametrize(("query", "parameters"), NARROWED)
def test_a_narrowed_scan_answers_as_duckdb(
    place: gearsql.Connection, oracle: Oracle, query: str, parameters: Any
) -> None:
    assert_same(ask(place, query, parameters), oracle.ask(query, parameters), ordered=False)
    found = [line for (line,) in place.execute(f"EXPLAIN ANALYZE {query}", parameters).fetchall()]
    assert any("  keys     pt:" in line and ":*" in line for line in found)


ERRORS = [
    "SELECT id FROM pt WHERE country = 'de' AND id = 2147483647 + 1",
    "SELECT id FROM pt WHERE CAST('x' AS BOOLEAN)",
    "SELECT id FROM pt WHERE id IN (1 + 1, CAST('x' AS INTEGER)) AND country = 'de'",
]


@pytest.mark.parametrize("query", ERRORS)
def test_what_cannot_be_computed_fails_as_in_duckdb(
    place: gearsql.Connection, oracle: Oracle, query: str
) -> None:
    with pytest.raises(duckdb.Error):
        oracle.ask(query)
    with pytest.raises(gearsql.DatabaseError):
        place.execute(query).fetchall()


def test_a_computed_key_is_read_alone_and_a_false_condition_nothing(place: gearsql.Connection) -> None:
    for condition, keys in {
        "_key = 'pt:' || ?": "pt:de:-16",
        "country = 'd' || 'e' AND id = 4 - 20": "pt:de:-16",
        "flag AND 1 = 0": "none",
    }.items():
        given = ["de:-16"] if "?" in condition else None
        plan = place.execute(f"EXPLAIN SELECT name FROM pt WHERE {condition}", given).fetchall()
        assert (f"  keys     {keys}",) in plan


def test_the_plan_tells_the_narrowed_keys(place: gearsql.Connection) -> None:
    plan = place.execute("EXPLAIN SELECT sum(tiny) FROM pt WHERE country = 'de' AND id > 7").fetchall()
    assert ("  keys     pt:de:*",) in plan


def test_the_plan_tells_of_point_reads(place: gearsql.Connection) -> None:
    plan = place.execute("EXPLAIN SELECT name FROM pt WHERE country = 'de' AND id = 7").fetchall()
    assert [line for (line,) in plan] == [
        "reader   this client, by the names of the keys",
        "",
        "point read of 1 key on its shard",
        "  keys     pt:de:7",
        "  reads    country VARCHAR (from the key), id INTEGER (from the key), name VARCHAR",
        '  filter   ("country" = \'de\') AND ("id" = 7)',
        "  sql      none: the rows are the answer",
    ]


def test_other_values_of_the_same_statement(place: gearsql.Connection, oracle: Oracle) -> None:
    query = "SELECT name, id, country FROM pt WHERE country = ? AND id = ?"
    for values in (
        ["de", -20],
        ["fr", -19],
        ["de", 2**40],
        ["nowhere", 1],
        ["d:e", 1],
        ["de", None],
        ["de", -16],
    ):
        assert_same(ask(place, query, values), oracle.ask(query, values), ordered=False)
    for types in (["de", -20.0], ["de", Decimal(-20)], ["de", "-20"], ["de", "-020"]):
        assert_same(ask(place, query, types), oracle.ask(query, types), ordered=False)


def test_arrow_of_a_point_read_is_that_of_a_scan(place: gearsql.Connection) -> None:
    cursor = place.cursor()
    point = cursor.execute("SELECT * FROM pt WHERE country = 'de' AND id = -20").fetch_arrow_table()
    scan = cursor.execute("SELECT * FROM pt WHERE country = 'de' AND id + 0 = -20").fetch_arrow_table()
    assert point.equals(scan.cast(point.schema))
    assert point.schema.names == scan.schema.names


@pytest.fixture(scope="module", params=["one_server", "three_shards"])
def odd(request: pytest.FixtureRequest) -> Iterator[tuple[gearsql.Connection, Any, Cluster]]:
    cluster = request.getfixturevalue(request.param)
    with gearsql.connect(cluster.url) as connection, _client(cluster) as client:
        client.hset("podd:1", mapping={"n": "1", "s": "a"})
        client.hset("podd:2", mapping={"n": "two", "s": "b"})
        client.hset("podd:3", mapping={"other": "x"})
        client.hset("podd:7x", mapping={"n": "7"})
        client.set("podd:4", "text")
        client.hset("podd:5", mapping={"n": "5", "s": b"\xff"})
        client.hset("podd:6", mapping={"n": "NA", "s": "f"})
        client.hset("podd:8", mapping={"n": "8"})
        client.pexpire("podd:8", 1)
        for name, more in (
            ("podd", ""),
            ("podd_null", ", on_error = 'null'"),
            ("podd_skip", ", on_error = 'skip'"),
        ):
            connection.execute(
                f"CREATE OR REPLACE TABLE {name} (id INTEGER, n INTEGER, s VARCHAR)"
                f" WITH (key = 'podd:{{id}}', null_values = 'NA'{more})"
            )
        yield connection, client, cluster


def _rows(connection: gearsql.Connection, query: str, *parameters: Any) -> tuple[list[Any], list[str]]:
    cursor = connection.cursor()
    rows = cursor.execute(query, parameters).fetchall()
    return rows, [str(message) for _, message in cursor.messages]


@pytest.mark.parametrize("item", ["n, s", "n, s || ''"])
def test_misfits_of_the_read_keys_count_and_no_others(odd: Any, item: str) -> None:
    connection = odd[0]
    assert _rows(connection, f"SELECT {item} FROM podd WHERE id = ?", 1) == ([(1, "a")], [])
    with pytest.raises(MisfitError) as caught:
        connection.execute(f"SELECT {item} FROM podd WHERE id = ?", [2])
    assert caught.value.message == "key 'podd:2', column n: 'two' is not a INTEGER"
    assert "declare n as VARCHAR" in str(caught.value.hint)
    with pytest.raises(MisfitError):
        connection.execute("SELECT count(*) FROM podd WHERE id + 0 = 1")
    nulls = "1 value did not fit the column's type and became NULL"
    assert _rows(connection, f"SELECT {item} FROM podd_null WHERE id = ?", 2) == ([(None, "b")], [nulls])
    left_out = "1 row had a value that did not fit and was left out"
    assert _rows(connection, f"SELECT {item} FROM podd_skip WHERE id IN (1, ?)", 2) == (
        [(1, "a")],
        [left_out],
    )
    assert _rows(connection, f"SELECT {item} FROM podd_skip WHERE id = ?", 5) == ([], [left_out])


@pytest.mark.parametrize("item", ["n, s", "n, s || ''"])
def test_what_is_no_row_or_has_no_values(odd: Any, item: str) -> None:
    connection = odd[0]
    query = f"SELECT {item} FROM podd WHERE id = ?"
    assert _rows(connection, query, 3) == ([(None, None)], [])
    assert _rows(connection, query, 4) == ([], ["1 key of another type than hash was left out"])
    assert _rows(connection, query, 6) == ([(None, "f")], [])
    assert _rows(connection, query, 8) == ([], [])
    assert _rows(connection, query, 9) == ([], [])
    assert _rows(connection, "SELECT id FROM podd WHERE id = ?", 3) == ([(3,)], [])
    assert _rows(connection, "SELECT id FROM podd WHERE id = ?", 9) == ([], [])
    assert _rows(connection, "SELECT _key FROM podd WHERE _key = ?", "podd:1") == ([("podd:1",)], [])
    assert _rows(connection, "SELECT _key FROM podd WHERE _key = ?", "pt:de:1") == ([], [])


def test_limits_and_options_hold(odd: Any) -> None:
    cluster = odd[2]
    with gearsql.connect(cluster.url, limits={"rows": 1}) as connection:
        assert len(connection.execute("SELECT s FROM podd WHERE id IN (1, 9)").fetchall()) == 1
    with gearsql.connect(cluster.url, limits={"shipped_rows": 1}) as connection, pytest.raises(RowLimitError):
        connection.execute("SELECT s FROM podd WHERE id IN (1, 3, 6)")
    with gearsql.connect(cluster.url, scan="snapshot") as connection:
        plan = connection.execute("EXPLAIN SELECT s FROM podd WHERE id = 1").fetchall()
        assert plan[0] == ("reader   the module, in each server",)


def test_keys_that_the_user_may_not_read(odd: Any) -> None:
    _, client, cluster = odd
    client.hset("pn:a:1", mapping={"n": 1})
    client.hset("pn:b:1", mapping={"n": 1})
    rights = "~podd:1 ~podd:4 ~pn:a:* ~{gearsql}:* +@read +@connection +cluster|slots +gearsql.execute"
    words = ("ACL", "SETUSER", "pointer", "reset", "on", ">x", *rights.split(), "+cluster|nodes")
    odd[0].execute("CREATE OR REPLACE TABLE pn (n INTEGER) WITH (key = 'pn:{c}:{id}')")
    nodes = [redis.Redis(port=port) for port in cluster.ports]
    for node in nodes:
        node.execute_command(*words)
    url = cluster.url.replace("redis://", "redis://pointer:x@")
    try:
        with gearsql.connect(url) as connection:
            for _ in range(2):
                assert _rows(connection, "SELECT s FROM podd WHERE id = ?", 1) == ([("a",)], [])
            connection.execute("SELECT count(*) FROM pn WHERE c = 'a'")
            with pytest.raises(AccessDeniedError):
                connection.execute("SELECT count(*) FROM pn WHERE c = 'b'")
            with pytest.raises(AccessDeniedError) as caught:
                connection.execute("SELECT s FROM podd WHERE id = ?", [6])
            assert "acl='skip'" in str(caught.value.hint)
        with gearsql.connect(url, acl="skip") as connection:
            withheld = "1 key that this user may not read was left out: the answer is over the others"
            for _ in range(2):
                assert _rows(connection, "SELECT s FROM podd WHERE id IN (1, 6)") == ([("a",)], [withheld])
    finally:
        for node in nodes:
            node.execute_command("ACL", "DELUSER", "pointer")
            node.close()


def test_writes_find_their_row_by_its_key(place: gearsql.Connection) -> None:
    assert place.execute("UPDATE pt SET name = 'new' WHERE country = 'ü' AND id = 19").rowcount == 1
    assert place.execute("SELECT name FROM pt WHERE country = 'ü' AND id = 19").fetchall() == [("new",)]
    assert place.execute("DELETE FROM pt WHERE country = 'ü' AND id = 19").rowcount == 1
    assert place.execute("SELECT name FROM pt WHERE country = 'ü' AND id = 19").fetchall() == []


def test_misfits_of_keys_that_a_filter_leaves_out_are_not_read(odd: Any) -> None:
    connection, client, _ = odd
    client.hset("pn:a:1", mapping={"n": 1})
    client.hset("pn:b:1", mapping={"n": "x"})
    client.set("pn:b:2", "x")
    connection.execute("CREATE OR REPLACE TABLE pn (n INTEGER) WITH (key = 'pn:{c}:{id}')")
    for mode in ("sliced", "snapshot"):
        cursor = connection.cursor()
        query = "SELECT c, id, n FROM pn WHERE c = ?"
        assert cursor.execute(query, ["a"], scan=mode).fetchall() == [("a", "1", 1)]
        assert not [note for _, note in cursor.messages if "another type" in str(note)]
        with pytest.raises(MisfitError):
            connection.execute(query, ["b"], scan=mode)


def test_elements_of_a_known_key(odd: Any) -> None:
    connection, client, _ = odd
    client.rpush("plist:1", "a", "b")
    client.zadd("plist:2", {"x": 2.5})
    connection.execute("CREATE OR REPLACE TABLE plist WITH (key = 'plist:{id}', type = 'list')")
    query = 'SELECT "index", value FROM plist WHERE id = ?'
    for _ in range(2):
        assert _rows(connection, query, "1") == ([(0, "a"), (1, "b")], [])
        assert _rows(connection, query, "2") == ([], ["1 key of another type than list was left out"])


def test_a_declaration_that_changes_is_seen(odd: Any) -> None:
    connection, client, cluster = odd
    client.hset("pdecl:1", mapping={"n": "1"})
    connection.execute("CREATE OR REPLACE TABLE pdecl (n INTEGER) WITH (key = 'pdecl:{id}')")
    for _ in range(3):
        assert _rows(connection, "SELECT n FROM pdecl WHERE id = ?", "1") == ([(1,)], [])
    with gearsql.connect(cluster.url) as other:
        other.execute("CREATE OR REPLACE TABLE pdecl (n VARCHAR) WITH (key = 'pdecl:{id}')")
    assert _rows(connection, "SELECT n FROM pdecl WHERE id = ?", "1") == ([("1",)], [])
    connection.execute("DROP TABLE pdecl")
    with pytest.raises(gearsql.ProgrammingError, match="no table pdecl"):
        connection.execute("SELECT n FROM pdecl WHERE id = ?", ["1"])


def test_slots_that_move_are_followed() -> None:
    with (
        Cluster(3) as cluster,
        gearsql.connect(cluster.url) as connection,
        _client(cluster) as client,
    ):
        keys = [f"pmv{{x}}:{n}" for n in range(4)]
        for n, key in enumerate(keys):
            client.hset(key, mapping={"n": n})
        connection.execute("CREATE OR REPLACE TABLE pmv (n INTEGER) WITH (key = 'pmv{{x}}:{id}')")
        query = "SELECT n FROM pmv WHERE id IN (?, '1', '2', '3')"
        assert sorted(_rows(connection, query, "0")[0]) == [(0,), (1,), (2,), (3,)]
        slot = client.keyslot(keys[0])
        nodes = [redis.Redis(port=port) for port in cluster.ports]
        ids = [node.execute_command("CLUSTER", "MYID").decode() for node in nodes]
        giver = next(
            i for i, port in enumerate(cluster.ports) if client.get_node_from_key(keys[0]).port == port
        )
        taker = (giver + 1) % 3
        nodes[taker].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[giver])
        nodes[giver].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[taker])
        nodes[giver].execute_command(
            "MIGRATE", "127.0.0.1", cluster.ports[taker], "", 0, 5000, "KEYS", *keys[:2]
        )
        for _ in range(2):  # half of them are asked for elsewhere
            assert sorted(_rows(connection, query, "0")[0]) == [(0,), (1,), (2,), (3,)]
            assert _rows(connection, "SELECT n FROM pmv WHERE id = ?", "0")[0] == [(0,)]
            assert _rows(connection, "SELECT n FROM pmv WHERE id = ?", "3")[0] == [(3,)]
        nodes[giver].execute_command(
            "MIGRATE", "127.0.0.1", cluster.ports[taker], "", 0, 5000, "KEYS", *keys[2:]
        )
        for node in (nodes[taker], nodes[giver], nodes[(giver + 2) % 3]):
            node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[taker])
        for _ in range(2):  # MOVED
            assert sorted(_rows(connection, query, "0")[0]) == [(0,), (1,), (2,), (3,)]
        client.delete(*keys)


def test_undeclared_tables_are_read_by_key(odd: Any) -> None:
    connection = odd[0]
    for _ in range(3):
        rows, _notes = _rows(connection, 'SELECT s, _key FROM "podd:*" WHERE _key = ?', "podd:1")
        assert rows == [(b"a", "podd:1")]


def test_timestamps_are_no_names_of_keys(odd: Any) -> None:
    connection, client, _ = odd
    client.hset("ptick:2024-01-01", mapping={"n": 1})
    client.hset("ptick:2024-01-01T00:00:00", mapping={"n": 2})
    connection.execute(
        "CREATE OR REPLACE TABLE ptick (moment TIMESTAMP, n INTEGER) WITH (key = 'ptick:{moment}')"
    )
    moment = datetime.datetime(2024, 1, 1)
    assert sorted(_rows(connection, "SELECT n FROM ptick WHERE moment = ?", moment)[0]) == [(1,), (2,)]
