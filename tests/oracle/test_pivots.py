"""PIVOTs that find their columns in the data, and samples: as in DuckDB, on one server and on more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import gearsql
from tests.oracle.cases import Case, read_cases
from tests.oracle.compare import assert_same
from tests.oracle.judge import Oracle, ask
from tests.oracle.tables import filled

CASES = read_cases(Path(__file__).with_name("pivots.sql"))
ROWS = """
(0, 1, 'b', 1, true), (1, 1, 'a', 2, true), (2, 2, NULL, 3, NULL), (3, 2, '', 4, false),
(4, 2, 'a''c', 5, true), (5, NULL, 'é', 6, false), (6, 1, 'a', 7, NULL)"""


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            "CREATE TABLE sales (id INTEGER, shop INTEGER, item VARCHAR, n INTEGER, paid BOOLEAN)"
        )
        connection.execute(f"INSERT INTO sales VALUES {ROWS}")
        connection.execute(
            "CREATE TABLE shops AS SELECT shop, 'in ' || shop AS place FROM range(1, 4) AS r(shop)"
        )
        yield Oracle(connection)


@pytest.fixture(scope="module", params=["one_server", "three_shards", "plain_shards"])
def connection(request: pytest.FixtureRequest, native: Oracle) -> Iterator[gearsql.Connection]:
    templates = {"sales": "pivots-sale:{id}", "shops": "pivots-shop:{shop}"}
    with filled(request.getfixturevalue(request.param).url, native, templates) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_are_duckdbs(connection: gearsql.Connection, native: Oracle, case: Case) -> None:
    ordered = "ORDER BY" in case.text
    assert_same(ask(connection, case.text), native.ask(case.text), ordered=ordered)


def test_a_sample_is_drawn_anew(connection: gearsql.Connection) -> None:
    drawn = [connection.execute("SELECT id FROM sales USING SAMPLE 1").fetchall() for _ in range(40)]
    ids = {row for rows in drawn for row in rows}
    assert all(len(rows) == 1 for rows in drawn) and ids <= {(number,) for number in range(7)}
    assert len(ids) > 1  # the same one each time: once in 7³⁹ runs


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("SELECT id FROM sales USING SAMPLE reservoir(3 ROWS) REPEATABLE (5)", "REPEATABLE"),
        ("SELECT id FROM sales TABLESAMPLE bernoulli(10%) REPEATABLE (5)", "REPEATABLE"),
        ("SELECT id FROM sales USING SAMPLE 10% (bernoulli, 5)", "SAMPLE"),
        ("PIVOT sales ON item IN (SELECT 'a') USING sum(n)", "item IN (SELECT 'a')"),
        ("FROM (PIVOT sales ON item USING sum(n) GROUP BY shop) WHERE shop = ?", "?"),
    ],
)
def test_what_has_no_answer_is_refused_at_its_place(
    connection: gearsql.Connection, text: str, under: str
) -> None:
    with pytest.raises(gearsql.NotSupportedError) as raised:
        connection.execute(text, [1] if "?" in text else None)
    place = raised.value.position
    assert place is not None and text[place.start : place.end] == under


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("SELECT 1 AS itm FROM (PIVOT sales ON itm USING sum(n))", "itm"),
        ("PIVOT sales ON item || itm USING sum(n)", "itm"),
        ("EXPLAIN PIVOT sales ON itm || 'é' USING sum(n)", "itm"),
        ("SELECT 1 FROM (PIVOT sales ON item, sales.itm USING sum(n))", "sales.itm"),
        ("PIVOT (SELECT itm FROM sales) ON item USING sum(n)", "itm"),
        ("PIVOT sales ON n + item USING sum(n)", "+"),
    ],
)
def test_an_error_about_the_values_is_at_its_place_in_their_pivot(
    connection: gearsql.Connection, text: str, under: str
) -> None:
    with pytest.raises(gearsql.Error) as raised:
        connection.execute(text)
    place = raised.value.position
    assert place is not None and text[place.start : place.end] == under
    assert raised.value.text == text
    assert place.start >= text.index("PIVOT")


def test_statements_around_a_pivot_know_its_columns(connection: gearsql.Connection) -> None:
    pivot = "PIVOT sales ON item USING sum(n) GROUP BY shop"
    names = ["shop", "''", "a", "a'c", "b", "é"]
    assert [row[0] for row in connection.execute(f"DESCRIBE {pivot}").fetchall()] == names
    assert [row[0] for row in connection.execute(f"SUMMARIZE {pivot}").fetchall()] == names
    assert "'a''c'" in " ".join(row[0] for row in connection.execute(f"EXPLAIN {pivot}").fetchall())
