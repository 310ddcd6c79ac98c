"""Filter, projection, DISTINCT: every shard cuts to LIMIT + OFFSET rows, and the merge cuts again.

So it is with groups that are whole on their shard (placed.py).
"""

from __future__ import annotations

from sqlglot import exp

from gearsql.plan.rewrite import RELATION, Shipped, rewrite_clauses
from gearsql.plan.text import name_columns, select, sql, where


def split_projection(tree: exp.Select, source: str) -> tuple[str, str | None]:
    """Return the SQL of the shards and of the merge; None if the shards' rows together are the answer."""
    distinct = bool(tree.args.get("distinct"))
    items, rows = _items(tree, with_keys=not distinct), where(tree) + _groups(tree)
    if not distinct and not any(tree.args.get(clause) for clause in ("order", "limit", "offset")):
        return select(name_columns(map(sql, tree.expressions), "s"), source, rows), None
    shard = select(name_columns(items, "s"), source, rows + _cut(tree, items), distinct=distinct)
    columns: Shipped = {item: exp.column(f"s{index}") for index, item in enumerate(items)}
    return shard, sql(_of_columns(tree, columns) if _groups(tree) else rewrite_clauses(tree, columns))


def _groups(tree: exp.Select) -> str:
    clauses = [tree.args[name] for name in ("group", "having") if tree.args.get(name)]
    return "".join(" " + sql(clause) for clause in clauses)


def _of_columns(tree: exp.Select, columns: Shipped) -> exp.Select:
    """Order and cut finished groups: each item and key is a column, nothing is aggregated again."""
    merged = exp.Select(expressions=[columns[sql(item)].copy() for item in tree.expressions])
    keys = []
    for ordered in _ordered(tree):
        key = ordered.copy()
        key.set("this", columns[sql(ordered.this)].copy())
        keys.append(key)
    if keys:
        merged.set("order", exp.Order(expressions=keys))
    for clause in ("distinct", "limit", "offset"):
        if tree.args.get(clause):
            merged.set(clause, tree.args[clause].copy())
    return merged.from_(RELATION)


def _items(tree: exp.Select, *, with_keys: bool) -> list[str]:
    """What is shipped, each once: the items and, except for DISTINCT, the keys that the merge sorts by."""
    shipped = [*tree.expressions, *(_keys(tree) if with_keys else [])]
    return list(dict.fromkeys(sql(node) for node in shipped))


def _keys(tree: exp.Select) -> list[exp.Expression]:
    return [ordered.this for ordered in _ordered(tree)]


def _ordered(tree: exp.Select) -> list[exp.Ordered]:
    order = tree.args.get("order")
    return list(order.expressions) if order else []


def _cut(tree: exp.Select, items: list[str]) -> str:
    """ORDER BY and LIMIT for each shard: the first rows of all are among the first rows of each."""
    rows = _rows_wanted(tree)
    if rows is None or any(sql(key) not in items for key in _keys(tree)):
        return ""
    keys = [_by_ordinal(ordered, items) for ordered in _ordered(tree)]
    return (f" ORDER BY {', '.join(keys)}" if keys else "") + f" LIMIT {rows}"


def _by_ordinal(ordered: exp.Ordered, items: list[str]) -> str:
    key = ordered.copy()
    key.set("this", exp.Literal.number(items.index(sql(ordered.this)) + 1))
    return sql(key)


def _rows_wanted(tree: exp.Select) -> str | None:
    """LIMIT + OFFSET, if both are plain numbers and there is a LIMIT. DuckDB adds: each may be a slot."""
    limit, offset = (tree.args.get(clause) for clause in ("limit", "offset"))
    bounds = [clause.expression for clause in (limit, offset) if clause]
    if not limit or not all(isinstance(bound, exp.Literal) and bound.is_int for bound in bounds):
        return None
    total = sum(int(bound.name) for bound in bounds)
    return " + ".join(bound.name for bound in bounds) if total < 2**31 else str(total)
