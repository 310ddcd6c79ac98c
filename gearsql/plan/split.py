"""Bound query → gears plan: what every shard computes, what it ships, and what runs once.

one shard, or the portable reader    the whole query runs where the rows are
no aggregates                        projection.py
aggregates, GROUP BY                 grouped.py
what none of these can take apart    rows travel, and the merge runs the query's own text
"""

from __future__ import annotations

from sqlglot import exp

from gearsql.plan.aggregates import find_aggregates
from gearsql.plan.grouped import split_groups
from gearsql.plan.projection import split_projection
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION
from gearsql.plan.stages import GearsPlan, MergeStage, Reader, Scan, ShardStage
from gearsql.plan.states import EXPORT
from gearsql.plan.text import SOURCE, quote, select, sql, where
from gearsql.plan.types import shard_types
from gearsql.sql.bound import BoundQuery

Split = tuple[str, str | None, str]
"""The SQL of the shards, that of the merge, and what is shipped in words."""


def split(bound: BoundQuery, shards: int, reader: Reader) -> GearsPlan:
    """Compile a query. What cannot be split ships its rows: slower, never another answer."""
    try:
        shard, merge, ships = _split_tree(bound, 1 if reader == "portable" else shards)
        stage = MergeStage(RELATION, merge, EXPORT in shard) if merge else None
    except RowsNeeded as reason:
        shard, stage = _rows(bound), MergeStage(bound.table.name, bound.text)
        ships = f"rows, because {reason}"
    stages = ShardStage((_scan(bound),), shard), stage
    return GearsPlan(reader, *stages, bound.columns, ships, shards, _filter(bound))


def _split_tree(bound: BoundQuery, shards: int) -> Split:
    if bound.tree is None:
        raise RowsNeeded("the query cannot be written in a form that is surely the same")
    tree = bound.tree.copy()
    tree.from_(SOURCE, copy=False)
    if shards == 1:
        return sql(tree), None, "the answer"
    shard, merge, ships = _two_stages(tree, bound)
    _check_travels(bound, shard)
    return shard, merge, ships


def _two_stages(tree: exp.Select, bound: BoundQuery) -> Split:
    if tree.find(exp.Collate):
        raise RowsNeeded("a collation does not travel with its values")
    aggregates = find_aggregates(tree)
    if aggregates or tree.args.get("group") or tree.args.get("having"):
        return split_groups(tree, aggregates, bound.table)
    shard, merge = split_projection(tree)
    return shard, merge, "the answer's rows" + (", those of LIMIT and OFFSET" if " LIMIT " in shard else "")


def _check_travels(bound: BoundQuery, shard: str) -> None:
    """Arrow carries an ENUM without its values."""
    if any("ENUM(" in type_ for type_ in shard_types(bound.table, shard)):
        raise RowsNeeded("an ENUM does not travel")


def _rows(bound: BoundQuery) -> str:
    """The columns that are read, of the rows that pass the filter if there is a tree to take it from."""
    # Without a column the rows have to be counted all the same.
    columns = [quote(name) for name in bound.reads] or ["true AS counted"]
    return select(columns, where(bound.tree) if bound.tree else "")


def _scan(bound: BoundQuery) -> Scan:
    table = bound.table
    columns = tuple(column for column in table.all_columns if column.name in bound.reads)
    return Scan(table.name, table.keys, columns, table.on_error, table.null_values)


def _filter(bound: BoundQuery) -> str:
    clause = bound.tree.args.get("where") if bound.tree else None
    return sql(clause.this.unnest()) if clause else ""
