"""Which functions a query may call: DuckDB's own catalog, minus what reaches beyond the rows of a query."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from gearsql.sql.sandbox import open_sandbox

_STATES = "aggregate states travel between stages only"
_INTERNAL = "it is internal to DuckDB"

# Functions that DuckDB calls CONSISTENT, and that depend on more than their arguments, or are not for users.
DENIED = {
    "combine": _STATES,
    "combine_aggr": _STATES,
    "finalize": _STATES,
    "to_aggregate_state": _STATES,
    "json_serialize_sql": "it parses SQL text",
    "json_serialize_plan": "it binds SQL text",
    "json_deserialize_sql": "it writes SQL text",
    "parse_duckdb_log_message": "it reads DuckDB's log",
    "alias": "it would tell the names of the plan's columns, not of the query's",
    "version": "it tells about the server, not the rows",
    "hive_partition_component": _INTERNAL,
    "constant_or_null": _INTERNAL,
    "create_sort_key": _INTERNAL,
    "index_key": _INTERNAL,
    "remap_struct": _INTERNAL,
    "variant_group_object": _INTERNAL,
    "reservoir_quantile": "it draws a random sample",
}
_STABILITY = {
    "VOLATILE": "it gives another answer at each call",
    "CONSISTENT_WITHIN_QUERY": "its answer depends on the clock or the connection",
}
# Macros whose bodies call allowed functions only; a test reads the bodies.
_MACRO_PREFIXES = ("list_", "array_", "md5_number_")
_MACROS = {
    "date_add", "days_in_month", "fdiv", "if", "json", "map_contains_entry", "map_contains_value",
    "nullif", "pg_typeof", "split_part",
}  # fmt: skip
WHOLE_MACROS = frozenset({"json_group_object", "json_group_structure"})
"""Macros over aggregates that are not taken apart: one calls error() for a NULL, the other has an arrow."""
AGGREGATE_MACROS = WHOLE_MACROS | {"geomean", "geometric_mean", "wavg", "weighted_avg", "json_group_array"}
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
"""Those of DuckDB's that may stand in FROM: what they give depends on their arguments only."""
CLOCK = {
    "now": "TIMESTAMP WITH TIME ZONE",
    "get_current_timestamp": "TIMESTAMP WITH TIME ZONE",
    "transaction_timestamp": "TIMESTAMP WITH TIME ZONE",
    "current_localtimestamp": "TIMESTAMP",
    "today": "DATE",
    "current_date": "DATE",
    "current_localtime": "TIME",
    "get_current_time": "TIME WITH TIME ZONE",
}
"""Functions of the clock and their types: they become literals before anything runs (clock.py)."""
CLOCK_WORDS = {
    "current_date": "current_date",
    "current_time": "get_current_time",
    "current_timestamp": "now",
    "localtime": "current_localtime",
    "localtimestamp": "current_localtimestamp",
}
"""Bare words that DuckDB reads as calls of these."""
VOLATILE = frozenset({"gen_random_uuid", "random", "uuid", "uuidv4", "uuidv7"})
"""Functions that give another value at each call: they are called where the query runs once."""
# A bare word that is no column: DuckDB reads it as a call.
VALUE_WORDS = frozenset({
    "current_catalog", "current_role", "current_schema", "current_user", "session_user", "user",
})  # fmt: skip


@dataclass(frozen=True)
class Functions:
    """`refused` gives a reason for each name that DuckDB knows and a query may not call.

    `aliases` leads from a second name to the first one: listagg and string_agg are one function.
    `keywords` need quotes as a function's name. `tables` stand in FROM; no query may call them. `windows` are
    called with OVER only.
    """

    allowed: frozenset[str]
    aggregates: frozenset[str]
    refused: dict[str, str]
    aliases: dict[str, str]
    keywords: frozenset[str]
    tables: frozenset[str]
    windows: frozenset[str]


@functools.cache
def known_functions() -> Functions:
    """Read DuckDB's catalog once for each process."""
    with open_sandbox() as sandbox:
        rows: list[tuple[str, str, str | None, str | None, bool]] = sandbox.execute(_FUNCTIONS).fetchall()
        keywords = sandbox.execute(_KEYWORDS).fetchall()
        tables = sandbox.execute(_TABLES).fetchall()
        windows = sandbox.execute(_WINDOWS).fetchall()
    # A name is refused if any of its forms is.
    reasons = [(name, _refusal(name, kind, stability, zoned)) for name, kind, stability, _, zoned in rows]
    refused = {name: reason for name, reason in reasons if reason}
    # unnest() is no function of the catalog.
    allowed = ({name for name, *_ in rows} | {"unnest"}) - refused.keys()
    aggregates = {name for name, kind, *_ in rows if kind == "aggregate"} & allowed
    aliases = {name: first for name, _, _, first, _ in rows if first}
    return Functions(
        frozenset(allowed),
        frozenset(aggregates | AGGREGATE_MACROS),
        refused,
        aliases,
        frozenset(word for (word,) in keywords),
        frozenset(name for (name,) in tables),
        frozenset(name for (name,) in windows),
    )


# The last column: whether the form has parameters, and takes or gives a type with a time zone.
_FUNCTIONS = """
    SELECT DISTINCT lower(function_name), function_type, stability, alias_of,
        len(parameter_types) > 0 AND list_has_any(
            list_append(parameter_types, return_type),
            ['TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ_NS', 'TIME WITH TIME ZONE'])
    FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')
"""
_TABLES = "SELECT lower(function_name) FROM duckdb_functions() WHERE contains(function_type, 'table')"
_WINDOWS = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type = 'window'"
_KEYWORDS = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"


def _refusal(name: str, kind: str, stability: str | None, zoned: bool) -> str | None:
    if name in DENIED:
        return DENIED[name]
    if name in CLOCK or name in VOLATILE:
        return None
    if name.startswith("__"):
        return _INTERNAL
    # Such a form depends on the time zone only, which is UTC everywhere (open_locked).
    if stability in _STABILITY and not (stability == "CONSISTENT_WITHIN_QUERY" and zoned):
        return _STABILITY[stability]
    if kind == "macro" and name not in _MACROS | AGGREGATE_MACROS and not name.startswith(_MACRO_PREFIXES):
        return "it is a macro that GearsSQL does not know"
    return None
