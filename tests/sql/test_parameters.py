"""Parameters become constants of the type that DuckDB's own client binds, at their place in the text."""

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gearsql.errors import Error, ProgrammingError
from gearsql.sql.bound import BoundQuery
from gearsql.sql.constants import constant

D = decimal.Decimal
VALUES: list[Any] = [
    None, True, False, 0, 1, -5, 2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63),
    -(2**63) - 1, 2**64, 2**127 - 1, -(2**127), 2**127, 0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, float("inf"),
    float("-inf"), "", "x", "it's", "a\0b", "\0", "é€😀", "\\n", "$1 ?", b"", b"ab\0\xff'\\",
    bytearray(b"x"), memoryview(b"y"), D("1.50"), D("-0.001"), D("0.5"), D("0"), D("1E+3"),
    D("12345678901234567890.123456789"), D("0.00"), dt.date(2020, 2, 29), dt.date(1, 1, 1), dt.time(1, 2,
    3, 4), dt.time(0), dt.datetime(2020, 1, 1, 1, 2, 3, 4), dt.datetime(1969, 12, 31),
    dt.timedelta(days=3, seconds=1, microseconds=5), dt.timedelta(days=-1, seconds=7), uuid.UUID(int=7),
    [1, 2], (1, 2), ["a", "it's"], [1, None], [1, 2.5], [D("1.5"), 1], [[1], [2]],
]  # fmt: skip


def shown(value: Any) -> str:
    """A name that is the same in every process; that of a memoryview is its address."""
    return repr(value.tobytes() if isinstance(value, memoryview) else value)


@pytest.mark.parametrize("value", VALUES, ids=shown)
def test_value_and_type_are_those_of_duckdbs_client(value: Any) -> None:
    with duckdb.connect() as connection:
        expected = connection.execute("SELECT typeof($1), $1", [value]).fetchone()
        assert (
            connection.execute(f"SELECT typeof({constant(value)}), {constant(value)}").fetchone() == expected
        )


def test_nan_is_nan() -> None:
    assert duckdb.connect().execute(f"SELECT isnan({constant(float('nan'))})").fetchone() == (True,)
    assert duckdb.connect().execute(f"SELECT typeof({constant(D('nan'))})").fetchone() == ("FLOAT",)


@settings(deadline=None)
@given(st.text(), st.binary())
def test_any_text_and_any_bytes_come_through(text: str, raw: bytes) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {constant(text)}, {constant(raw)}").fetchone() == (text, raw)


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_any_double_comes_through_exactly(value: float) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {constant(value)}").fetchone() == (value,)


Front = Callable[..., BoundQuery]


def test_a_bound_integer_is_not_a_literal(front: Front) -> None:
    assert front("select u + 1 as x from flights").columns[0].type == "UTINYINT"
    assert front("select u + ? as x from flights", [1]).columns[0].type == "INTEGER"


def test_a_bound_string_adapts_as_a_literal_does(front: Front) -> None:
    bound = front("select count(*) from flights where day > ?", ["2020-01-01"])
    assert bound.text == "select count(*) from flights where day > '2020-01-01'"


@pytest.mark.parametrize(
    ("text", "parameters", "written"),
    [
        ("select '?' -- ?\nfrom flights limit ?", [7], "select '?' -- ?\nfrom flights limit 7"),
        ("select $b, $a, $b from flights", {"a": True, "b": None}, "select NULL, true, NULL from flights"),
        ("select $2, $1 from flights", [True, False], "select false, true from flights"),
        ("select 'é', ? from flights", ["ü"], "select 'é', 'ü' from flights"),
        ("select dest from flights limit ? offset ?", [5, 2], "select dest from flights limit 5 offset 2"),
        ("select dest from flights limit $n", {"n": None}, "select dest from flights limit NULL"),
    ],
)  # fmt: skip
def test_the_text_has_the_constants_in_place(front: Front, text: str, parameters: Any, written: str) -> None:
    assert front(text, parameters).text == written


def test_names_are_those_of_a_prepared_statement(front: Front) -> None:
    bound = front("select distance > ?, ?, ? as x, dest from flights", [1, "a", "b"])
    assert [column.name for column in bound.columns] == ['("distance" > $1)', "$2", "x", "dest"]


def test_a_parameter_may_hold_what_looks_like_sql(front: Front) -> None:
    bound = front("select dest from flights where dest = ?", ["' or 1=1; drop table flights; --"])
    assert bound.text.endswith("= ''' or 1=1; drop table flights; --'")


@pytest.mark.parametrize(
    ("text", "parameters", "under"),
    [
        ("select ?, ? from flights", [1], "?"),
        ("select ? from flights", None, "?"),
        ("select ? from flights", [1, 2], "?"),
        ("select $x from flights", {"y": 1}, "$x"),
        ("select $x from flights", {"x": 1, "y": 1}, "$x"),
        ("select dest from flights", [1], "select dest from flights"),
        ("select ? from flights", [object()], "?"),
        ("select ? from flights", ["\ud800"], "?"),
        ("select ? from flights", [2**200], "?"),
        ("select dest from flights limit ?", ["5"], "?"),
        ("select dest from flights limit ?", [True], "?"),
        ("select 'a' || ? from flights where distance = ?", [1, "x", 3], "?"),
    ],
)
def test_wrong_parameters_are_named_at_their_place(
    front: Front, text: str, parameters: Any, under: str
) -> None:
    with pytest.raises(Error) as raised:
        front(text, parameters)
    assert isinstance(raised.value, ProgrammingError)
    position = raised.value.position
    assert position is not None
    assert text[position.start : position.end] == under


def test_an_error_behind_a_parameter_points_into_the_users_text(front: Front) -> None:
    text = "select *, ? from flights where dest = ? and tail > 9"
    with pytest.raises(Error) as raised:
        front(text, ["a long string in place of a short mark", "é"])
    position = raised.value.position
    assert position is not None
    assert text[position.start : position.end] == "tail > 9"
