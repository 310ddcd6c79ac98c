"""Aggregates that need each value, but only how often it comes: mode, histogram, entropy and their kin.

The shards ship the distinct values as rows, as for DISTINCT, each with how many rows have it (`times`). The
merge repeats each value as often, in a list, and DuckDB aggregates over that.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from gearsql.plan.aggregates import Aggregate
from gearsql.plan.distinct import KeySet, null_unless
from gearsql.plan.rewrite import Shipped
from gearsql.plan.text import sql

TIMES = "times"

# None takes notice of NULL, or of the order of its rows where values tell it.
COUNTED = frozenset({"entropy", "histogram", "histogram_exact", "mode"})


@dataclass(frozen=True)
class CountedCall:
    """An aggregate over values of one column; `key` is the group or the key that stands for them."""

    aggregate: Aggregate
    keys: KeySet
    key: str

    def merged(self, shipped: Shipped, condition: str | None) -> exp.Expression:
        """Return the call over the shipped values, of those rows that meet a condition."""
        lists = f"list(repeat([{sql(shipped[self.key])}], {TIMES}))"
        if condition:
            lists += f" FILTER (WHERE {condition})"
        others = "".join(f", {sql(argument)}" for argument in self.aggregate.arguments[1:])
        # Of no rows there is no list.
        values = f"coalesce(flatten({lists}), [])"
        return exp.Var(this=f"list_aggregate({values}, '{self.aggregate.name}'{others})")


def is_counted(aggregate: Aggregate) -> bool:
    """Whether the distinct values and their numbers are enough."""
    others = aggregate.arguments[1:]
    return (
        aggregate.name in COUNTED
        and len(aggregate.arguments) > 0  # mode() WITHIN GROUP (ORDER BY x) has none
        and not aggregate.distinct
        and not aggregate.ordered
        and not any(argument.find(exp.Column) for argument in others)
    )


def counted_call(aggregate: Aggregate, groups: dict[str, exp.Expression]) -> CountedCall:
    """Tell what a counted aggregate needs from the shards. What its FILTER drops becomes NULL."""
    key = sql(null_unless(aggregate.condition, aggregate.arguments[0]))
    return CountedCall(aggregate, () if key in groups else (key,), key)
