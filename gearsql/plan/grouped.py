"""Two-phase aggregation: the shards ship groups (g0, …), distinct values (x0, …) and partial states (s0, …).

Without DISTINCT a shard ships one row for each group. With it, or if values are counted (counted.py):

    one key set, small states     a row for each (group, values), each with its part of the states
    otherwise                     GROUPING SETS: a row for each (group, values) of each key set, told apart by
                                  key_set, and a row for each group with the states
    values that tell rows apart   the rows as they are: grouping them would take time, and leave as many
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gearsql.catalog.table import KEY_COLUMN, PlaceholderSource, Table
from gearsql.plan.aggregates import Aggregate
from gearsql.plan.counted import TIMES, CountedCall, counted_call, is_counted
from gearsql.plan.distinct import DistinctCall, KeySet, distinct_call
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import Shipped, rewrite_clauses
from gearsql.plan.states import State, needs_distinct_rows, state_of
from gearsql.plan.text import name_columns, quote, select, source_of, sql, where
from gearsql.sql.bound import BoundQuery


def split_groups(
    tree: exp.Select, aggregates: Sequence[Aggregate], bound: BoundQuery
) -> tuple[str, str, str]:
    """Return the SQL of the shards and of the merge, and what is shipped in words."""
    layout = layout_of(tree, aggregates, bound.table)
    merged = rewrite_clauses(tree, layout.shipped())
    if layout.groups:
        merged.set("group", exp.Group(expressions=[exp.column(f"g{i}") for i in range(len(layout.groups))]))
    return layout.shard_sql(source_of(bound), where(tree)), sql(merged), layout.words()


@dataclass(frozen=True)
class Layout:
    """What is shipped: groups, values of DISTINCT, and states by the text of their call."""

    groups: tuple[exp.Expression, ...]
    distinct: tuple[DistinctCall | CountedCall, ...]
    states: dict[str, State]
    identities: tuple[frozenset[str], ...] = ()  # the columns that tell a table's rows apart

    @property
    def reduces(self) -> bool:
        """Whether shards have to group: not if all rows differ, and only their values are shipped."""
        if self.apart or self.counted or self.states or not self.keys:
            return True
        shipped = {*map(sql, self.groups), *self.keys}
        return not any(columns <= shipped for columns in self.identities)

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(key for call in self.distinct for key in call.keys))

    @property
    def key_sets(self) -> list[KeySet]:
        return list(dict.fromkeys(call.keys for call in self.distinct if call.keys))

    @property
    def apart(self) -> bool:
        """Whether the key sets and the states travel in rows of their own."""
        return len(self.key_sets) > 1 or (self.keys != [] and not all(s.small for s in self.states.values()))

    @property
    def counted(self) -> bool:
        """Whether it matters how often a value comes."""
        return any(isinstance(call, CountedCall) for call in self.distinct)

    def shard_sql(self, source: str, filter_: str) -> str:
        groups, keys = [sql(group) for group in self.groups], self.keys
        items = [*name_columns(groups, "g"), *name_columns(keys, "x")]
        states = [state.text for state in self.states.values()]
        if self.apart:
            set_id = f"grouping_id({', '.join(keys)})"
            states = [state.only_if(f"{set_id} = {self._set_id(())}") for state in self.states.values()]
            items.append(f"{set_id} AS key_set")
        if self.counted:
            items.append(f"COUNT(*) AS {TIMES}")
        return select([*items, *name_columns(states, "s")], source, filter_ + self._group_by())

    def _group_by(self) -> str:
        if self.apart:
            return f" GROUP BY GROUPING SETS ({', '.join(self._ordinals(keys) for keys in self._sets())})"
        count = len(self.groups) + len(self.keys) if self.reduces else 0
        return " GROUP BY " + ", ".join(str(ordinal + 1) for ordinal in range(count)) if count else ""

    def _sets(self) -> list[KeySet]:
        """The set without keys has the states."""
        alone = self.states or any(not call.keys for call in self.distinct)
        return [*self.key_sets, *([()] if alone else [])]

    def _ordinals(self, keys: KeySet) -> str:
        groups = range(len(self.groups))
        positions = [*groups, *(len(groups) + self.keys.index(key) for key in keys)]
        return f"({', '.join(str(position + 1) for position in positions)})"

    def _set_id(self, keys: KeySet) -> int:
        """DuckDB's grouping_id: the first key is the highest bit, set if the key is not in the set."""
        return int("".join("0" if key in keys else "1" for key in self.keys), 2)

    def shipped(self) -> Shipped:
        """What stands for groups and aggregates in the merge."""
        groups = {
            sql(group): exp.column(f"g{i}") for i, group in enumerate(self.groups) if group.find(exp.Column)
        }
        keys = {key: exp.column(f"x{i}") for i, key in enumerate(self.keys)}
        states = {call: state.merged(f"s{i}") for i, (call, state) in enumerate(self.states.items())}
        distinct = {
            sql(call.aggregate.call): call.merged({**groups, **keys}, self._rows_of(call))
            for call in self.distinct
        }
        return {**groups, **states, **distinct}

    def _rows_of(self, call: DistinctCall | CountedCall) -> str | None:
        return f"key_set = {self._set_id(call.keys)}" if self.apart else None

    def words(self) -> str:
        row = "one row for each group" if self.groups else "one row from each shard"
        if not self.keys:
            return f"partial states, {row}"
        values = " and of ".join(", ".join(keys) for keys in self.key_sets)
        kind = "distinct values" if self.reduces else "values"
        values = f"the {kind} of {values}" + (" in each group" if self.groups else "")
        values += ", and how often each comes" if self.counted else ""
        if not self.states:
            return values
        return f"{values}; partial states, {row}" if self.apart else f"{values}, each with its partial states"


def layout_of(tree: exp.Select, aggregates: Sequence[Aggregate], table: Table) -> Layout:
    clause = tree.args.get("group")
    groups = {sql(group): group for group in (key.unnest() for key in (clause.expressions if clause else []))}
    if not groups and not aggregates:
        raise RowsNeeded("HAVING stands without an aggregate")
    distinct = [distinct_call(call, list(groups)) for call in aggregates if needs_distinct_rows(call)]
    counted = [counted_call(call, groups) for call in aggregates if is_counted(call)]
    others = [call for call in aggregates if not needs_distinct_rows(call) and not is_counted(call)]
    states = {sql(call.call): state_of(call) for call in others}
    return Layout(tuple(groups.values()), (*distinct, *counted), states, _identities(table))


def _identities(table: Table) -> tuple[frozenset[str], ...]:
    """The key, and all that a key is made of. Rows of a set's members share them: no harm."""
    parts = [column for column in table.all_columns if isinstance(column.source, PlaceholderSource)]
    made = frozenset(quote(column.name) for column in parts)
    return (frozenset({quote(KEY_COLUMN.name)}), *([made] if made else []))
