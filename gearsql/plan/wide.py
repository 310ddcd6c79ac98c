"""A query of any shape → its plan: parts that the shards answer, and the query over their answers.

On a single shard with the module nothing has to travel: there the query runs as it is, over its scans.
Where all keys are known there are none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gearsql.plan.joins import split_joins
from gearsql.plan.shared import share
from gearsql.plan.split import scan_of, split
from gearsql.plan.stages import ANSWER, GearsPlan, PartPlan, Reader, ShardStage, WidePlan
from gearsql.sql.blocks import SAMPLE, volatile
from gearsql.sql.bound import Part, WideBound
from gearsql.sql.functions import VOLATILE
from gearsql.sql.hooks import hooks_in
from gearsql.sql.normalise import calls
from gearsql.sql.syntax import Node, read_query, write_query
from gearsql.sql.walks import references, samples
from gearsql.sql.wide import select_from


def split_wide(bound: WideBound, shards: int, reader: Reader, *, points: bool = True) -> GearsPlan | WidePlan:
    """Compile a query that is no block. Without `points` keys are found by scans only."""
    if whole := _whole(bound):
        return _part(whole, shards, reader, points)
    parts = tuple(PartPlan(part.name, _part(part, shards, reader, points), part.lean) for part in bound.parts)
    scanned = bool(bound.hooks) or any(part.plan.reader == reader for part in parts)
    alone = scanned and shards == 1 and reader == "module" and bool(bound.scans)
    why = _stays_here(bound) if alone else ""
    if alone and not why:
        scans = tuple(scan_of(scan.table, scan.reads) for scan in bound.scans)
        stage = ShardStage(scans, _on_shard(bound), bound.hooks)
        return GearsPlan(reader, stage, None, bound.columns, ANSWER, shards)
    hooks, takes = hooks_in(bound.merged, bound.hooks), bound.takes
    joins = split_joins(bound, parts, shards)
    shared = tuple(share(bound.parts, parts))
    return WidePlan(reader, parts, bound.merged, bound.columns, hooks, joins, takes, bound.whole, shared, why)


def _whole(bound: WideBound) -> Part | None:
    """The part that is the query, if it has become a block (flatten.py)."""
    if len(bound.parts) != 1 or bound.joins:
        return None
    [part] = bound.parts
    alone = write_query(select_from(part.name, [column.name for column in part.bound.columns]))
    return replace(part, bound=replace(part.bound, columns=bound.columns)) if alone == bound.merged else None


def _part(part: Part, shards: int, reader: Reader, points: bool) -> GearsPlan:
    """The plan of a part; its scan has the name that the user knows."""
    plan = split(part.bound, shards, reader, points=points)
    scans = tuple(replace(scan, table=part.table.name) for scan in plan.shard.scans)
    return replace(plan, shard=replace(plan.shard, scans=scans))


def _stays_here(bound: WideBound) -> str:
    """Why text or answer cannot cross the wire, if they cannot: Arrow carries an ENUM without its values.

    Shards call no volatile functions, and draw no samples.
    """
    if any("ENUM(" in column.type for column in bound.columns):
        return "an ENUM does not travel in a query's answer"
    if "recurring." in bound.text:
        return "recurring reads rows of the query's own"
    tree = read_query(bound.text).select
    if samples(tree):
        return SAMPLE
    return next((volatile(name) for name in sorted(VOLATILE) if calls(tree, frozenset({name}))), "")


def _on_shard(bound: WideBound) -> str:
    """The query over scan_0, scan_1, …: what it reads twice is read once, and kept.

    Where a name in the query may hide these, its scans have the names that are free in it.
    """
    tree = read_query(bound.text).select
    names = {scan.name: f"scan_{index}" for index, scan in enumerate(bound.scans)}
    found = [reference for reference in references(tree) if reference["table_name"] in names]
    used = [reference["table_name"] for reference in found]
    twice = {name for name in names if used.count(name) > 1}
    kept = {name: f"{name}_rows" for name, scan in names.items() if name in twice or name != scan}
    for reference in found:
        name = reference["table_name"]
        _rename(reference, kept.get(name, names[name]))
    ctes = [_cte(rows, "" if name in twice else "NOT ", names[name]) for name, rows in kept.items()]
    tree["cte_map"]["map"] = [*ctes, *tree["cte_map"]["map"]]
    return write_query(tree)


def _rename(reference: Node, name: str) -> None:
    reference.update({"table_name": name, "qualified_name": {"path": [name]}})


def _cte(name: str, negated: str, scan: str) -> Any:
    text = f"WITH {name} AS {negated}MATERIALIZED (FROM {scan}) FROM {name}"
    return read_query(text).select["cte_map"]["map"][0]
