"""Connections and cursors: parameters, values, types, messages, statements of our own."""

import datetime
import decimal
import uuid
from collections.abc import Iterator

import pyarrow as pa
import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster

DECLARATION = """CREATE OR REPLACE TABLE values_of_all_types (
    id BIGINT, big HUGEINT, price DECIMAL(10,2), name VARCHAR, raw BLOB, day DATE, at TIME, moment TIMESTAMP,
    tag UUID, yes BOOLEAN, ratio DOUBLE
) WITH (key = 'alltypes:{id}')"""

FIELDS = {
    "big": str(2**126),
    "price": "-12.50",
    "name": "Zoë\0",
    "raw": b"\x00\xff",
    "day": "2013-01-31",
    "at": "05:06:07.25",
    "moment": "2013-01-31 05:06:07",
    "tag": "0a0b0c0d-0000-4000-8000-00000000000f",
    "yes": "TRUE",
    "ratio": "1e-3",
}

ROW = (
    7,
    2**126,
    decimal.Decimal("-12.50"),
    "Zoë\0",
    b"\x00\xff",
    datetime.date(2013, 1, 31),
    datetime.time(5, 6, 7, 250000),
    datetime.datetime(2013, 1, 31, 5, 6, 7),
    uuid.UUID("0a0b0c0d-0000-4000-8000-00000000000f"),
    True,
    0.001,
)


@pytest.fixture(scope="module", params=["module", "portable"])
def connection(request: pytest.FixtureRequest, one_server: Cluster) -> Iterator[Connection]:
    with one_server.client() as client, gearsql.connect(one_server.url, reader=request.param) as opened:
        client.hset("alltypes:7", mapping=FIELDS)
        client.hset("alltypes:8", mapping={"other": "1"})
        for number in range(100):
            client.hset(f"dbapi:{number}", mapping={"n": number, "g": f"g{number % 7}"})
        opened.execute(DECLARATION)
        yield opened


def test_every_type_comes_as_duckdbs_python_value(connection: Connection) -> None:
    cursor = connection.execute("SELECT * FROM values_of_all_types WHERE id = 7")
    assert cursor.fetchone() == ROW
    assert cursor.fetchone() is None


def test_a_hash_without_the_fields_is_a_row_of_nulls(connection: Connection) -> None:
    cursor = connection.execute("SELECT * EXCLUDE (id) FROM values_of_all_types WHERE id = 8")
    assert cursor.fetchall() == [(None,) * 10]


def test_types_are_told_by_name_and_by_group(connection: Connection) -> None:
    description = connection.execute("SELECT * FROM values_of_all_types").description
    assert description is not None
    types = {name: type_ for name, type_, *_ in description}
    assert types["price"] == "DECIMAL(10,2)" == gearsql.NUMBER
    assert types["raw"] == gearsql.BINARY != gearsql.STRING
    assert types["moment"] == gearsql.DATETIME
    assert types["name"] == gearsql.STRING


def test_nested_values_are_lists_and_dicts(connection: Connection) -> None:
    sql = "SELECT list(n ORDER BY n), min({'a': n, 'b': g}) FROM \"dbapi:*\" WHERE n < 3"
    assert connection.execute(sql).fetchall() == [([0, 1, 2], {"a": 0, "b": "g0"})]


def test_tuples_are_tuples_at_any_depth(connection: Connection) -> None:
    sql = "SELECT (n, g), list((n, {'t': (g, NULL::INTEGER)})) FROM \"dbapi:*\" WHERE n < 1 GROUP BY ALL"
    cursor = connection.execute(sql)
    assert [column[1] for column in cursor.description or ()] == [
        "TUPLE(BIGINT, VARCHAR)",
        "TUPLE(BIGINT, STRUCT(t TUPLE(VARCHAR, INTEGER)))[]",
    ]
    assert cursor.fetchall() == [((0, "g0"), [(0, {"t": ("g0", None)})])]


def test_moments_with_a_zone_are_in_utc(connection: Connection) -> None:
    sql = "SELECT min('2013-01-31 05:06:07+02'::TIMESTAMPTZ) FROM \"dbapi:*\""
    ((moment,),) = connection.execute(sql).fetchall()
    assert moment == datetime.datetime(2013, 1, 31, 3, 6, 7, tzinfo=datetime.UTC)
    assert moment.utcoffset() == datetime.timedelta(0)


def test_parameters_by_place_and_by_name(connection: Connection) -> None:
    by_place = connection.execute('SELECT count(*) FROM "dbapi:*" WHERE n < ? AND g = ?', (50, "g1"))
    assert by_place.fetchone() == (7,)
    by_name = connection.execute('SELECT count(*) FROM "dbapi:*" WHERE n < $most', {"most": 10})
    assert by_name.fetchone() == (10,)


def test_rows_come_one_by_one_in_lots_and_by_iteration(connection: Connection) -> None:
    cursor = connection.execute('SELECT n FROM "dbapi:*" ORDER BY n')
    assert cursor.rowcount == 100
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany(2) == [(1,), (2,)]
    assert [n for (n,) in cursor] == list(range(3, 100))
    assert cursor.fetchall() == []


def test_an_answer_is_an_arrow_table_as_well(connection: Connection) -> None:
    table = connection.execute('SELECT g, count(*) AS c FROM "dbapi:*" GROUP BY g').fetch_arrow_table()
    assert isinstance(table, pa.Table)
    assert table.column_names == ["g", "c"]
    assert sum(table["c"].to_pylist()) == 100


def test_equal_names_stay_equal(connection: Connection) -> None:
    cursor = connection.execute('SELECT n AS a, g AS a FROM "dbapi:*" WHERE n = 3')
    assert [column[0] for column in cursor.description or ()] == ["a", "a"]
    assert cursor.fetchall() == [(3, "g3")]


def test_a_misfit_names_key_and_value_and_the_way_out(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TABLE strict (g BIGINT) WITH (key = 'dbapi:{n}')")
    with pytest.raises(gearsql.DataError, match=r"key 'dbapi:\d+', column g: 'g\d' is not a BIGINT"):
        connection.execute("SELECT max(g) FROM strict")


def test_misfits_that_pass_are_told(connection: Connection) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE lenient (g BIGINT) WITH (key = 'dbapi:{n}', on_error = 'null')"
    )
    cursor = connection.execute("SELECT max(g), count(*) FROM lenient")
    assert cursor.fetchall() == [(None, 100)]
    assert [str(message) for _, message in cursor.messages] == [
        "100 values did not fit the column's type and became NULL"
    ]
    connection.execute(
        "CREATE OR REPLACE TABLE lenient (g BIGINT) WITH (key = 'dbapi:{n}', on_error = 'skip')"
    )
    cursor = connection.execute("SELECT max(g), count(*) FROM lenient")
    assert cursor.fetchall() == [(None, 0)]
    assert "100 rows" in str(cursor.messages[0][1])


def test_an_undeclared_tables_misfit_suggests_a_declaration(
    connection: Connection, one_server: Cluster
) -> None:
    with one_server.client() as client:
        client.hset("hinted:1", mapping={"n": 1})
        connection.execute('SELECT n FROM "hinted:*"')
        client.hset("hinted:2", mapping={"n": "x"})
        with pytest.raises(gearsql.DataError) as caught:
            connection.execute('SELECT n FROM "hinted:*"')
        hint = caught.value.hint
        assert hint == "CREATE TABLE hinted (n VARCHAR) WITH (key = 'hinted:{id}');"
        connection.execute(hint.replace("TABLE", "OR REPLACE TABLE", 1))
        assert connection.execute("SELECT n FROM hinted ORDER BY n").fetchall() == [("1",), ("x",)]
        client.delete("hinted:1", "hinted:2")
        client.delete("{gearsql}:inferred:hinted:*")


def test_a_column_younger_than_the_inference_is_found(connection: Connection, one_server: Cluster) -> None:
    with one_server.client() as client:
        client.hset("grown:1", mapping={"a": 1})
        connection.execute('SELECT a FROM "grown:*"')
        client.hset("grown:1", mapping={"b": 2})
        assert connection.execute('SELECT b FROM "grown:*"').fetchall() == [(2,)]
        client.delete("grown:1", "{gearsql}:inferred:grown:*")


def test_a_pattern_without_keys_is_an_empty_table(connection: Connection) -> None:
    assert connection.execute('SELECT count(*), min(_key) FROM "no such key:*"').fetchall() == [(0, None)]
    with pytest.raises(gearsql.ProgrammingError) as caught:
        connection.execute('SELECT a FROM "no such key:*"')
    assert caught.value.hint == "no hash has a key like no such key:*"


def test_an_unknown_table_has_a_place_and_near_names(connection: Connection) -> None:
    with pytest.raises(gearsql.ProgrammingError) as caught:
        connection.execute("SELECT 1 FROM values_of_all_type")
    assert caught.value.pretty().splitlines() == [
        "no table values_of_all_type",
        "  line 1: SELECT 1 FROM values_of_all_type",
        "                        ^^^^^^^^^^^^^^^^^^",
        "  hint: did you mean values_of_all_types?",
    ]


def test_own_statements_have_rows(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE TABLE listed WITH (key = 'dbapi:{id}')")
    assert ("listed", "dbapi:{id}", "hash") in connection.execute("SHOW TABLES").fetchall()
    assert connection.execute("DESCRIBE listed").fetchall() == [
        ("id", "BIGINT", "key, {id}"),
        ("n", "BIGINT", "field n"),
        ("g", "VARCHAR", "field g"),
        ("_key", "VARCHAR", "key"),
    ]
    connection.execute("DROP TABLE listed")
    with pytest.raises(gearsql.ProgrammingError, match="no table listed"):
        connection.execute("DESCRIBE listed")


def test_what_is_closed_cannot_be_used(one_server: Cluster) -> None:
    opened = gearsql.connect(one_server.url)
    cursor = opened.cursor()
    opened.close()
    with pytest.raises(gearsql.InterfaceError, match="connection is closed"):
        cursor.execute("SHOW TABLES")


def test_without_a_url_there_is_a_server_for_as_long_as_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GEARSQL_URL", raising=False)
    with gearsql.connect() as opened:
        assert opened.execute('SELECT count(*) FROM "*"').fetchall() == [(0,)]
        server = opened._server
        assert server is not None and server.pids != (None,)
    assert server.pids == (None,)
