"""Finds the aggregate calls of a query and tells their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import exp

from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.text import sql
from gearsql.sql.functions import known_functions

_NAME = re.compile(r'"?(\w+)"?\(')
_SUFFIXES = (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)


@dataclass(frozen=True)
class Aggregate:
    """`name(DISTINCT arguments ORDER BY …) FILTER (WHERE condition)`; `function` is it without FILTER."""

    call: exp.Expression
    function: exp.Expression
    name: str
    arguments: tuple[exp.Expression, ...]
    distinct: bool
    ordered: bool
    condition: exp.Expression | None


def find_aggregates(tree: exp.Select) -> list[Aggregate]:
    """Return the different calls of a query. If sqlglot hides one, nothing can be split."""
    calls = [call for node in tree.args.values() for call in _calls_under(node)]
    if len(calls) != _calls_in_text(sql(tree)):
        raise RowsNeeded("an aggregate stands where it cannot be taken out")
    return [_aggregate(call) for call in {sql(call): call for call in calls}.values()]


def _calls_under(node: object) -> Iterator[exp.Expression]:
    if isinstance(node, list):
        for child in node:
            yield from _calls_under(child)
    elif isinstance(node, exp.Expression):
        if _name(node):
            yield node
        else:
            for child in node.args.values():
                yield from _calls_under(child)


def _name(node: exp.Expression) -> str | None:
    """DuckDB's name of an aggregate, None for other nodes."""
    if isinstance(node, _SUFFIXES):
        return _name(node.this)
    if not isinstance(node, exp.AggFunc | exp.Anonymous):
        return None
    match = _NAME.match(sql(node))
    return match[1].lower() if match and match[1].lower() in known_functions().aggregates else None


def _calls_in_text(text: str) -> int:
    tokens = sqlglot.tokenize(text, dialect="duckdb")
    aggregates = known_functions().aggregates
    return sum(token.text.lower() in aggregates for token, after in pairwise(tokens) if after.text == "(")


def _aggregate(call: exp.Expression) -> Aggregate:
    function, condition = call, None
    if isinstance(call, exp.Filter):
        function, condition = call.this, call.expression.this
    name = _name(function)
    assert name is not None
    inside = list(_arguments(function))
    orders = [node for node in inside if isinstance(node, exp.Order)]
    if name.startswith("quantile"):  # quantile_cont(0.5 ORDER BY x): what is ordered by is the argument
        inside = [key.this for order in orders for key in order.expressions] + inside
    return Aggregate(
        call,
        function,
        name,
        tuple(node for node in inside if not isinstance(node, exp.Order)),
        function.find(exp.Distinct) is not None,
        bool(orders),
        condition,
    )


def _arguments(function: exp.Expression) -> Iterator[exp.Expression]:
    """Yield the arguments as they come, and the ORDER BY inside the call as itself."""
    while isinstance(function, _SUFFIXES):
        function = function.this
    for value in function.args.values():
        for node in value if isinstance(value, list) else [value]:
            yield from _unwrapped(node)


def _unwrapped(node: object) -> Iterator[exp.Expression]:
    match node:
        case exp.Order():
            yield from _unwrapped(node.this)
            yield node
        case exp.Distinct():
            yield from node.expressions
        case exp.Identifier():  # the name of a call that sqlglot does not know
            return
        case exp.Expression():
            yield node
