"""DuckDB's tree of a query → sqlglot's, which the split rules edit."""

from __future__ import annotations

from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gearsql.sql.functions import known_functions
from gearsql.sql.syntax import Node, write_query

_OPAQUE = "gears_opaque_"


def sqlglot_tree(select: Node) -> exp.Select | None:
    """Return sqlglot's reading of a normalised tree; None if it has none."""
    try:
        sql, bare = _opaque_calls(write_query(select))
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Select):
        return None
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name == "count_star":
            call.replace(exp.Count(this=exp.Star(), big_int=True))
        elif call.name.startswith(_OPAQUE):
            name = call.name.removeprefix(_OPAQUE)
            call.set("this", name if name in bare else exp.to_identifier(name, quoted=True))
    for named in tree.find_all(exp.Column, exp.Table):
        for part in named.find_all(exp.Identifier):
            part.set("quoted", True)
    return tree


def _opaque_calls(sql: str) -> tuple[str, set[str]]:
    """Hide the names of scalar functions from sqlglot; return those that need no quotes too.

    sqlglot rewrites calls that it knows (it swaps the arguments of position()). Aggregates it shall know: the
    split rules do, and DuckDB writes "first"(x) for some.
    """
    functions, bare = known_functions(), set()
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    pieces, last = [], 0
    for token, following in pairwise(tokens):
        called = following.text == "(" and following.start == token.end + 1
        if not (called and token.text.isidentifier() and token.text in functions.allowed):
            continue
        opaque = "" if token.text in functions.aggregates else _OPAQUE
        pieces += [sql[last : token.start], opaque + token.text]
        last = token.end + 1
        if sql[token.start] != '"':
            bare.add(token.text)
    return "".join([*pieces, sql[last:]]), bare
