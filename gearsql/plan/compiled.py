"""A query bound and split: what the engine keeps for the next time, and runs."""

from __future__ import annotations

from dataclasses import dataclass

from gearsql.catalog.table import Table
from gearsql.plan.split import split
from gearsql.plan.stages import GearsPlan, Reader, WidePlan
from gearsql.plan.wide import split_wide
from gearsql.sql.bound import BoundQuery, WideBound


@dataclass(frozen=True)
class Compiled:
    """A plan, and what its errors need: the tables that it reads, and a block's query.

    `parts` are those of a WidePlan, in its order. `filled`: it was compiled for other values (template.py).
    """

    plan: GearsPlan | WidePlan
    tables: tuple[Table, ...]
    bound: BoundQuery | None = None
    parts: tuple[Compiled, ...] = ()
    filled: bool = False


def compile_query(
    bound: BoundQuery | WideBound, shards: int, reader: Reader, *, points: bool = True
) -> Compiled:
    """Split what was bound; what cannot be split ships rows. Without `points` all keys are looked for."""
    if isinstance(bound, BoundQuery):
        return Compiled(split(bound, shards, reader, points=points), (bound.table,), bound)
    plan = split_wide(bound, shards, reader, points=points)
    tables = tuple(scan.table for scan in bound.scans)
    if isinstance(plan, GearsPlan):
        return Compiled(plan, tables)
    pairs = zip(plan.parts, bound.parts, strict=True)
    return Compiled(
        plan, tables, None, tuple(Compiled(made.plan, (part.table,), part.bound) for made, part in pairs)
    )
