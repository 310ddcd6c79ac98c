"""Users' functions in a query: what is bound, what DuckDB gets, what errors say and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gearsql.catalog.function import Function, Known
from gearsql.catalog.table import Table
from gearsql.errors import (
    Error,
    NotSupportedError,
    ProgrammingError,
    TypeMismatchError,
    UnknownColumnError,
    UnknownFunctionError,
    UnknownTableError,
)
from gearsql.sql.bind import Binder
from gearsql.sql.bound import BoundQuery, ResultColumn, WideBound
from gearsql.sql.calls import find_calls
from gearsql.sql.hooks import as_written, bindable, hooks_in, served
from gearsql.sql.parameters import Parameters
from gearsql.sql.parse import parse
from gearsql.sql.sources import NO_TABLE
from gearsql.sql.statements import Query, WideQuery

FUNCTIONS = [
    Function("domain", "scalar", (("email", "VARCHAR"),), "VARCHAR", ""),
    Function("scaled", "scalar", (("x", "DOUBLE"),), "DOUBLE", ""),
    Function("dice", "scalar", (), "BIGINT", "", volatile=True),
    Function("typical", "aggregate", (("x", "DOUBLE"),), "DOUBLE", ""),
    Function("weighed", "aggregate", (("x", "DOUBLE"), ("w", "BIGINT")), "DOUBLE", ""),
    Function("tags", "table", (("body", "VARCHAR"),), 'STRUCT("flight" INTEGER, "tag" VARCHAR)[]', ""),
    Function("größe", "scalar", (("x", "DOUBLE"),), "DOUBLE", ""),
    Function("sum_if", "aggregate", (("x", "DOUBLE"),), "DOUBLE", ""),
]
HOOKS = {function.name: Known(function, f"gears_hook_{n}") for n, function in enumerate(FUNCTIONS)}
Front = Callable[..., Any]


@pytest.fixture
def front(binder: Binder, flights: Table) -> Front:
    """text, parameters → BoundQuery, with the functions of this file."""

    def run(text: str, parameters: Parameters = None) -> BoundQuery | WideBound:
        query = parse(text)
        if isinstance(query, WideQuery):
            tables = {source.name: flights for source in query.sources}
            return binder.bind_wide(query, tables, parameters, HOOKS)
        assert isinstance(query, Query)
        return binder.bind(query, flights if query.table_name else NO_TABLE, parameters, HOOKS)

    return run


def tree(bound: BoundQuery) -> str:
    assert bound.tree is not None
    return bound.tree.sql("duckdb", normalize_functions=False)


def test_a_query_tells_what_duckdb_does_not_know() -> None:
    query = parse(
        "select domain(dest), lower(Domain(x)), sum(tags(y)) from t, tags(z), kv(a) where 1 + 2 > abs(3)"
    )
    assert isinstance(query, Query)
    assert set(query.calls) == {"domain", "tags", "kv"}


def test_a_scalar_function_is_bound_by_its_signature(front: Front) -> None:
    bound = front("select Domain(dest) as d, scaled(u) from flights where domain(tail) = 'x' group by all")
    assert bound.columns == (ResultColumn("d", "VARCHAR"), ResultColumn("scaled(u)", "DOUBLE"))
    assert bound.reads == ("dest", "tail", "u")
    assert [known.function.name for known in bound.hooks] == ["domain", "scaled"]
    assert 'GROUP BY domain("dest"), scaled("u")' in tree(bound)


def test_an_aggregate_keeps_its_name_and_its_clauses(front: Front) -> None:
    distinct = front("select Typical(distinct flight) filter (where cancelled) from flights")
    assert distinct.columns[0].name == "typical(DISTINCT flight) FILTER (WHERE cancelled)"
    assert tree(distinct) == 'SELECT typical(DISTINCT "flight") FILTER(WHERE "cancelled") FROM "flights"'
    ordered = front("select weighed(price, flight order by ts) from flights")
    assert ordered.columns[0].name == "weighed(price, flight ORDER BY ts)"
    assert tree(ordered) == 'SELECT weighed("price", "flight" ORDER BY "ts") FROM "flights"'


def test_several_distinct_arguments_stay_several(front: Front) -> None:
    bound = front("select weighed(distinct price, flight) from flights")
    assert tree(bound) == 'SELECT weighed(DISTINCT "price", "flight") FROM "flights"'


def test_a_parameter_inside_an_aggregate_is_called_by_its_number(front: Front) -> None:
    bound = front("select typical(flight * ?) from flights", [2])
    assert bound.columns == (ResultColumn("typical((flight * $1))", "DOUBLE"),)


def test_names_that_sqlglot_knows_and_those_beyond_ascii_stay(front: Front) -> None:
    assert "sum_if(" in tree(front("select sum_if(flight) from flights"))
    assert "größe(" in tree(front("select größe(flight) from flights"))


def test_two_versions_of_a_function_take_turns(binder: Binder, flights: Table) -> None:
    query = parse("select domain(dest) from flights")
    assert isinstance(query, Query)
    later = Known(Function("domain", "scalar", (("email", "VARCHAR"),), "BIGINT", ""), "gears_hook_x")
    types = [
        binder.bind(query, flights, None, {"domain": known}).columns[0].type
        for known in (HOOKS["domain"], later, HOOKS["domain"])
    ]
    assert types == ["VARCHAR", "BIGINT", "VARCHAR"]


@pytest.mark.parametrize(
    "source",
    [
        "flights, tags(dest)",
        "flights f, tags(f.dest)",
        "flights, lateral tags(dest)",
        "flights cross join lateral tags(flights.dest)",
        "flights join tags(dest) on true",
        "flights inner join lateral tags(dest) on true",
    ],
)
def test_a_table_function_makes_rows_of_each_row(front: Front, source: str) -> None:
    bound = front(f"select tag, count(*) from {source} group by tag")
    assert tree(bound) == 'SELECT "tag", COUNT(*) FROM "flights" GROUP BY "tag"'
    rows = "LATERAL (SELECT unnest(tags(dest), max_depth := 2))"
    assert bound.exploded == f', {rows} AS "rows_1"("tags.flight", "tag")'
    assert bound.reads == ("dest",)


def test_a_left_join_keeps_rows_without_rows(front: Front) -> None:
    bound = front("select tag from flights left join tags(dest) t on true")
    assert bound.exploded.startswith(" LEFT JOIN LATERAL")
    assert bound.exploded.endswith(" ON true")


def test_columns_of_rows_are_told_apart_and_renamed(front: Front) -> None:
    bound = front(
        "select a.flight, flights.flight, n, word from flights, tags(dest) a, tags(a.tag) b(n, word)"
    )
    assert tree(bound) == 'SELECT "a.flight", "flight", "n", "word" FROM "flights"'
    assert [column.name for column in bound.columns] == ["flight", "flight", "n", "word"]


def test_a_star_has_the_columns_of_all(front: Front) -> None:
    names = [
        column.name
        for column in front("select * exclude (raw, id, u, ts) from flights, tags(dest) t").columns
    ]
    assert names[-3:] == ["cancelled", "flight", "tag"]
    assert [column.name for column in front("select t.* from flights, tags(dest) t").columns] == [
        "flight",
        "tag",
    ]


def test_a_table_function_alone_needs_no_table(front: Front) -> None:
    bound = front("select upper(tag), count(*) from tags('a') group by 1")
    assert bound.table == NO_TABLE
    assert [column.type for column in bound.columns] == ["VARCHAR", "BIGINT"]


# text → the error, what the caret is under, a part of the message or the hint
FAULTS = {
    "select dmain(dest) from flights": (UnknownFunctionError, "dmain(dest)", "did you mean domain"),
    "select 1 from flights, tgas(dest)": (UnknownFunctionError, "tgas(dest)", "did you mean tags?"),
    "select qqqqqq(dest) from flights": (UnknownFunctionError, "qqqqqq(dest)", "SHOW FUNCTIONS"),
    "select domain(flight) from flights": (
        TypeMismatchError, "domain(flight)", "it is declared domain(email VARCHAR) → VARCHAR"),
    "select domain(dest, dest) from flights": (TypeMismatchError, "domain(dest, dest)", "declared domain"),
    "select typical(dest) from flights": (TypeMismatchError, "dest", "'typical(VARCHAR)'"),
    "select weighed(price) from flights": (TypeMismatchError, "price", "weighed(x DOUBLE, w BIGINT)"),
    "select typical(typical(price)) from flights": (TypeMismatchError, "typical(price)", "nested"),
    "select 1 from flights where typical(price) > 1": (TypeMismatchError, "typical(price)", "WHERE"),
    "select tags(dest) from flights": (ProgrammingError, "tags(dest)", "it stands in FROM"),
    "select 1 from flights, domain(dest)": (ProgrammingError, "domain(dest)", "gives no rows"),
    "select 1 from flights, typical(price)": (ProgrammingError, "typical(price)", "gives no rows"),
    "select domain(distinct dest) from flights": (ProgrammingError, "domain(distinct dest)", "no aggregate"),
    "select 1 from flights, tags(dest) t(a, b, c)": (ProgrammingError, "tags(dest) t(a, b, c)", "2 columns"),
    "select flight from flights, tags(dest)": (TypeMismatchError, "flight", "Ambiguous"),
    "select t.tga from flights, tags(dest) t": (UnknownColumnError, "t.tga", "did you mean tag?"),
    "select tags.tag from flights, tags(dest) t": (UnknownTableError, "tags.tag", "no table tags"),
    "select tags.tag from flights, tags(flight)": (TypeMismatchError, "tags(flight)", "tags(body VARCHAR)"),
    "select 1 from flights, tags(dest) t where t.tag > 1": (TypeMismatchError, "t.tag > 1", "compare"),
    "select 1 from flights, tags(dest) with ordinality": (
        NotSupportedError, "tags(dest) with ordinality", "WITH ORDINALITY"),
    "select 1 from flights, tags(error('x'))": (NotSupportedError, "error('x')", "error()"),
    "select weighed(distinct price, u order by u) from flights": (
        NotSupportedError, "weighed(distinct price, u order by u)", "several arguments"),
    "select typical(price) over () from flights": (NotSupportedError, "typical(price) over ()", "window"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "under", "said"), [(text, *fault) for text, fault in FAULTS.items()]
)
def test_a_fault_is_told_at_its_place(
    front: Front, text: str, kind: type[Error], under: str, said: str
) -> None:
    with pytest.raises(kind) as raised:
        front(text)
    error = raised.value
    assert type(error) is kind
    assert error.position is not None and error.text == text
    assert text[error.position.start : error.position.end] == under
    assert said in error.pretty()


def test_a_place_behind_a_rewritten_call_is_still_right(front: Front) -> None:
    text = "select weighed(price, u order by day), t.tag, dest > 1 from flights, lateral tags(dest) as t"
    with pytest.raises(TypeMismatchError) as mismatch:
        front(text)
    position = mismatch.value.position
    assert position is not None and text[position.start : position.end] == "dest > 1"


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("select typical(x)", 'select "typical.whole"(list("typical.row"(x)))'),
        (
            "select TYPICAL( distinct x order by x desc, y) filter (where typical(z) > 1) + 1",
            'select "typical.whole"(list( distinct "typical.row"(x) order by "typical.row"(x) desc,'
            ' "typical.row"(y)) filter (where "typical.whole"(list("typical.row"(z))) > 1)) + 1',
        ),
        (
            "select weighed(x, f(a, b) order by y)",
            'select "weighed.whole"(list("weighed.row"(x, f(a, b)) order by y))',
        ),
        ('select "weighed.state"(x, y)', 'select "weighed.state"(list("weighed.row"(x, y)))'),
        (
            "select 'typical(x)', 1 as typical, -- typical(x)\n 2",
            "select 'typical(x)', 1 as typical, -- typical(x)\n 2",
        ),
        ("select domain(x)", "select domain(x)"),
    ],
)
def test_what_duckdb_binds(text: str, bound: str) -> None:
    assert bindable(text, HOOKS.values()) == bound


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('SELECT DOMAIN("dest") AS g0', 'SELECT gears_hook_0(0, "dest") AS g0'),
        ("SELECT DICE()", "SELECT gears_hook_2(2)"),
        ("SELECT TYPICAL(DISTINCT x ORDER BY x)", "SELECT gears_hook_3_3(DISTINCT 3, x ORDER BY x)"),
        ('SELECT "TYPICAL.STATE"(scaled(x))', "SELECT gears_hook_3_3_state(3, gears_hook_1(1, x))"),
        ("FROM unnest(tags(x), 1) AS domain(y)", "FROM unnest(gears_hook_5(5, x), 1) AS domain(y)"),
        ('SELECT "größe"(x), \'domain(x)\', "domain"', "SELECT gears_hook_6(6, x), 'domain(x)', \"domain\""),
    ],
)
def test_what_a_shard_gets(text: str, sent: str) -> None:
    assert served(text, HOOKS.values()) == sent


def test_hooks_in_a_text_are_those_that_it_calls() -> None:
    names = [
        known.function.name
        for known in hooks_in(
            "select domain, scaled(1), \"typical.merge\"(list(s0)), 'tags(x)'", HOOKS.values()
        )
    ]
    assert names == ["scaled", "typical"]


def test_calls_are_found_by_tokens() -> None:
    text = 'f(a) "F"(b) x.f(c) y AS f(d) z::f(3) filter (where f()) é(f (e))'
    spans = [text[call.at.start : call.end] for call in find_calls(text, {"f", "filter", "é"})]
    assert spans == ["f(a)", '"F"(b)', "f()", "é(f (e))", "f (e)"]


def test_internal_names_are_not_shown() -> None:
    assert (
        as_written("types 'typical.row(VARCHAR)' and \"a.whole\"(x)") == "types 'typical(VARCHAR)' and a(x)"
    )
