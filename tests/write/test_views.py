"""Views: kept in the catalog, described, refused where only a table can stand, and read as their query."""

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import (
    Error,
    NotSupportedError,
    ProgrammingError,
    TableExistsError,
    UnknownColumnError,
    UnknownTableError,
)


@pytest.fixture
def viewed(one_server: Cluster) -> Iterator[Connection]:
    """A table of two rows, and the view v of it."""
    with gearsql.connect(one_server.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE vt (id INTEGER, a INTEGER) WITH (key = 'vt:{id}')")
        connection.execute("INSERT OR REPLACE INTO vt VALUES (1, 5), (2, 7)")
        connection.execute(
            "CREATE OR REPLACE VIEW v(n) AS SELECT id, a + 1 AS b FROM vt WHERE a > 5 -- over five"
        )
        yield connection
        connection.execute("DELETE FROM vt")
        connection.execute("DROP VIEW IF EXISTS v")
        connection.execute("DROP TABLE vt")


def test_other_clients_see_a_view(viewed: Connection, one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as other:
        assert ("v", "view: SELECT id, a + 1 AS b FROM vt WHERE a > 5", "view") in other.execute(
            "SHOW TABLES"
        ).fetchall()
        assert other.execute("DESCRIBE v").fetchall() == [("n", "INTEGER", "view"), ("b", "INTEGER", "view")]


def test_a_view_is_its_query_in_from(viewed: Connection) -> None:
    assert viewed.execute("FROM v").fetchall() == [(2, 8)]
    assert viewed.execute("SELECT x.b, v.n FROM v x, v WHERE x.n = v.n").fetchall() == [(8, 2)]
    viewed.execute("CREATE OR REPLACE VIEW w AS SELECT max(b) AS m FROM v")
    assert viewed.execute("SELECT m FROM w").fetchall() == [(8,)]
    viewed.execute("DROP VIEW w")


def test_with_gives_the_tables_of_a_view_no_other_meaning(viewed: Connection) -> None:
    viewed.execute("CREATE OR REPLACE VIEW w AS WITH x AS (SELECT 9 AS b) SELECT v.b + x.b AS b FROM v, x")
    assert viewed.execute("WITH x AS (SELECT b FROM w) FROM x").fetchall() == [(17,)]
    own = "WITH v AS (FROM v), vt AS (SELECT 1 AS n) SELECT (SELECT count(*) FROM v), (SELECT n FROM vt)"
    assert viewed.execute(own).fetchall() == [(1, 1)]
    for text, at in {
        "WITH vt AS (SELECT 1 AS id, 9 AS a) SELECT * FROM v": 51,
        "SELECT (WITH VT AS (SELECT 1) SELECT max(n) FROM (SELECT n FROM v x)) FROM vt": 65,
        "WITH vt AS (SELECT 1), x AS (SELECT n FROM v) SELECT * FROM x": 44,
        "WITH RECURSIVE vt AS (SELECT 1 UNION ALL SELECT n FROM v, vt) SELECT * FROM vt": 56,
        "WITH v AS (SELECT 5 AS b) FROM w": 32,
    }.items():
        with pytest.raises(NotSupportedError, match=r"where WITH gives vt? another meaning") as raised:
            viewed.execute(text)
        assert (raised.value.text, raised.value.column) == (text, at)
    viewed.execute("DROP VIEW w")


def test_views_in_a_circle_are_refused(viewed: Connection, one_server: Cluster) -> None:
    viewed.execute("CREATE VIEW w AS SELECT n FROM v")
    viewed.execute("CREATE VIEW x AS SELECT n FROM w")
    for circle in ("SELECT n FROM x", "FROM (SELECT 1) WHERE EXISTS (SELECT * FROM v)"):
        with pytest.raises(ProgrammingError, match="the view v reads itself"):
            viewed.execute(f"CREATE OR REPLACE VIEW v AS {circle}")
    assert viewed.execute("FROM x").fetchall() == [(2,)]
    with one_server.client() as client:  # as two clients can do that write at the same time
        told = client.get("{gearsql}:table:x").replace(b'"x"', b'"v"')
        client.set("{gearsql}:table:v", told)
    for statement in ("FROM v", "DESCRIBE x", "SUMMARIZE v", "EXPLAIN FROM w"):
        with pytest.raises(ProgrammingError, match="reads itself"):
            viewed.execute(statement)
    for name in "vwx":
        viewed.execute(f"DROP VIEW {name}")


def test_errors_point_into_the_users_text(viewed: Connection) -> None:
    text = "SELECT n, bb FROM v"
    with pytest.raises(UnknownColumnError) as raised:
        viewed.execute(text)
    assert (raised.value.text, raised.value.column) == (text, 11)


@pytest.mark.parametrize(
    ("statement", "error", "under"),
    [
        ("CREATE VIEW v AS SELECT 1 AS one FROM vt", TableExistsError, "v"),
        ("CREATE OR REPLACE VIEW vt AS SELECT id FROM vt", TableExistsError, "vt"),
        ("CREATE OR REPLACE TABLE v (a INTEGER) WITH (key = 'v:{id}')", TableExistsError, "v"),
        ("CREATE VIEW x AS SELECT bb FROM vt", UnknownColumnError, "bb"),
        ("CREATE VIEW x AS SELECT id FROM nix", UnknownTableError, "nix"),
        ("CREATE VIEW x AS SELECT id FROM vt WHERE a = $1", ProgrammingError, "$1"),
        ("DROP TABLE v", NotSupportedError, "v"),
        ("DROP VIEW vt", UnknownTableError, "vt"),
        ("DROP VIEW nix", UnknownTableError, "nix"),
        ("INSERT INTO v VALUES (1, 2)", NotSupportedError, "v"),
        ("UPDATE v SET b = 1", NotSupportedError, "v"),
        ("DELETE FROM v", NotSupportedError, "v"),
    ],
)
def test_the_caret_is_under_the_name(
    viewed: Connection, statement: str, error: type[Error], under: str
) -> None:
    with pytest.raises(error) as raised:
        viewed.execute(statement)
    fault = raised.value
    assert fault.text == statement and fault.position is not None
    assert statement[fault.position.start : fault.position.end] == under


def test_if_exists_and_if_not_exists(viewed: Connection) -> None:
    viewed.execute("CREATE VIEW IF NOT EXISTS v AS SELECT id FROM vt")
    assert len(viewed.execute("DESCRIBE v").fetchall()) == 2
    viewed.execute("DROP VIEW v")
    viewed.execute("DROP VIEW IF EXISTS v")
    with pytest.raises(UnknownTableError):
        viewed.execute("FROM v")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT (SELECT max(n) FROM v)", ["(SELECT max(n) FROM v)"]),
        ("SELECT 1 + (SELECT max(w.n) FROM v w) FROM v", ["(1 + (SELECT max(w.n) FROM v AS w))"]),
        ("SELECT *, EXISTS (FROM v) FROM v", ["n", "b", "EXISTS(SELECT * FROM v)"]),
        ("FROM (SELECT (SELECT min(n) FROM v), ? + 1)", ["(SELECT min(n) FROM v)", "($1 + 1)"]),
        ("WITH c AS (SELECT n IN (SELECT n FROM v) FROM vv) SELECT * FROM c", ["(n = ANY(SELECT n FROM v))"]),
    ],
)
def test_columns_over_views_have_the_names_that_duckdb_gives(
    viewed: Connection, text: str, names: list[str]
) -> None:
    viewed.execute("CREATE OR REPLACE VIEW vv AS SELECT n FROM v")
    parameters = [1] if "?" in text else None
    for _ in range(2):
        cursor = viewed.execute(text, parameters)
        assert [name for name, *_ in cursor.description or ()] == names
    viewed.execute("DROP VIEW vv")
