"""Bound query → gears plan: what every shard computes, what it ships, and what runs once.

the filter computes constants        they are folded (fold.py)
the filter names the keys            a point read, and the whole query runs here (keys.py)
one shard, or the portable reader    the whole query runs where the rows are
no aggregates                        projection.py
aggregates, GROUP BY                 grouped.py, or placed.py
what none of these can take apart    rows travel, and the merge runs the query over them (rows.py)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlglot import exp

from gearsql.catalog.placed import HashTag
from gearsql.catalog.table import Fixed, Table
from gearsql.catalog.types import has_enum
from gearsql.plan.aggregates import find_aggregates
from gearsql.plan.fold import folded
from gearsql.plan.grouped import split_groups
from gearsql.plan.keys import fixed_by, is_only_keys, is_point
from gearsql.plan.placed import WHOLE, placed_by, split_placed
from gearsql.plan.projection import split_projection
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION
from gearsql.plan.rows import split_rows, volatiles
from gearsql.plan.stages import ANSWER, ANSWERS_ROWS, GearsPlan, MergeStage, Reader, Scan, ShardStage
from gearsql.plan.states import EXPORT
from gearsql.plan.text import source_of, sql
from gearsql.sql.bound import BoundQuery
from gearsql.sql.hooks import aggregates_among, hooks_in
from gearsql.sql.sources import NO_TABLE
from gearsql.sql.trees import write_from

Split = tuple[str, str | None, str]
"""The SQL of the shards, that of the merge, and what is shipped in words."""


def split(
    bound: BoundQuery, shards: int, reader: Reader, *, points: bool = True, placed: bool = True
) -> GearsPlan:
    """Compile a query. What cannot be split ships its rows: slower, never another answer.

    Without `points` keys are found by scans only, without `placed` groups are merged wherever they lie.
    """
    if bound.table == NO_TABLE:
        merge = MergeStage("nothing", bound.text, hooks=bound.hooks)
        return GearsPlan(reader, ShardStage((), ""), merge, bound.columns, "nothing", 0)
    bound = folded(bound)
    scan = scan_of(bound.table, bound.reads, fixed_by(bound))
    if points and is_point(scan) and not bound.hooks:
        return _point(bound, scan, shards)
    try:
        shard, text, ships = _split_tree(bound, 1 if reader == "portable" else shards, placed)
        stage = MergeStage(RELATION, text, EXPORT in shard, hooks_in(text, bound.hooks)) if text else None
    except RowsNeeded as reason:
        shard, stage = split_rows(bound, here=reader == "portable")
        ships = f"rows, because {reason}"
    stages = ShardStage((scan,), shard, bound.hooks), stage
    plan = GearsPlan(reader, *stages, bound.columns, ships, shards, _filter(bound))
    by = placed_by(bound.tree, bound) if bound.tree is not None and ships.startswith(WHOLE) else False
    if not isinstance(by, HashTag) or not by.unless:
        return plan
    return replace(plan, otherwise=split(bound, shards, reader, points=points, placed=False))


def _point(bound: BoundQuery, scan: Scan, shards: int) -> GearsPlan:
    assert bound.tree is not None
    stage = ShardStage((scan,), write_from(bound.tree, source_of(bound)))
    direct = _plain_columns(bound.tree, scan) if is_only_keys(bound, scan.fixed) else None
    return GearsPlan("point", stage, None, bound.columns, "", shards, _filter(bound), direct)


def _plain_columns(tree: exp.Select, scan: Scan) -> tuple[int, ...] | None:
    """Where in the scan the query's items are, if it has nothing but a filter and plain columns."""
    items = [item.unalias() for item in tree.expressions]
    clauses = {name for name, value in tree.args.items() if value} - {"expressions", "where", "from_"}
    if clauses or not all(isinstance(item, exp.Column) for item in items):
        return None
    names = [column.name for column in scan.columns]
    return tuple(names.index(item.name) for item in items)


def _split_tree(bound: BoundQuery, shards: int, placed: bool) -> Split:
    if bound.tree is None:
        raise RowsNeeded("the query cannot be written in a form that is surely the same")
    if shards == 1:
        return write_from(bound.tree, source_of(bound)), None, ANSWER
    return two_stages(bound.tree, bound, placed=placed)


def two_stages(tree: exp.Select, bound: BoundQuery, *, placed: bool = True) -> Split:
    """Take a query's tree apart for several shards; RowsNeeded if it cannot be.

    `placed` says that groups that their slot keeps together may be finished there.
    """
    shard, merge, ships = _taken_apart(tree, bound, placed)
    _check_travels(bound, shard)
    return shard, merge, ships


def _taken_apart(tree: exp.Select, bound: BoundQuery, placed: bool) -> Split:
    if tree.find(exp.Collate):
        raise RowsNeeded("a collation does not travel with its values")
    if volatile := volatiles(bound.hooks):
        raise RowsNeeded(f"{volatile[0]} gives another answer at each call")
    aggregates = find_aggregates(tree, aggregates_among(bound.hooks))
    if aggregates or tree.args.get("group") or tree.args.get("having"):
        by = placed_by(tree, bound) if placed else False
        return split_placed(tree, bound, by) if by else split_groups(tree, aggregates, bound)
    shard, merge = split_projection(tree, source_of(bound))
    return shard, merge, ANSWERS_ROWS + _cut(tree, shard)


def _cut(tree: exp.Select, shard: str) -> str:
    """How many of them, in words."""
    if " LIMIT " in shard:
        return ", those of LIMIT and OFFSET"
    if tree.args.get("limit"):
        return ", all of them: LIMIT is no number"
    if tree.args.get("distinct"):
        return ", each once from a shard"
    return ", all of them: no LIMIT bounds ORDER BY" if tree.args.get("order") else ""


def _check_travels(bound: BoundQuery, shard: str) -> None:
    """An exported state that keeps ENUMs to order by cannot be read again."""
    read = [column.type for column in bound.table.all_columns if column.name in bound.reads]
    if EXPORT in shard and "ORDER BY" in shard and any(map(has_enum, [*read, shard])):
        raise RowsNeeded("a state ordered by an ENUM does not travel")


def scan_of(table: Table, reads: Collection[str], fixed: tuple[Fixed, ...] = ()) -> Scan:
    """Return the scan of a table that reads some of its columns."""
    columns = tuple(column for column in table.all_columns if column.name in reads)
    read = (table.on_error, table.null_values, table.type, fixed, table.cast)
    return Scan(table.name, table.keys, columns, *read)


def _filter(bound: BoundQuery) -> str:
    clause = bound.tree.args.get("where") if bound.tree else None
    return sql(clause.this.unnest()) if clause else ""
