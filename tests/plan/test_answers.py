"""Every query here answers over any number of shards what DuckDB answers over all rows in one table."""

from __future__ import annotations

from typing import Any

import pytest

CALLS = [
    "count(*)", "count(a)", "sum(a)", "sum(n)", "sum(w)", "sum(x)", "avg(a)", "avg(n)", "avg(x)",
    "avg(day)", "min(a)", "max(s)", "min(day)", "max(ts)", "min(tod)", "max(u)", "min(z)", "max(f)",
    "min(d)", "max(d)", "min(w)", "min(r)", "sum(r)", "sum(b)", "sum(d)", "sum(f)", "bool_and(f)",
    "bool_or(f)", "bit_and(b)", "bit_or(a)", "bit_xor(a)", "bit_xor(w)", "count_if(f)", "stddev(x)",
    "stddev_pop(a)", "variance(x)", "var_pop(x)", "var_samp(a)", "sem(x)", "median(a)", "median(x)",
    "median(day)", "median(n)", "quantile_cont(x, 0.3)", "quantile_disc(a, 0.9)",
    "quantile_cont(x, [0.25, 0.75])", "quantile_disc(s, 0.5)",
    "percentile_cont(0.25) WITHIN GROUP (ORDER BY x)",
    "percentile_disc(0.25) WITHIN GROUP (ORDER BY a DESC)", "approx_count_distinct(s)",
    "string_agg(s, ',' ORDER BY id)", "string_agg(s, '|' ORDER BY s DESC, id)", "list(a ORDER BY id)",
    "array_agg(s ORDER BY id DESC)", "list(day ORDER BY a NULLS FIRST, id)", "arg_min(s, id)",
    "arg_max(a, id)", "min_by(id, x + id)", "arg_max(id, ts)", "first(b ORDER BY id)",
    "any_value(a ORDER BY id)", "last(s ORDER BY id)", "covar_pop(x, a)", "covar_samp(x, a)",
    "corr(x, id)", "regr_slope(x, id)", "regr_count(x, a)", "regr_r2(x, id)", "skewness(x)",
    "kurtosis(x)", "mad(a)", "fsum(x)", "favg(x)", "product(b + 1)", "mode(least(b, 1))", "entropy(b)",
    "histogram(b)", "max(id, 3)", "min(a + id, 2)", "arg_max(s, id, 2)", "count(DISTINCT a)",
    "count(DISTINCT s)", "count(DISTINCT d)", "count(DISTINCT (a, s))", "count(DISTINCT (g, h))",
    "sum(DISTINCT a)", "avg(DISTINCT n)", "median(DISTINCT a)", "min(DISTINCT a)", "max(DISTINCT s)",
    "string_agg(DISTINCT s, ',' ORDER BY s)", "list(DISTINCT h ORDER BY h)", "count(DISTINCT u)",
    "count(DISTINCT z)", "stddev(DISTINCT a)", "quantile_disc(DISTINCT a, 0.5)", "bool_or(DISTINCT f)",
    "count(DISTINCT lower(g))", "histogram(DISTINCT b)", "histogram(d)", "histogram(x, [0, 2, 4])",
    "histogram_exact(b, [0, 1])", "max(d, 4)", "min(s, 2)", "arg_min(s, x + id, 3)",
    "max(struct_pack(s, id), 2)",
    "bitstring_agg(a, -50, 50)", "list(DISTINCT b ORDER BY b)", "arg_max(DISTINCT b, id)", "median(ts - day)",
    "regr_slope(DISTINCT a, id)", "count(DISTINCT 1)", "max(DISTINCT a, 3)", "approx_top_k(least(b, 1), 1)",
    "mean(a)", "quantile(a, 0.3)",
]  # fmt: skip
EXPRESSIONS = [
    "geomean(greatest(a, 1))", "weighted_avg(x, b)", "wavg(a, b + 1)",
    "json_array_length(json_group_array(s))",
    "sum(a) / count(*)", "max(a) - min(a) + 1", "round(avg(x), 2)", "coalesce(sum(a), 0)",
    "count(*) * 1.5", "sum(a + b)", "sum(CASE WHEN f THEN a ELSE 0 END)", "avg(length(s))",
    "max(day) - min(day)",
]  # fmt: skip


# test_queries.py takes the others, too; empty shards are what aggregates get wrong.
SPREAD = "five, two of them empty"
SHAPES = {
    "of all rows": "SELECT {} FROM t",
    "by group": "SELECT g, {} AS v FROM t GROUP BY g",
    "of filtered rows": "SELECT {} FROM t WHERE h > 0 AND f",
    "of no rows": "SELECT {} FROM t WHERE id < 0",
    "of no rows by group": "SELECT h, {} FROM t WHERE id < 0 GROUP BY h",
    "beside a distinct count": "SELECT h, count(DISTINCT b), {}, count(*) FROM t GROUP BY h",
    "in HAVING": "SELECT g, count(*) FROM t GROUP BY g HAVING {} IS NOT NULL",
    "in ORDER BY": "SELECT g, {} FROM t GROUP BY g ORDER BY {}, g LIMIT 5",
}
FILTERED = {
    "by group": "SELECT h, {} FILTER (WHERE a > 10 OR f) FROM t GROUP BY h",
    "of all rows": "SELECT {} FILTER (WHERE id % 3 = 1) FROM t",
    "of no row": "SELECT b, {} FILTER (WHERE h > 99) AS none, count(*) FROM t GROUP BY b",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("aggregate", CALLS + EXPRESSIONS)
def test_aggregate(play: Any, aggregate: str, shape: str) -> None:
    play.check(SHAPES[shape].replace("{}", aggregate), SPREAD, ordered=shape == "in ORDER BY")


@pytest.mark.parametrize("shape", FILTERED)
@pytest.mark.parametrize("aggregate", CALLS)
def test_aggregate_with_filter(play: Any, aggregate: str, shape: str) -> None:
    play.check(FILTERED[shape].replace("{}", aggregate), SPREAD)
