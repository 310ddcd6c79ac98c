"""The words of random queries: columns with their values, and how values of each kind are made of others."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Columns = list[tuple[str, str]]
"""What can be named, and its kind; `o` is for what is shown, and not computed with."""


class Sql(str):
    """A value that is written as it stands."""


def _text(value: int | str | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


_small = st.none() | st.integers(-2, 3)
_lists = st.lists(_small.map(_text), max_size=3).map(lambda items: Sql(f"[{', '.join(items)}]"))
_structs = st.builds(
    lambda a, b: Sql(f"{{'a': {_text(a)}, 'b': {_text(b)}}}"), _small, st.sampled_from([None, "", "a", "'"])
)
_maps = st.dictionaries(st.sampled_from(["", "a", "b", "é"]), _small, max_size=2).map(
    lambda pairs: Sql(f"MAP {{{', '.join(f'{_text(key)}: {_text(value)}' for key, value in pairs.items())}}}")
)

MOST_ROWS = 8

# Columns by name: kind (what they can be used for), types, values.
COLUMNS: dict[str, tuple[str, list[str], st.SearchStrategy[Any]]] = {
    "i": ("i", ["BIGINT", "INTEGER"], st.integers(-2, 3)),
    "j": ("i", ["SMALLINT", "HUGEINT"], st.integers(-4, 4)),
    "d": ("d", ["DOUBLE"], st.integers(-3000, 3000).map(lambda n: n / 1024) | st.sampled_from([0.0, 1.0])),
    "m": ("m", ["DECIMAL(9,2)"], st.integers(-300, 300).map(lambda n: Decimal(n) / 100)),
    "s": ("s", ["VARCHAR"], st.sampled_from(["", "a", "A", "ab", "b", "é", "a\0b", " a", "7", "NULL", "'"])),
    "day": ("t", ["DATE"], st.dates(datetime.date(2024, 2, 28), datetime.date(2024, 3, 1))),
    "flag": ("b", ["BOOLEAN"], st.booleans()),
    "l": ("l", ["BIGINT[]"], _lists),
    "r": ("r", ["STRUCT(a BIGINT, b VARCHAR)"], _structs),
    "q": ("q", ["MAP(VARCHAR, BIGINT)"], _maps),
}
KINDS = "idmstb"
NESTED = "lrq"

LITERALS = {
    "i": ["0", "1", "-1", "2", "NULL::BIGINT"],
    "d": ["0.5::DOUBLE", "1.0::DOUBLE", "-1.25::DOUBLE"],
    "m": ["1.50", "0.00", "-0.25"],
    "s": ["'a'", "''", "'AB'", "NULL::VARCHAR"],
    "t": ["DATE '2024-02-29'", "DATE '2024-03-01'"],
    "b": ["true", "false", "NULL::BOOLEAN"],
    "l": ["[1, 2, NULL]", "[]::BIGINT[]", "NULL::BIGINT[]"],
    "r": ["struct_pack(a := 1, b := 'a')", "NULL::STRUCT(a BIGINT, b VARCHAR)"],
    "q": ["map(['a'], [1])", "NULL::MAP(VARCHAR, BIGINT)"],
}

# How a value of a kind is made of others: {i} is a value of that kind; {x} and {y} are of any one.
VALUES = {
    "i": [
        *("({i} + {i})", "({i} % 3)", "abs({i})", "length({s})", "coalesce({i}, {i})", "day({t})"),
        *("CASE WHEN {b} THEN {i} ELSE {i} END", "nullif({i}, {i})", "{b}::INTEGER", "greatest({i}, {i})"),
        *("len({l})", "list_sum({l})", "({l})[1]", "({r}).a", "({q})['a']", "list_position({l}, {i})"),
    ],
    "d": ["({d} + {d})", "({d} - {d})", "least({d}, {d})", "CASE WHEN {b} THEN {d} END", "({d} + {i})"],
    "m": ["({m} + {m})", "abs({m})", "round({m}, 1)", "coalesce({m}, {m})"],
    "s": [
        "({s} || {s})",
        "upper({s})",
        "substr({s}, 1, 1)",
        "{i}::VARCHAR",
        "{t}::VARCHAR",
        "coalesce({s}, {s})",
        *("({r}).b", "array_to_string({l}, ',')", "{l}::VARCHAR", "{r}::VARCHAR", "map_keys({q})[1]"),
    ],
    "t": ["({t} + 1)", "greatest({t}, {t})", "CASE WHEN {b} THEN {t} ELSE {t} END"],
    "b": [
        *("({x} = {y})", "({x} < {y})", "({x} <> {y})", "({x} >= {y})", "({x} IS NULL)", "({x} IS NOT NULL)"),
        *("({x} IS DISTINCT FROM {y})", "(NOT {b})", "({b} AND {b})", "({b} OR {b})", "({s} LIKE 'a%')"),
        *("({i} IN (0, 1, NULL))", "({x} BETWEEN {y} AND {y})", "({b} IS TRUE)", "({s} ILIKE '%A%')"),
        *("({i} NOT IN (0, NULL))", "(({i}, {s}) IN ((1, 'a'), (0, '')))", "({s} SIMILAR TO 'a.*')"),
        *("({l} = {l})", "({r} = {r})", "({q} = {q})", "({l} < {l})", "({r} IS NOT DISTINCT FROM {r})"),
        *("list_contains({l}, {i})", "({l} IS NULL)", "map_contains({q}, {s})"),
    ],
    "l": [
        *("list_sort({l})", "list_concat({l}, {l})", "list_transform({l}, lambda e: e + 1)", "({l})[:2]"),
        *("list_filter({l}, lambda e: e > 0)", "[e * 2 FOR e IN {l} IF e IS NOT NULL]", "[{i}, {i}]"),
        *("CASE WHEN {b} THEN {l} END", "map_values({q})"),
    ],
    "r": ["struct_pack(a := {i}, b := {s})", "CASE WHEN {b} THEN {r} ELSE {r} END", "coalesce({r}, {r})"],
    "q": ["map([coalesce({s}, '')], [{i}::BIGINT])", "coalesce({q}, {q})", "map_concat({q}, {q})"],
}

AGGREGATES = {
    "i": [
        "count(*)",
        "count({x})",
        "count(DISTINCT {x})",
        "sum({i})",
        "max({i})",
        "min({i})",
        "sum(DISTINCT {i})",
    ],
    "d": ["sum({d})", "max({d})", "min({d})", "median({d})"],
    "m": ["sum({m})", "max({m})"],
    "s": [
        "min({s})",
        "max({s})",
        "string_agg({s}, '|' ORDER BY {s})",
        "string_agg(DISTINCT {s}, '' ORDER BY {s})",
    ],
    "t": ["min({t})", "max({t})"],
    "b": ["bool_or({b})", "bool_and({b})"],
    "l": ["list({i} ORDER BY {i})", "max({l})", "min({l})", "flatten(list({l} ORDER BY {l}))"],
    "r": ["max({r})", "min({r})"],
    "q": ["max({q})", "min({q})"],
    "o": [
        *("avg({i})", "avg({d})", "avg({m})", "list({x} ORDER BY {x})", "list(DISTINCT {i} ORDER BY {i})"),
        *("max({i}, 2)", "quantile_disc({x}, 0.5)", "stddev_pop({i})", "entropy({i})", "bit_xor({i})"),
        *("list(DISTINCT {l} ORDER BY {l})", "count(DISTINCT {r})", "histogram({i})", "count_if({b})"),
    ],
}

# {p}: values to part by; {all}: an order without ties.
WINDOWS = {
    "i": [
        *("row_number() OVER (PARTITION BY {p} ORDER BY {all})", "rank() OVER (ORDER BY {x})"),
        *("dense_rank() OVER (PARTITION BY {p} ORDER BY {x} DESC)", "count(*) OVER (PARTITION BY {p})"),
        *("lag({i}) OVER (ORDER BY {all})", "sum({i}) OVER (PARTITION BY {p} ORDER BY {i})"),
        *("ntile(3) OVER (ORDER BY {all})", "nth_value({i}, 2) OVER (ORDER BY {all})"),
        "count({y}) OVER (ORDER BY {i} RANGE BETWEEN 1 PRECEDING AND CURRENT ROW)",
        "sum({i}) OVER (PARTITION BY {p} ORDER BY {x} GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
        "count(*) OVER (PARTITION BY {p} ORDER BY {x} GROUPS UNBOUNDED PRECEDING EXCLUDE TIES)",
        "sum({i}) OVER (ORDER BY {x} RANGE UNBOUNDED PRECEDING EXCLUDE GROUP)",
    ],
    "d": ["sum({d}) OVER (ORDER BY {all} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", "max({d}) OVER ()"],
    "m": ["sum({m}) OVER (PARTITION BY {p})", "first_value({m}) OVER (PARTITION BY {p} ORDER BY {all})"],
    "s": ["lead({s}, 2, 'none') OVER (ORDER BY {all})", "min({s}) OVER (PARTITION BY {p} ORDER BY {i})"],
    "t": ["max({t}) OVER (PARTITION BY {p})", "last_value({t}) OVER (ORDER BY {all})"],
    "b": ["bool_or({b}) OVER (PARTITION BY {p})"],
    "l": ["max({l}) OVER (PARTITION BY {p})", "list({i}) OVER (ORDER BY {all})"],
    "o": ["cume_dist() OVER (ORDER BY {x})", "percent_rank() OVER (PARTITION BY {p} ORDER BY {x})"],
}

STEADY = {kind: [call for call in calls if "{all}" not in call] for kind, calls in WINDOWS.items()}
