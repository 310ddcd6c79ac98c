"""Queries put together from pieces by chance answer what DuckDB answers."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = [
    "initial(s)",
    "length_or(g, h)",
    "g",
    "h",
    "b",
    "d",
    "lower(g)",
    "a % 3",
    "extract(month FROM day)",
    "f",
    "w",
    "u",
    "a > 0",
    "(h + b)",
]
VALUES = [
    "halved(a)",
    "length_or(s, a)",
    "a",
    "b",
    "h",
    "x",
    "n",
    "w",
    "r",
    "a + b",
    "x * 2",
    "n - 1",
    "abs(a)",
]
TEXTS = ["s", "g", "day", "ts", "u", "f", "z", "lower(s)"]
NUMERIC = ["sum", "avg", "min", "max", "stddev", "var_pop", "median", "count", "mad", "any_value"]
GENERAL = ["count", "min", "max", "approx_count_distinct", "count_distinct"]
CONDITIONS = [
    "a > 0",
    "f",
    "h IS NULL",
    "initial(g) = 'g'",
    "s LIKE 's%'",
    "x BETWEEN 0 AND 5",
    "g IN ('', 'Zoë')",
    "id < 0",
]


def _call(name: str, value: str, distinct: bool) -> str:
    if name == "count_distinct":
        return f"count(DISTINCT {value})"
    if name == "any_value":
        return f"any_value({value}) IS NULL"
    return f"{name}({'DISTINCT ' if distinct else ''}{value})"


calls = st.one_of(
    st.just("count(*)"),
    st.builds(_call, st.sampled_from(NUMERIC), st.sampled_from(VALUES), st.booleans()),
    st.builds(_call, st.sampled_from(GENERAL), st.sampled_from(TEXTS), st.booleans()),
    st.sampled_from(
        [
            "geometric(a)",
            "geometric(DISTINCT h)",
            "weighed(x, b)",
            "string_agg(s, ',' ORDER BY id)",
            "list(a ORDER BY id)",
            "arg_max(s, id)",
            "bool_or(f)",
        ]
    ),
)
filters = st.one_of(st.just(""), st.builds(" FILTER (WHERE {})".format, st.sampled_from(CONDITIONS)))


def _filtered(call: str, filter_: str) -> str:
    return call + filter_ if call.endswith(")") else call


aggregates = st.builds(_filtered, calls, filters)


@st.composite
def queries(draw: st.DrawFn) -> str:
    """SELECT keys, aggregates FROM t, with some of the clauses."""
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
    items = [*keys, *draw(st.lists(aggregates, min_size=0 if keys else 1, max_size=4))]
    where = draw(st.one_of(st.just(""), st.builds(" WHERE {}".format, st.sampled_from(CONDITIONS))))
    group = f" GROUP BY {', '.join(keys)}" if keys else ""
    having = draw(st.one_of(st.just(""), st.builds(" HAVING {} IS NOT NULL".format, aggregates)))
    distinct = draw(st.sampled_from(["", "DISTINCT "]))
    return f"SELECT {distinct}{', '.join(items)} FROM t{where}{group}{having}"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries(), spread=st.sampled_from(["two", "three", "five, two of them empty", "five by group"]))
def test_any_query(play: Any, query: str, spread: str) -> None:
    play.check(query, spread)
