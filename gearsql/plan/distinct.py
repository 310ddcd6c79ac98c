"""DISTINCT aggregates: the shards ship their distinct values as rows, and the merge aggregates over those.

A key set is what one aggregate is distinct over: one value, or several that only count together. Where its
FILTER cannot be written into the value, whether a row meets it is one of them.
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
    "count", "sum", "avg", "median", "quantile_cont", "quantile_disc", "string_agg", "stddev_pop",
    "stddev_samp", "var_pop", "var_samp",
})  # fmt: skip

KeySet = tuple[str, ...]


@dataclass(frozen=True)
class DistinctCall:
    """An aggregate with DISTINCT; `arguments` tells the group or the key that stands for each argument.

    `meets` is the key that tells whether a row meets its FILTER, if there is one.
    """

    aggregate: Aggregate
    keys: KeySet
    arguments: dict[str, str]
    meets: str | None = None

    def merged(self, shipped: Shipped, condition: str | None) -> exp.Expression:
        """Return the call over the shipped values, of those rows that meet a condition."""
        inside = {argument: shipped[key] for argument, key in self.arguments.items()}
        call = rewrite(self.aggregate.function, inside)
        met = [sql(shipped[self.meets])] if self.meets else []
        return only_where(call, [*met, *([condition] if condition else [])])


def only_where(call: exp.Expression, conditions: Sequence[str]) -> exp.Expression:
    """Add FILTER to a call, if there are conditions."""
    if not conditions:
        return call
    return exp.Filter(this=call, expression=exp.Where(this=exp.condition(" AND ".join(conditions))))


def distinct_call(aggregate: Aggregate, groups: Sequence[str]) -> DistinctCall:
    """Tell what a DISTINCT aggregate needs from the shards, or raise RowsNeeded."""
    values = [argument for argument in aggregate.arguments if argument.find(exp.Column)]
    if not values and len(aggregate.arguments) > 1:
        raise RowsNeeded(f"{sql(aggregate.call)} is distinct over constants")
    values = values or list(aggregate.arguments)
    blind = len(values) == 1 and aggregate.name in _NULL_BLIND
    written = {
        sql(value): sql(null_unless(aggregate.condition, value) if blind else value) for value in values
    }
    meets = None if blind or aggregate.condition is None else f"({sql(aggregate.condition)}) IS TRUE"
    found = [*written.values(), *([meets] if meets else [])]
    keys = tuple(dict.fromkeys(key for key in found if key not in groups))
    return DistinctCall(aggregate, keys, written, meets)


def null_unless(condition: exp.Expression | None, value: exp.Expression) -> exp.Expression:
    """Return a value that is NULL where a condition, if there is one, is not met."""
    if condition is None:
        return value
    return exp.Case(ifs=[exp.If(this=condition.copy(), true=value.copy())])
