"""Queries that call users' functions answer what DuckDB answers with the same functions declared natively.

On one server, on three shards, and by the portable reader, whose functions run in this client.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gearsql
from gearsql.catalog.function import Function, Known
from gearsql.catalog.hook_types import canonical_hook_type
from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.embedded import Cluster
from gearsql.sql.bind import Binder
from gearsql.sql.hooks import bindable
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query
from tests.oracle import zoo
from tests.oracle.cases import Case, read_cases
from tests.oracle.compare import assert_same
from tests.oracle.conftest import filled
from tests.oracle.judge import Oracle, ask
from tests.plan.users import FUNCTIONS, declare

PLACES = {"one server": "one_server", "three shards": "three_shards", "portable": "three_shards"}
# The columns of types that functions have: no JSON, ENUM or MAP.
TYPES = {
    name: type_
    for name, written in zoo.COLUMNS.items()
    if (type_ := canonical_hook_type(written)) is not None
}
# One for each type: what it is given, unless that is NULL.
SAME = [
    Function(f"same_{name}", "scalar", (("v", type_),), type_, "return v")
    for name, type_ in {
        **TYPES,
        "list": "BIGINT[]",
        "nested": 'STRUCT("b" BIGINT, "s" VARCHAR[])',
    }.items()
]
KNOWN = {function.name: Known(function, "") for function in [*FUNCTIONS, *SAME]}
ROUND_TRIPS = [
    Case(name, f"SELECT n, same_{name}({name}), same_{name}({name}) IS NOT DISTINCT FROM {name} FROM zoo")
    for name in TYPES
    if name not in ("big", "iv")  # an INTERVAL of months is no timedelta
]
CASES = [*ROUND_TRIPS, *read_cases(Path(__file__).with_name("hooks.sql"))]


@pytest.fixture(scope="module", params=PLACES)
def connection(request: pytest.FixtureRequest, oracle: Oracle) -> Iterator[gearsql.Connection]:
    """A connection to servers that hold the zoo and know the functions."""
    cluster: Cluster = request.getfixturevalue(PLACES[request.param])
    with filled(cluster.url, oracle) as writer:
        for known in KNOWN.values():
            writer.engine.functions.define(known.function, if_not_exists=True)
        reader = "portable" if request.param == "portable" else "module"
        with gearsql.connect(cluster.url, reader=reader, session="oracle") as connection:
            yield connection
        for name in (*zoo.TABLES,):
            writer.execute(f"DROP TABLE {name}")


@pytest.fixture(scope="module")
def users(oracle: Oracle) -> Oracle:
    """DuckDB with the functions."""
    oracle.connection.execute("SET arrow_lossless_conversion = true")
    declare(oracle.connection, KNOWN.values())
    return oracle


@pytest.fixture(scope="module")
def binder() -> Iterator[Binder]:
    with Binder() as binder:
        yield binder


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_are_duckdbs(
    connection: gearsql.Connection, users: Oracle, binder: Binder, case: Case
) -> None:
    found, expected = ask(connection, case.text, case.parameters), users.ask(_native(binder, case))
    assert_same(found, expected, ordered=case.ordered, within=case.within)


def _native(binder: Binder, case: Case) -> str:
    """The text as DuckDB takes it: its aggregates as lists, its table functions as subqueries."""
    query = parse(case.text)
    assert isinstance(query, Query)
    columns = tuple(Column(name, type_, FieldSource(name.encode())) for name, type_ in zoo.COLUMNS.items())
    table = Table("zoo", Glob(b"zoo:*"), columns, declared=True)
    bound = binder.bind(query, table, case.parameters, {name: KNOWN[name] for name in query.calls})
    return bindable(bound.text, bound.hooks)
