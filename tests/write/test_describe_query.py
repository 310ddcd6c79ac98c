"""DESCRIBE of a query: DuckDB's names and types of its columns; nothing is read."""

import duckdb
import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.errors import UnknownColumnError

TABLE = "d (id BIGINT, name VARCHAR, pay DECIMAL(8,2), born DATE)"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, pay * 2 AS twice, born - born, name FROM d",
        "FROM d",
        "(SELECT count(*), avg(pay) FROM d GROUP BY name)",
        "WITH a AS (SELECT max(id) AS m FROM d) SELECT m, [m] AS l FROM a",
        "VALUES (1, 'x')",
        "SELECT *, row_number() OVER (ORDER BY id) FROM d x JOIN d y USING (id)",
    ],
)
@pytest.mark.parametrize("word", ["DESCRIBE", "desc"])
def test_a_query_is_described_as_duckdb_does(connection: Connection, word: str, query: str) -> None:
    oracle = duckdb.connect()
    oracle.execute(f"CREATE TABLE {TABLE}")
    connection.execute(f"CREATE OR REPLACE TABLE {TABLE} WITH (key = 'described:{{id}}')")
    wanted = oracle.execute(f"SELECT column_name, column_type FROM (DESCRIBE {query})").fetchall()
    found = connection.execute(f"{word} {query}").fetchall()
    assert found == [(*column, "query") for column in wanted]


def test_views_in_it_are_read(connection: Connection) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {TABLE} WITH (key = 'described:{{id}}')")
    connection.execute("CREATE OR REPLACE VIEW dv AS SELECT id AS number FROM d")
    assert connection.execute("DESCRIBE FROM dv").fetchall() == [("number", "BIGINT", "query")]
    connection.execute("DROP VIEW dv")


def test_an_error_has_its_place_in_the_statement(connection: Connection) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {TABLE} WITH (key = 'described:{{id}}')")
    with pytest.raises(UnknownColumnError) as raised:
        connection.execute("DESCRIBE SELECT nam FROM d")
    assert (raised.value.text, raised.value.column) == ("DESCRIBE SELECT nam FROM d", 17)
    with pytest.raises(gearsql.Error) as missing:
        connection.execute("DESCRIBE SELECT 1 +")
    assert missing.value.text == "DESCRIBE SELECT 1 +"
