"""An expression over a table's rows → the same over what the shards ship."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.text import sql

RELATION = "shipped"
"""The merge stage's relation of what the shards shipped."""

Shipped = Mapping[str, exp.Expression]
"""What stands for an expression in that relation, by the expression's text."""

# These have the text of what is in them.
_WRAPPERS = (exp.Ordered, exp.Identifier)


def rewrite(node: exp.Expression, shipped: Shipped) -> exp.Expression:
    """Put columns in place of the outermost expressions that were shipped; RowsNeeded if one was not."""

    def put(part: exp.Expression) -> exp.Expression:
        found = None if isinstance(part, _WRAPPERS) else shipped.get(sql(part))
        if found is not None:
            return found.copy()
        if isinstance(part, exp.Column):
            raise RowsNeeded(f"{sql(part)} is neither grouped by nor aggregated")
        return part

    return node.copy().transform(put, copy=False)


def rewrite_clauses(tree: exp.Select, shipped: Shipped) -> exp.Select:
    """Return the SELECT that runs once: items, DISTINCT, HAVING, ORDER BY and LIMIT over what was shipped."""
    merged = exp.Select()
    merged.set("expressions", [rewrite(item, shipped) for item in tree.expressions])
    for clause in ("having", "order"):
        if tree.args.get(clause):
            merged.set(clause, rewrite(tree.args[clause], shipped))
    for clause in ("distinct", "limit", "offset"):
        if tree.args.get(clause):
            merged.set(clause, tree.args[clause].copy())
    return merged.from_(RELATION)
