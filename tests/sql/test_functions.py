"""The allow-list follows DuckDB's catalog: nothing volatile, and no macro over what is refused."""

import json

import duckdb
import pytest

from gearsql.sql.functions import (
    AGGREGATE_MACROS,
    CLOCK,
    CLOCK_WORDS,
    DENIED,
    VALUE_WORDS,
    VOLATILE,
    known_functions,
)
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.stage_functions import stage_functions
from gearsql.sql.syntax import Node, children

# Allowed functions of which some forms depend on the time zone, and on nothing else but their arguments.
# age() of one value reads the clock: shape.py refuses it.
ZONED = {
    "+", "-", "age", "century", "date_diff", "date_part", "date_sub", "date_trunc", "datediff", "datepart",
    "datesub", "datetrunc", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "decade", "era",
    "generate_series", "hour", "isodow", "isoyear", "julian", "last_day", "make_timestamptz", "microsecond",
    "millennium", "millisecond", "minute", "month", "monthname", "quarter", "range", "second", "strftime",
    "time_bucket", "timezone", "timezone_hour", "timezone_minute", "week", "weekday", "weekofyear", "year",
    "yearweek",
}  # fmt: skip


def forms(condition: str) -> list[tuple[str, list[str], str]]:
    """DuckDB's scalar and aggregate functions: name, parameters' types, result's type."""
    return (
        duckdb.connect()
        .execute(
            "SELECT lower(function_name), parameter_types, return_type FROM duckdb_functions()"
            f" WHERE {condition} AND function_type IN ('scalar', 'aggregate')"
        )
        .fetchall()
    )


def test_only_consistent_functions_are_allowed_and_those_of_the_time_zone() -> None:
    inconsistent = {name for name, *_ in forms("coalesce(stability, '') <> 'CONSISTENT'")}
    assert inconsistent & known_functions().allowed == ZONED | CLOCK.keys() | VOLATILE


def test_an_inconsistent_form_that_is_allowed_has_a_time_zone_and_an_argument() -> None:
    for name, parameters, result in forms("coalesce(stability, '') <> 'CONSISTENT'"):
        if name in ZONED:
            assert parameters and any("TZ" in t or "WITH TIME ZONE" in t for t in [*parameters, result]), name


def test_no_volatile_function_but_random_values_is_allowed_and_none_on_shards() -> None:
    volatile = {name for name, *_ in forms("stability = 'VOLATILE'")}
    assert volatile & known_functions().allowed == VOLATILE
    assert not (volatile | CLOCK.keys()) & set(stage_functions())


def test_the_types_of_the_clock_are_duckdbs() -> None:
    with duckdb.connect() as connection:
        for name, type_ in CLOCK.items():
            assert [str(found) for found in connection.sql(f"SELECT {name}()").types] == [type_]
        for word, name in CLOCK_WORDS.items():
            assert [str(found) for found in connection.sql(f"SELECT {word}").types] == [CLOCK[name]]


def test_the_time_zone_is_utc_for_good() -> None:
    with open_sandbox() as sandbox:
        assert sandbox.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        with pytest.raises(duckdb.InvalidInputException, match="locked"):
            sandbox.execute("SET TimeZone = 'Europe/Berlin'")


def test_every_denied_name_is_a_function_of_this_duckdb() -> None:
    assert DENIED.keys() <= known_functions().refused.keys()
    assert not VALUE_WORDS & known_functions().allowed


def test_allowed_macros_call_allowed_functions_only() -> None:
    functions = known_functions()
    bodies = [(name, body) for name, body in macros() if name in functions.allowed]
    assert len(bodies) > 50
    for name, body in bodies:
        assert not body["error"], name
        harmless = {"error"} if name == "json_group_object" else set()  # its message is the macro's own
        assert called(body) <= (functions.allowed - CLOCK.keys() - VOLATILE) | harmless, name


def test_macros_over_aggregates_are_all_known_as_such() -> None:
    functions = known_functions()
    for name, body in macros():
        if name in functions.allowed and called(body) & functions.aggregates:
            assert name in AGGREGATE_MACROS


@pytest.mark.parametrize(
    "name",
    [
        *("read_csv", "read_text", "glob", "getenv", "duckdb_settings", "error", "nextval", "setseed"),
        *("current_setting", "getvariable"),
        *("in_search_path", "current_schema", "current_schemas", "current_database", "txid_current"),
    ],
)
def test_what_reaches_beyond_the_rows_is_not_allowed(name: str) -> None:
    assert name not in known_functions().allowed


def macros() -> list[tuple[str, Node]]:
    """DuckDB's macros and their parsed bodies."""
    rows = (
        duckdb.connect()
        .execute(
            "SELECT lower(function_name), json_serialize_sql('SELECT ' || macro_definition)"
            " FROM duckdb_functions() WHERE function_type = 'macro'"
        )
        .fetchall()
    )
    return [(name, json.loads(body)) for name, body in rows]


def called(node: object) -> set[str]:
    assert isinstance(node, dict | list)
    names = {child["function_name"].lower() for child in children(node) if child.get("class") == "FUNCTION"}
    return names.union(*(called(child) for child in children(node)))
