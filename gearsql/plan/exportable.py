"""Which aggregates' states DuckDB exports and merges right, by the types of their arguments.

tests/plan/test_exportable.py runs every pair on the pinned DuckDB and fails where the two differ.
Names are those that sqlglot writes (listagg, not string_agg). Aggregates with plain states are in states.py.
"""

from __future__ import annotations

from collections.abc import Sequence

_NUMBERS = frozenset({
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "FLOAT", "DOUBLE", "DECIMAL",
})  # fmt: skip
_SCALES = _NUMBERS | {"DATE", "TIME", "TIMESTAMP"}
TYPES = _SCALES | {"BOOLEAN", "VARCHAR", "BLOB", "UUID"}

_OF_ANY = (
    "any_value", "approx_count_distinct", "arbitrary", "array_agg", "first", "last", "listagg", "median",
    "quantile_disc",
)  # fmt: skip
_OF_SCALES = ("approx_quantile", "avg", "mad", "quantile_cont")
_OF_NUMBERS = (
    "favg", "fsum", "kahan_sum", "kurtosis", "kurtosis_pop", "product", "sem", "skewness", "stddev",
    "stddev_pop", "stddev_samp", "sumkahan", "var_pop", "variance",
)  # fmt: skip
_OF_ANY_PAIRS = (
    "arg_max", "arg_max_null", "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last",
)  # fmt: skip
_OF_NUMBER_PAIRS = (
    "corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope",
    "regr_sxx", "regr_sxy", "regr_syy",
)  # fmt: skip

PAIRS = frozenset(_OF_ANY_PAIRS + _OF_NUMBER_PAIRS)
"""Aggregates of two arguments."""

EXPORTABLE = {
    **dict.fromkeys(_OF_ANY + _OF_ANY_PAIRS, TYPES),
    **dict.fromkeys(_OF_SCALES, _SCALES),
    **dict.fromkeys(_OF_NUMBERS + _OF_NUMBER_PAIRS, _NUMBERS),
}


def is_exportable(name: str, types: Sequence[str]) -> bool:
    """Whether `name(types…) EXPORT_STATE` may travel; what follows the value, as a separator, is free."""
    accepted = EXPORTABLE.get(name, frozenset())
    if name in PAIRS:
        # A third argument makes another function: arg_max(x, y, 3).
        return len(types) == 2 and all(_root(type_) in accepted for type_ in types)
    return bool(types) and _root(types[0]) in accepted


def _root(type_: str) -> str:
    """DECIMAL(10,2) is a DECIMAL; nested types are left whole."""
    return "DECIMAL" if type_.startswith("DECIMAL(") and type_.endswith(")") else type_
