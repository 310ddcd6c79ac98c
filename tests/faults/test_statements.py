"""What is wrong in a statement or in a value is said with its place, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import gearsql
from gearsql.cluster.presence import Wanted
from gearsql.embedded import Cluster
from gearsql.errors import (
    DataError,
    Error,
    InterfaceError,
    MisfitError,
    NotSupportedError,
    ProgrammingError,
    SqlSyntaxError,
    TypeMismatchError,
    UnknownColumnError,
    UnknownTableError,
)
from tests.faults.scene import COUNT, RIGHT, assert_well


@pytest.fixture(scope="module", autouse=True)
def well(quick_shards: Cluster) -> Iterator[None]:
    yield
    assert_well(quick_shards)


@pytest.fixture
def connection(quick_shards: Cluster) -> Iterator[gearsql.Connection]:
    """After each fault the same connection answers rightly."""
    with gearsql.connect(quick_shards.url) as connection:
        yield connection
        assert connection.execute(COUNT).fetchall() == RIGHT


def under_the_caret(error: Error) -> str:
    """The piece of the statement that the error points at."""
    assert error.position is not None and error.text is not None
    return error.text[error.position.start : error.position.end]


def test_an_unknown_column_is_shown_with_near_names(connection: gearsql.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS near (id BIGINT, name VARCHAR, n BIGINT) WITH (key = 'row:{id}')"
    )
    with pytest.raises(UnknownColumnError) as caught:
        connection.execute("SELECT count(*)\nFROM near\nWHERE nme = 'x'")
    assert caught.value.candidates[0] == "name"
    assert under_the_caret(caught.value) == "nme"
    assert (caught.value.line, caught.value.column) == (3, 7)
    assert "name" in caught.value.pretty()


def test_an_unknown_table_is_shown_with_near_names(connection: gearsql.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS people (id BIGINT) WITH (key = 'row:{id}')")
    with pytest.raises(UnknownTableError) as caught:
        connection.execute("SELECT 1 FROM poeple")
    assert caught.value.candidates == ("people",)
    assert under_the_caret(caught.value) == "poeple"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('SELEC n FROM "row:*"', "SELEC"),
        ('SELECT n,, g FROM "row:*"', ","),
        ('SELECT n FROM "row:*" WHERE', None),
        ('SELECT count( FROM "row:*"', "FROM"),
        ("SELECT 'open FROM t", None),
        ('SELECT n FROM "row:*" GROUP BY', None),
        ("CREATE TABLE t (n BIGINT) WITH (kee = 'row:{id}')", "kee"),
        ("CREATE TABLE t (n BIGINT) WITH (key = 'row:{id')", None),
        ("", None),
    ],
)
def test_bad_sql_is_pointed_at(connection: gearsql.Connection, text: str, place: str | None) -> None:
    with pytest.raises(ProgrammingError) as caught:
        connection.execute(text)
    assert caught.value.position is not None
    if place is not None:
        assert under_the_caret(caught.value) == place
    if text:
        assert "^" in caught.value.pretty()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('SELECT w + 1 FROM "row:*"', TypeMismatchError),
        ('SELECT sum(w) FROM "row:*"', TypeMismatchError),
        ('SELECT no_such_function(n) FROM "row:*"', ProgrammingError),
        ('SELECT n, count(*) FROM "row:*"', ProgrammingError),
        ('SELECT n FROM "row:*" WHERE count(*) > 1', ProgrammingError),
        ('SELECT n FROM "row:*" ORDER BY 7', ProgrammingError),
        ('SELECT n FROM "row:*" LIMIT -1', Error),
        ('SELECT n FROM "row:*" TABLESAMPLE bernoulli(10%) REPEATABLE (3)', NotSupportedError),
        ('PIVOT "row:*" ON n IN (SELECT 1) USING count(*)', NotSupportedError),
        ('DELETE FROM "row:*"', NotSupportedError),
        ("SELECT * FROM read_csv('/etc/passwd')", NotSupportedError),
        ('SELECT 1 FROM "row:*"; SELECT 2 FROM "row:*"', Error),
        ('SELECT n FROM "row:*" WHERE n = $missing', Error),
        ("CREATE TABLE t (n NO_TYPE) WITH (key = 'row:{id}')", NotSupportedError),
    ],
)
def test_what_cannot_be_answered_is_refused(
    connection: gearsql.Connection, text: str, expected: type[Error]
) -> None:
    with pytest.raises(expected):
        connection.execute(text)


def test_parameters_that_do_not_fit_the_statement_are_refused(connection: gearsql.Connection) -> None:
    for text, parameters in [
        ('SELECT n FROM "row:*" WHERE n = ?', []),
        ('SELECT n FROM "row:*" WHERE n = ?', [1, 2]),
        ('SELECT n FROM "row:*" WHERE n = $a', {"b": 1}),
        ('SELECT n FROM "row:*" WHERE n = ?', [object()]),
    ]:
        with pytest.raises((ProgrammingError, InterfaceError)):
            connection.execute(text, parameters)


def test_an_error_while_computing_is_bad_data(connection: gearsql.Connection) -> None:
    with pytest.raises(DataError, match="Could not convert string 'w"):
        connection.execute('SELECT w::INTEGER FROM "row:*"')
    with pytest.raises(DataError, match=r"(?i)overflow|out of range"):
        connection.execute('SELECT max(n::TINYINT) FROM "row:*"')


def test_an_error_that_duckdb_has_no_class_for_is_bad_data(
    connection: gearsql.Connection, one_server: Cluster
) -> None:
    call = "list_reduce([i FOR i IN [a.n] IF i < 0], lambda i, j: i + j)"
    with gearsql.connect(one_server.url) as other, one_server.client() as client:
        client.hset("reduce:1", "n", "3")
        for where in (f'"reduce:*" a WHERE {call} > 0', f'"reduce:*" a JOIN "reduce:*" b ON {call} > b.n'):
            with pytest.raises(DataError, match=r"^Cannot perform list_reduce on an empty input list$"):
                other.execute(f"SELECT count(*) FROM {where}")
        client.delete("reduce:1")
    for text in ("SELECT list_reduce([], lambda i, j: i + j)", f'SELECT {call} FROM "row:*" a'):
        with pytest.raises(DataError, match=r"^Cannot perform list_reduce on an empty input list$"):
            connection.execute(text)


CASTS = {
    "SELECT n FROM \"row:*\" WHERE DATE '2020-01-01' > 'yesterday'": "'yesterday'",
    "SELECT n, DATE '2020-13-01' FROM \"row:*\"": "DATE '2020-13-01'",
    "SELECT DATE '2020-13-01', '2020-13-01'": "DATE '2020-13-01'",
    "SELECT 1, n FROM \"row:*\" WHERE n IN ('x', '7')": "'x'",
    "SELECT n FROM \"row:*\" WHERE n BETWEEN 'ä' AND 3": "'ä'",
    "SELECT n FROM \"row:*\" WHERE 'é' <> w AND w = 3": "w",
    'SELECT CAST(w AS INTEGER) FROM "row:*"': "CAST(w AS INTEGER)",
    "SELECT n::ENUM('a') FROM \"row:*\"": "::ENUM('a')",
    'SELECT max(n::TINYINT), max(3::TINYINT), min(n::SMALLINT) FROM "row:*"': "::TINYINT",
    "SELECT n FROM \"row:*\" ORDER BY n LIMIT 'x'": "'x'",
    "SELECT upper(w)::DECIMAL(5, 2), w::DECIMAL(5, 2) FROM \"row:*\" WHERE w = 'w1'": None,
    'SELECT upper(w)::DECIMAL(5, 2) FROM "row:*"': "::DECIMAL(5, 2)",
    'SELECT w::INT, w::INT FROM "row:*"': None,
    'SELECT [w]::INT[] FROM "row:*"': None,
    'SELECT TRY_CAST(a.w AS INT) FROM "row:*" a JOIN "row:*" b ON b.w::INT = a.n': "::INT",
    'WITH c AS (SELECT w AS v FROM "row:*") SELECT v::DATE FROM c UNION ALL SELECT now()::DATE': "::DATE",
}


@pytest.mark.parametrize("text", CASTS)
def test_a_cast_that_fails_is_shown_at_its_place_if_that_is_sure(
    connection: gearsql.Connection, text: str
) -> None:
    with pytest.raises(DataError) as caught:
        connection.execute(text)
    error = caught.value
    assert (under_the_caret(error) if error.position else None) == CASTS[text]
    for ours in ("Error:", "LINE 1", "shipped", "scan_", "column c0", "column s0"):
        assert ours not in str(error)


def test_a_parameter_that_cannot_be_cast_is_shown_at_its_place(connection: gearsql.Connection) -> None:
    for value in ("x", "y", "z"):
        with pytest.raises(DataError, match=f"string '{value}' to INT64") as caught:
            connection.execute('SELECT w FROM "row:*" WHERE w = $w AND n > $n', {"w": "w1", "n": value})
        assert under_the_caret(caught.value) == "$n"


def test_a_column_without_a_table_has_no_columns_for_a_hint(connection: gearsql.Connection) -> None:
    with pytest.raises(UnknownColumnError, match="FROM clause is missing") as caught:
        connection.execute("SELECT nme")
    assert caught.value.hint is None and under_the_caret(caught.value) == "nme"


def test_a_subquery_of_several_rows_is_told_without_advice(
    connection: gearsql.Connection,
) -> None:
    with pytest.raises(DataError, match=r"^More than one row returned") as caught:
        connection.execute('SELECT (SELECT n FROM "row:*")')
    assert "SET" not in str(caught.value)


@pytest.fixture
def misfits(quick_shards: Cluster) -> Iterator[str]:
    """1,000 numbers, of which one is none; it is too rare to be sampled."""
    with gearsql.connect(quick_shards.url) as connection:
        owner = connection.engine._shards.owner
        for i in range(1000):
            owner(b"odd:%d" % i).ask("HSET", f"odd:{i}", "n", i, "m", i)
        connection.execute('SELECT max(n) FROM "odd:*"').fetchall()
        owner(b"odd:7").ask("HSET", "odd:7", "n", b"7 \xff\0apples")
        yield "odd:*"
        for i in range(1000):
            owner(b"odd:%d" % i).ask("DEL", f"odd:{i}")


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_a_value_that_does_not_fit_is_named_and_its_hint_can_be_pasted(
    quick_shards: Cluster, misfits: str, reader: Wanted
) -> None:
    with gearsql.connect(quick_shards.url, reader=reader) as connection:
        with pytest.raises(MisfitError) as caught:
            connection.execute(f'SELECT max(n) FROM "{misfits}"')
        error = caught.value
        assert (error.key, error.field, error.value, error.type) == (
            b"odd:7",
            "n",
            b"7 \xff\0apples",
            "BIGINT",
        )
        # A column that is not read cannot misfit.
        assert connection.execute(f'SELECT max(m), count(*) FROM "{misfits}"').fetchall() == [(999, 1000)]
        connection.engine._shards.owner(b"odd:7").ask("HSET", "odd:7", "n", "7 apples")
        with pytest.raises(MisfitError) as caught:
            connection.execute(f'SELECT max(n) FROM "{misfits}"')
        assert caught.value.hint is not None
        line = caught.value.hint[caught.value.hint.index("CREATE TABLE") :]
        connection.execute(line)
        assert connection.execute("SELECT count(*) FROM odd WHERE n LIKE '7%'").fetchall() == [(111,)]
        assert connection.execute("SELECT n FROM odd WHERE id = 7").fetchall() == [("7 apples",)]
        connection.execute("DROP TABLE odd")


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_on_error_says_what_becomes_of_misfits_and_counts_them(
    quick_shards: Cluster, misfits: str, reader: Wanted
) -> None:
    columns = "(id BIGINT, n BIGINT, m BIGINT) WITH (key = 'odd:{id}', on_error ="
    with gearsql.connect(quick_shards.url, reader=reader) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE as_null {columns} 'null')")
        connection.execute(f"CREATE OR REPLACE TABLE as_gone {columns} 'skip')")
        null = connection.execute("SELECT count(*), count(n) FROM as_null")
        assert (null.fetchall(), len(null.messages)) == ([(1000, 999)], 1)
        assert "1 value did not fit" in str(null.messages[0][1])
        gone = connection.execute("SELECT count(*), count(n) FROM as_gone")
        assert (gone.fetchall(), len(gone.messages)) == ([(999, 999)], 1)
        assert "1 row had a value" in str(gone.messages[0][1])
        unread = connection.execute("SELECT count(*) FROM as_gone")
        assert (unread.fetchall(), unread.messages) == ([(1000,)], [])


def test_the_command_line_shows_the_caret_and_fails(quick_shards: Cluster) -> None:
    words = [sys.executable, "-c", "from gearsql.cli import main; main()", "-u", quick_shards.url, "-c"]
    run = subprocess.run([*words, 'SELECT nn FROM "row:*"'], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stdout == ""
    error, line, caret, *hint = run.stderr.splitlines()
    assert error == "error: no column nn in row:*"
    assert caret.index("^^") == line.index("nn")
    assert "n" in " ".join(hint)
    run = subprocess.run([*words, "SELECT 'open"], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (1, "") and "^" in run.stderr


def test_syntax_errors_are_syntax_errors(connection: gearsql.Connection) -> None:
    with pytest.raises(SqlSyntaxError):
        connection.execute('SELEC n FROM "row:*"')
