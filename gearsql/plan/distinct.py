"""DISTINCT aggregates: the shards ship their distinct values as rows, and the merge aggregates over those.

A key set is what one aggregate is distinct over: one value, or several that only count together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gearsql.plan.aggregates import Aggregate
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import Shipped, rewrite
from gearsql.plan.text import sql

# These take no notice of NULL, so their FILTER can make NULLs of the values that it drops.
_NULL_BLIND = frozenset({
    "count", "sum", "avg", "median", "quantile_cont", "quantile_disc", "listagg", "stddev", "stddev_pop",
    "stddev_samp", "variance", "var_pop", "var_samp",
})  # fmt: skip

KeySet = tuple[str, ...]


@dataclass(frozen=True)
class DistinctCall:
    """An aggregate with DISTINCT; `arguments` tells the group or the key that stands for each argument."""

    aggregate: Aggregate
    keys: KeySet
    arguments: dict[str, str]

    def merged(self, shipped: Shipped, condition: str | None) -> exp.Expression:
        """Return the call over the shipped values, of those rows that meet a condition."""
        inside = {argument: shipped[key] for argument, key in self.arguments.items()}
        call = rewrite(self.aggregate.function, inside)
        if condition is None:
            return call
        return exp.Filter(this=call, expression=exp.Where(this=exp.condition(condition)))


def distinct_call(aggregate: Aggregate, groups: Sequence[str]) -> DistinctCall:
    """Tell what a DISTINCT aggregate needs from the shards, or raise RowsNeeded."""
    values = [argument for argument in aggregate.arguments if argument.find(exp.Column)]
    if not values:
        raise RowsNeeded(f"{sql(aggregate.call)} is distinct over a constant")
    arguments = {sql(value): sql(_with_condition(value, aggregate, len(values))) for value in values}
    keys = tuple(dict.fromkeys(key for key in arguments.values() if key not in groups))
    return DistinctCall(aggregate, keys, arguments)


def _with_condition(value: exp.Expression, aggregate: Aggregate, count: int) -> exp.Expression:
    if aggregate.condition is None:
        return value
    if count > 1 or aggregate.name not in _NULL_BLIND:
        raise RowsNeeded(f"{sql(aggregate.call)} has DISTINCT and FILTER")
    return exp.Case(ifs=[exp.If(this=aggregate.condition.copy(), true=value.copy())])
