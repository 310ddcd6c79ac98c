"""An aggregate's partial state: what every shard computes, and what the merge makes of it.

Plain states are values that the merge aggregates again. The others are DuckDB's own exported states
(`avg(x) EXPORT_STATE`); exportable.py says which come through right.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from gearsql.plan.aggregates import Aggregate
from gearsql.plan.exportable import is_exportable
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.text import sql
from gearsql.sql.hooks import MERGE, STATE

EXPORT = " EXPORT_STATE"

# The function that merges the values of an aggregate.
PLAIN = {
    "count": "sum",
    "count_if": "sum",
    "regr_count": "sum",
    "sum": "sum",
    "sum_no_overflow": "sum",
    "min": "min",
    "max": "max",
    "any_value": "any_value",
    "bool_and": "bool_and",
    "bool_or": "bool_or",
    "bit_and": "bit_and",
    "bit_or": "bit_or",
    "bit_xor": "bit_xor",
    "bitstring_agg": "bit_or",
}
_ARGUMENTS = {"regr_count": 2, "bitstring_agg": 3}
# Of no rows these are 0, unlike count_if.
_COUNT_TYPES = {"count": "BIGINT", "regr_count": "UINTEGER"}
# Aggregates that give the first n values if they have this many arguments.
_TOP = {"max": 2, "min": 2, "arg_max": 3, "arg_min": 3}
# Over these DISTINCT changes nothing.
_IDEMPOTENT = frozenset({"min", "max", "any_value", "bool_and", "bool_or", "bit_and", "bit_or"})
# A few bytes each: cheap to ship for every pair of group and value.
_SMALL = frozenset({
    "avg", "stddev_pop", "stddev_samp", "var_pop", "var_samp", "sem", "covar_pop", "covar_samp", "corr",
    "first", "last",
})  # fmt: skip


@dataclass(frozen=True)
class State:
    """`text` is the shard's expression. `merge` is the merging function, None for an exported state."""

    text: str
    name: str
    merge: str | None

    @property
    def small(self) -> bool:
        """Whether a state takes a few bytes."""
        return self.merge is not None or self.name in _SMALL

    def only_if(self, condition: str) -> str:
        """Return the shard's expression where only some rows have the state; in the others it is NULL."""
        if self.merge is not None:
            return f"CASE WHEN {condition} THEN {self.text} END"
        # DuckDB binds no CASE over states, since NULL has no cast to one. Over structs it does.
        return f"struct_extract(CASE WHEN {condition} THEN struct_pack(s := {self.text}) END, 's')"

    def merged(self, column: str) -> exp.Expression:
        """Return the aggregate's value from the states in `column`; NULLs there are no states."""
        states: exp.Expression = exp.Anonymous(
            this=(self.merge or "combine_aggr").upper(), expressions=[exp.column(column)]
        )
        if self.merge is None:
            return exp.Anonymous(this="FINALIZE", expressions=[states])
        if self.name in _COUNT_TYPES:
            counted = exp.Coalesce(this=states, expressions=[exp.Literal.number(0)])
            return exp.cast(counted, _COUNT_TYPES[self.name], dialect="duckdb")
        return states


class UsersState(State):
    """The state of a user's aggregate: a BLOB, which only its own code can read."""

    @property
    def small(self) -> bool:
        """Nobody knows."""
        return False

    def merged(self, column: str) -> exp.Expression:
        """Return the aggregate's value: the states are merged in a list at a time."""
        present = exp.Not(this=exp.Is(this=exp.column(column), expression=exp.Null()))
        states = exp.Filter(
            this=exp.Anonymous(this="list", expressions=[exp.column(column)]),
            expression=exp.Where(this=present),
        )
        name = exp.to_identifier(self.name + MERGE, quoted=True)
        return exp.Anonymous(this=name, expressions=[states])


class TopState(State):
    """The first n values of max(x, n) and its kin: a list, and the first n of all are in those of the shards.

    `merge` is their order, and n. Of arg_max(x, y, n) the list has both, y first.
    """

    @property
    def small(self) -> bool:
        """It depends on n."""
        return False

    def merged(self, column: str) -> exp.Expression:
        """Return the first values of all lists in `column`, NULL if there are none."""
        first = f"nullif(list_slice(list_sort(flatten(list({column})), {self.merge}), [])"
        if self.name.startswith("arg_"):
            first = f"list_transform({first}, lambda pair: struct_extract(pair, 'x'))"
        return exp.Var(this=first)


def needs_distinct_rows(aggregate: Aggregate) -> bool:
    """Whether DISTINCT counts: then no state of a shard can be merged with another's."""
    return aggregate.distinct and not (aggregate.name in _IDEMPOTENT and len(aggregate.arguments) == 1)


def state_of(aggregate: Aggregate) -> State:
    """Return the state of an aggregate, or raise RowsNeeded."""
    if aggregate.users:
        return _users_state(aggregate)
    if _is_plain(aggregate):
        return State(sql(_without_distinct(aggregate)), aggregate.name, PLAIN[aggregate.name])
    if aggregate.name in _TOP and len(aggregate.arguments) == _TOP[aggregate.name]:
        return _top_state(aggregate)
    if not aggregate.distinct and is_exportable(aggregate.name, len(aggregate.arguments)):
        return State(sql(aggregate.call) + EXPORT, aggregate.name, None)
    if aggregate.ordered:
        raise RowsNeeded(f"{aggregate.name} wants its rows in an order")
    raise RowsNeeded(f"{aggregate.name} has no partial state")


def _is_plain(aggregate: Aggregate) -> bool:
    if aggregate.name == "any_value" and aggregate.ordered:
        return False
    return aggregate.name in PLAIN and len(aggregate.arguments) == _ARGUMENTS.get(aggregate.name, 1)


def _top_state(aggregate: Aggregate) -> State:
    *values, number = aggregate.arguments
    if number.find(exp.Column):
        raise RowsNeeded(f"{sql(aggregate.call)} reads from the rows how many it gives")
    if aggregate.ordered:
        raise RowsNeeded(f"{aggregate.name} wants its rows in an order")
    merge = f"'{'DESC' if aggregate.name.endswith('max') else 'ASC'}'), 1, {sql(number)}"
    if len(values) == 1:
        return TopState(sql(aggregate.call), aggregate.name, merge)
    x, y = map(sql, values)
    conditions = [f"({x}) IS NOT NULL"]
    if aggregate.condition is not None:
        conditions.append(f"({sql(aggregate.condition)})")
    pair = f"struct_pack(y := {y}, x := {x})"
    text = f"{aggregate.name}({pair}, {y}, {sql(number)}) FILTER (WHERE {' AND '.join(conditions)})"
    return TopState(text, aggregate.name, merge)


def _without_distinct(aggregate: Aggregate) -> exp.Expression:
    call = aggregate.call.copy()
    for distinct in list(call.find_all(exp.Distinct)):
        distinct.replace(distinct.expressions[0])
    return call


def _users_state(aggregate: Aggregate) -> State:
    if aggregate.ordered:
        raise RowsNeeded(f"{aggregate.name} wants its rows in an order")
    call = aggregate.call.copy()
    function = call.this if isinstance(call, exp.Filter) else call
    function.set("this", exp.to_identifier(aggregate.name + STATE, quoted=True))
    return UsersState(sql(call), aggregate.name, aggregate.name + MERGE)
