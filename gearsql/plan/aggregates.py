"""Finds the aggregate calls of a query and tells their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import exp

from gearsql.catalog.names import fold
from gearsql.plan.refusal import RowsNeeded
from gearsql.plan.text import sql
from gearsql.sql.functions import known_functions

_NAME = re.compile(r'"?(\w+)"?\(')
_SUFFIXES = (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)


@dataclass(frozen=True)
class Aggregate:
    """`name(DISTINCT arguments ORDER BY …) FILTER (WHERE condition)`; `function` is it without FILTER.

    `name` is DuckDB's first one for it, whatever is written. `users` says whether a user has defined it.
    """

    call: exp.Expression
    function: exp.Expression
    name: str
    arguments: tuple[exp.Expression, ...]
    distinct: bool
    ordered: bool
    condition: exp.Expression | None
    users: bool = False


def find_aggregates(tree: exp.Select, users: frozenset[str] = frozenset()) -> list[Aggregate]:
    """Return the different calls of a query; `users` are the names of users' aggregates.

    If sqlglot hides one, nothing can be split.
    """
    names = known_functions().aggregates | users
    calls = [call for node in tree.args.values() for call in calls_under(node, names)]
    if len(calls) != _calls_in_text(sql(tree), names):
        raise RowsNeeded("an aggregate stands where it cannot be taken out")
    return [_aggregate(call, names, users) for call in {sql(call): call for call in calls}.values()]


def calls_under(node: object, names: frozenset[str]) -> list[exp.Expression]:
    """Return the calls of some aggregates under a node, with their FILTER."""
    if isinstance(node, list):
        return [call for child in node for call in calls_under(child, names)]
    if not isinstance(node, exp.Expression):
        return []
    return [node] if _name(node, names) else calls_under(list(node.args.values()), names)


def _name(node: exp.Expression, names: frozenset[str]) -> str | None:
    """DuckDB's name of an aggregate, None for other nodes."""
    if isinstance(node, _SUFFIXES):
        return _name(node.this, names)
    if not isinstance(node, exp.AggFunc | exp.Anonymous):
        return None
    match = _NAME.match(sql(node))
    return fold(match[1]) if match and fold(match[1]) in names else None


def _calls_in_text(text: str, names: frozenset[str]) -> int:
    tokens = sqlglot.tokenize(text, dialect="duckdb")
    return sum(fold(token.text) in names for token, after in pairwise(tokens) if after.text == "(")


def _aggregate(call: exp.Expression, names: frozenset[str], users: frozenset[str]) -> Aggregate:
    function, condition = call, None
    if isinstance(call, exp.Filter):
        function, condition = call.this, call.expression.this
    name = _name(function, names)
    assert name is not None
    inside = list(_arguments(function))
    orders = [node for node in inside if isinstance(node, exp.Order)]
    if name.startswith("quantile"):  # quantile_cont(0.5 ORDER BY x): what is ordered by is the argument
        inside = [key.this for order in orders for key in order.expressions] + inside
    return Aggregate(
        call,
        function,
        known_functions().aliases.get(name, name),
        tuple(node for node in inside if not isinstance(node, exp.Order)),
        function.find(exp.Distinct) is not None,
        bool(orders),
        condition,
        name in users,
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
