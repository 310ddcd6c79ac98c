"""What is not supported is refused at its place: never skipped, never left to run."""

from collections.abc import Callable

import pytest

from gearsql.errors import (
    Error,
    NotSupportedError,
    ProgrammingError,
    SqlSyntaxError,
    UnknownColumnError,
    UnknownTableError,
)
from gearsql.sql.functions import known_functions

# text → what the caret is under
SHAPES = {
    "pivot flights on dest in (select 'JFK') using count(*)": "dest in (select 'JFK')",
    "select dest from flights tablesample system(10%) repeatable (4)": "repeatable",
    "select 1 from read_csv('/etc/passwd')": "read_csv('/etc/passwd')",
    "select dest from main.flights": "main.flights",
    "select dest from flights at (version => 1)": "flights at (version => 1)",
    "select dest.lower() from flights": "dest.lower()",
    "select main.lower(dest) from flights": "main.lower(dest)",
    "select sum(distance) export_state from flights": "sum(distance) export_state",
    "select rowid from flights": "rowid",
    "select flights.rowid from flights": "flights.rowid",
    "select current_user from flights": "current_user",
    "select age(ts) from flights": "age(ts)",
    "select getvariable('x') from flights": "getvariable('x')",
    "select current_setting('threads') from flights": "current_setting('threads')",
    "select error('x') from flights": "error('x')",
    "select nextval('s') from flights": "nextval('s')",
    "select finalize(dest) from flights": "finalize(dest)",
    "select json_serialize_sql('select 1') from flights": "json_serialize_sql('select 1')",
    "select pg_sleep(5) from flights": "pg_sleep(5)",
    "select get_block_size('x') from flights": "get_block_size('x')",
    "attach '/tmp/x'": "attach",
    "set threads = 1": "set",
    "pragma version": "pragma",
    "call pragma_version()": "call",
    "install httpfs": "install",
    "load httpfs": "load",
    "begin": "begin",
    "prepare p as select 1": "prepare",
}


def refused(front: Callable[..., object], text: str) -> Error:
    with pytest.raises(Error) as raised:
        front(text)
    error = raised.value
    assert error.text == text and error.position is not None
    return error


@pytest.mark.parametrize(
    "text",
    [
        "WITH w AS (" * 10,
        "with w as materialized /* a */ ((" * 10,
        "WITH w AS (SELECT 1 UNION (" * 10,
        "WITH w AS (" * 8 + "SELECT FROM FROM" + ")" * 8 + " SELECT 1",
        "WITH w AS (" * 4 + "SELECT " + "1, " * 20_000,
    ],
)
def test_what_the_parser_would_take_long_for_is_refused_before(
    front: Callable[..., object], text: str
) -> None:
    error = refused(front, text)
    assert isinstance(error, NotSupportedError) and error.hint
    assert error.position is not None
    assert text[error.position.start : error.position.end].upper() == "WITH"


ARROWS = ("x -> position(", "x -> f(1) + POSITION /* a */ (", "y, [x ->-position(")


@pytest.mark.parametrize("part", ARROWS)
def test_calls_of_position_behind_arrows_are_like_that_too(front: Callable[..., object], part: str) -> None:
    error = refused(front, "SELECT " + part * 14)
    assert isinstance(error, NotSupportedError) and error.hint and error.position is not None
    assert error.text is not None and error.text[error.position.start : error.position.end] == "("


def test_calls_of_position_beside_arrows_pass(front: Callable[..., object]) -> None:
    front(
        "SELECT 1 WHERE position('a' IN 'b') > 0 AND '{}'->>'a' > 'x' AND position('a' IN ('{}'->>'b')) > 0"
    )


def test_queries_in_with_may_begin_with_with(front: Callable[..., object]) -> None:
    front("WITH w AS (" * 6 + "SELECT 1 AS x" + ") FROM w" * 6)
    many = "".join(f"x{i} AS (SELECT 1), " for i in range(900))
    front("SELECT * FROM (WITH w AS (SELECT * FROM (" * 3 + "SELECT 1 AS x" + ")) FROM w)" * 3)
    front(f"WITH w AS (WITH v AS (SELECT '(' || ')') FROM v), {many} y AS (SELECT 2) FROM w")


@pytest.mark.parametrize(("text", "under"), SHAPES.items())
def test_the_refusal_points_at_the_place(front: Callable[..., object], text: str, under: str) -> None:
    error = refused(front, text)
    assert isinstance(error, NotSupportedError)
    assert error.position is not None
    assert text[error.position.start : error.position.end] == under
    assert "not supported" in error.message


def test_a_table_in_single_quotes_would_be_a_file(front: Callable[..., object]) -> None:
    error = refused(front, "select dest from 'flight:*'")
    assert isinstance(error, ProgrammingError)
    assert error.hint == 'use double quotes: "flight:*"'


def test_an_unknown_column_knows_the_near_names_and_its_place(front: Callable[..., object]) -> None:
    text = "select count(*) from flights where 'é' = dest and distanse > 5"
    error = refused(front, text)
    assert isinstance(error, UnknownColumnError)
    assert error.candidates[0] == "distance"
    assert error.position is not None
    assert text[error.position.start : error.position.end] == "distanse"


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("select flights.nme from flights", "flights.nme"),
        ("select * exclude (nme) from flights", "* exclude (nme)"),
        ("select list_transform([1], lambda x: y) from flights", "y"),
        ("select count(*) from flights order by nme", "nme"),
    ],
)
def test_unknown_columns_everywhere(front: Callable[..., object], text: str, under: str) -> None:
    error = refused(front, text)
    assert type(error) is UnknownColumnError
    assert error.position is not None
    assert text[error.position.start : error.position.end] == under


def test_an_unknown_column_like_no_other_is_told_the_columns(front: Callable[..., object]) -> None:
    for text in (
        "select zzzz from flights",
        "select 1 from flights f join (select zzzz from flights) g on true",
    ):
        hint = refused(front, text).hint
        assert hint is not None and hint.startswith("columns: carrier, dest, origin,")


def test_a_window_function_without_over_is_told_so(front: Callable[..., object]) -> None:
    for call in ("rank()", "first_value(dest)"):
        error = refused(front, f"select dest, {call} from flights")
        assert type(error) is ProgrammingError and error.position is not None
        assert error.position.start == len("select dest, ")
        assert error.hint == f"{call.partition('(')[0]}(…) OVER (…)"


def test_columns_that_do_not_go_together_are_listed(front: Callable[..., object]) -> None:
    with pytest.raises(ProgrammingError, match="Cannot unpivot columns of types") as raised:
        front("unpivot flights on dest, flight into name n value v")
    assert raised.value.hint == "Full list: dest VARCHAR, flight INTEGER"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("select count(*) from flights where (distance > 3", "the ( at line 1, column 36 has no )"),
        ("select\n sum(distance from flights", "the ( at line 2, column 5 has no )"),
        ("select (distance, [1, 2 from flights", "the [ at line 1, column 19 has no ]"),
        ("select (distance, [1, 2) from flights", "the [ at line 1, column 19 has no ]"),
        ("select 'é(', distance) from flights", "the ) at line 1, column 22 has no ("),
        ("select case when distance > 1 then 2 from flights", "the case at line 1, column 8 has no END"),
        ("select '(', distance form flights", "did you mean FROM instead of form?"),
        ("select 1 from flights whre distance > 1", "did you mean WHERE instead of whre?"),
        ("select dest from flights group dest", "did you mean GROUP BY?"),
        ("select dest from flights where", None),
        ("select (dest, 'a from flights", None),
    ],
)
def test_a_syntax_error_tells_its_mend(front: Callable[..., object], text: str, hint: str | None) -> None:
    error = refused(front, text)
    assert type(error) is SqlSyntaxError
    assert error.hint == hint


def test_an_unknown_qualifier_is_an_unknown_table(front: Callable[..., object]) -> None:
    assert isinstance(refused(front, "select x.dest from flights"), UnknownTableError)
    assert isinstance(refused(front, "select x.* from flights"), UnknownTableError)
    assert isinstance(refused(front, "select flights.dest from flights f"), UnknownTableError)


def test_no_function_that_is_refused_gets_through_in_any_letter_case(front: Callable[..., object]) -> None:
    for name in known_functions().refused:
        quoted = '"' + name.upper() + '"'
        assert isinstance(refused(front, f"select {quoted}(dest) from flights"), NotSupportedError), name
