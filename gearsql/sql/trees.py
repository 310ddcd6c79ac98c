"""DuckDB's tree of a query → sqlglot's, which the split rules edit."""

from __future__ import annotations

from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gearsql.sql.functions import known_functions
from gearsql.sql.syntax import Node, write_query

_OPAQUE = "gears_opaque_"
_OF_PAIRS = ("corr", "covar_", "regr_")


def sqlglot_tree(select: Node) -> exp.Select | None:
    """Return sqlglot's reading of a normalised tree; None if it has none.

    sqlglot rewrites the calls that it knows (it swaps the arguments of position()), so scalar functions are
    hidden from it, and users' functions. DuckDB's aggregates it shall know: the split rules do.
    """
    try:
        tree = sqlglot.parse_one(write_query(_hide(select)), dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Select):
        return None
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name == "count_star":
            call.replace(exp.Count(this=exp.Star(), big_int=True))
        elif call.name.startswith(_OPAQUE):
            name = call.name.removeprefix(_OPAQUE)
            call.set("this", exp.to_identifier(name, quoted=True) if _needs_quotes(name) else name)
            _spread_distinct(call)
    for named in tree.find_all(exp.Column, exp.Table):
        for part in named.find_all(exp.Identifier):
            part.set("quoted", True)
    return tree


def _spread_distinct(call: exp.Anonymous) -> None:
    """Let f(DISTINCT a, b ORDER BY c) be written so; sqlglot makes one value of several arguments."""
    inside = call.expressions[0] if len(call.expressions) == 1 else None
    order = inside if isinstance(inside, exp.Order) else None
    distinct = order.this if order else inside
    if not isinstance(distinct, exp.Distinct) or len(distinct.expressions) < 2:
        return
    first, *others = distinct.expressions
    arguments = [exp.Distinct(expressions=[first]), *others]
    if order:
        order.set("this", arguments[-1])
        arguments[-1] = order
    call.set("expressions", arguments)


def write_from(tree: exp.Select, source: str) -> str:
    """Return the text of a tree over another source, which is any SQL that may follow FROM."""
    moved = tree.copy()
    moved.set("from_", exp.From(this=exp.Var(this=source)))
    return moved.sql("duckdb", normalize_functions=False)


def _hide(node: Any) -> Any:
    if isinstance(node, list):
        return [_hide(child) for child in node]
    if not isinstance(node, dict):
        return node
    hidden = {key: _hide(value) for key, value in node.items()}
    if hidden.get("class") == "FUNCTION" and _is_hidden(hidden):
        hidden["function_name"] = _OPAQUE + hidden["function_name"]
        hidden["qualified_name"] = {"path": [hidden["function_name"]]}
    return hidden


def _is_hidden(call: Node) -> bool:
    name: str = call["function_name"]
    if name == "approx_top_k" or (call["distinct"] and name.startswith(_OF_PAIRS)):  # read otherwise
        return True
    return not call["is_operator"] and name.isidentifier() and name not in known_functions().aggregates


def _needs_quotes(name: str) -> bool:
    return name in known_functions().keywords
