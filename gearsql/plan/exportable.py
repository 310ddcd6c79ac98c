"""Which aggregates' states DuckDB exports and merges right: over all types that they take.

tests/plan/test_exportable.py runs each on the pinned DuckDB, over every type, and fails where the two differ.
Names are DuckDB's first ones (string_agg, not listagg). Aggregates with plain states are in states.py.
"""

from __future__ import annotations

PAIRS = frozenset({
    "arg_max", "arg_max_null", "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last", "corr",
    "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope",
    "regr_sxx", "regr_sxy", "regr_syy",
})  # fmt: skip
"""Aggregates of two arguments."""

EXPORTABLE = PAIRS | {
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "avg", "decimal_average",
    "favg", "first", "kahan_sum", "kurtosis", "kurtosis_pop", "last", "list", "mad", "median", "product",
    "quantile_cont", "quantile_disc", "sem", "skewness", "stddev_pop", "stddev_samp", "string_agg", "var_pop",
    "var_samp",
}  # fmt: skip


def is_exportable(name: str, arguments: int) -> bool:
    """Whether `name(…) EXPORT_STATE` may travel; what follows the value, as a separator, is free."""
    # A third argument makes another function: arg_max(x, y, 3).
    return name in EXPORTABLE and (arguments == 2 if name in PAIRS else arguments > 0)
