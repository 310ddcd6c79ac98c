"""The allow-list follows DuckDB's catalog: nothing volatile, and no macro over what is refused."""

import json

import duckdb
import pytest

from gearsql.sql.functions import AGGREGATE_MACROS, DENIED, VALUE_WORDS, known_functions
from gearsql.sql.syntax import Node, children


def test_only_consistent_functions_are_allowed() -> None:
    rows = duckdb.execute(
        "SELECT lower(function_name) FROM duckdb_functions() WHERE coalesce(stability, '') <> 'CONSISTENT'"
        " AND function_type IN ('scalar', 'aggregate')"
    ).fetchall()
    assert rows and not {name for (name,) in rows} & known_functions().allowed


def test_every_denied_name_is_a_function_of_this_duckdb() -> None:
    assert DENIED.keys() <= known_functions().refused.keys()
    assert not VALUE_WORDS & known_functions().allowed


def test_allowed_macros_call_allowed_functions_only() -> None:
    functions = known_functions()
    bodies = [(name, body) for name, body in macros() if name in functions.allowed]
    assert len(bodies) > 50
    for name, body in bodies:
        assert not body["error"], name
        assert called(body) <= functions.allowed, name


def test_macros_over_aggregates_are_all_known_as_such() -> None:
    functions = known_functions()
    for name, body in macros():
        if name in functions.allowed and called(body) & functions.aggregates:
            assert name in AGGREGATE_MACROS


@pytest.mark.parametrize(
    "name", ["read_csv", "read_text", "glob", "getenv", "duckdb_settings", "random", "now", "error"]
)
def test_what_reaches_beyond_the_rows_is_not_allowed(name: str) -> None:
    assert name not in known_functions().allowed


def macros() -> list[tuple[str, Node]]:
    """DuckDB's macros and their parsed bodies."""
    rows = duckdb.execute(
        "SELECT lower(function_name), json_serialize_sql('SELECT ' || macro_definition)"
        " FROM duckdb_functions() WHERE function_type = 'macro'"
    ).fetchall()
    return [(name, json.loads(body)) for name, body in rows]


def called(node: object) -> set[str]:
    assert isinstance(node, dict | list)
    names = {child["function_name"].lower() for child in children(node) if child.get("class") == "FUNCTION"}
    return names.union(*(called(child) for child in children(node)))
