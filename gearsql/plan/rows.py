"""A query that cannot be taken apart: its rows travel, and the merge runs it over them.

The merge runs the query's own text. But users' functions are for the servers, so where there is a tree their
calls travel as columns of rows that are filtered and exploded already. What is volatile runs once.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from gearsql.catalog.names import fold
from gearsql.plan.aggregates import calls_under
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.rewrite import RELATION, rewrite, rewrite_clauses
from gearsql.plan.stages import MergeStage
from gearsql.plan.text import SOURCE, name_columns, quote, select, source_of, sql, where
from gearsql.sql.bound import BoundQuery
from gearsql.sql.functions import known_functions
from gearsql.sql.hooks import Hooks, aggregates_among, hooks_in


def split_rows(bound: BoundQuery, *, here: bool) -> tuple[str, MergeStage]:
    """Return the SQL of the shards, and what runs once. `here`: both run in this client."""
    if bound.tree is not None and bound.hooks and not here and not volatiles(bound.hooks):
        try:
            return _with_calls(bound.tree, bound)
        except RowsNeeded:
            pass
    return _bare(bound, here), MergeStage(bound.table.name, bound.text, hooks=bound.hooks)


def volatiles(hooks: Hooks) -> list[str]:
    """The names of the functions that may give another answer at each call."""
    return [known.function.name for known in hooks if known.function.volatile]


def _bare(bound: BoundQuery, here: bool) -> str:
    """The columns that are read, of the rows that pass the filter if there is a tree to take it from."""
    # Without a column the rows have to be counted all the same.
    columns = [quote(name) for name in bound.reads] or ["true AS counted"]
    filter_ = where(bound.tree) if bound.tree and not bound.exploded else ""
    called = hooks_in(filter_, bound.hooks)
    # Here, what the merge calls is not called by the rows that it reads.
    return select(columns, bound.source or SOURCE, "" if volatiles(called) or (here and called) else filter_)


def _with_calls(tree: exp.Select, bound: BoundQuery) -> tuple[str, MergeStage]:
    # Filter and FROM have their effect on the shards; the columns and calls of the other clauses travel.
    names = known_functions().aggregates | aggregates_among(bound.hooks)
    clauses = [value for name, value in tree.args.items() if name not in ("where", "from_")]
    found = [sql(part) for clause in clauses for part in _parts(clause, names, _scalars(bound.hooks))]
    items = list(dict.fromkeys(found))
    shipped = {item: exp.column(f"s{index}") for index, item in enumerate(items)}
    merged = rewrite_clauses(tree, shipped)
    if tree.args.get("group"):
        merged.set("group", rewrite(tree.args["group"], shipped))
    shard = select(name_columns(items, "s") or ["true AS counted"], source_of(bound), where(tree))
    text = sql(merged)
    return shard, MergeStage(RELATION, text, hooks=hooks_in(text, bound.hooks))


def _parts(node: object, aggregates: frozenset[str], scalars: frozenset[str]) -> Iterator[exp.Expression]:
    """Yield the outermost calls of users' functions over rows, and the columns outside of them."""
    if isinstance(node, list):
        for child in node:
            yield from _parts(child, aggregates, scalars)
    elif isinstance(node, exp.Column) or (
        isinstance(node, exp.Anonymous) and fold(node.name) in scalars and not calls_under(node, aggregates)
    ):
        yield node
    elif isinstance(node, exp.Expression):
        for child in node.args.values():
            yield from _parts(child, aggregates, scalars)


def _scalars(hooks: Hooks) -> frozenset[str]:
    return frozenset(known.function.name for known in hooks if known.function.kind == "scalar")
