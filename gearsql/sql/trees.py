"""DuckDB's tree of a query → sqlglot's, which the split rules edit."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from gearsql.sql.functions import known_functions
from gearsql.sql.syntax import Node, write_query


def sqlglot_tree(select: Node) -> exp.Select | None:
    """Return sqlglot's reading of a normalised tree; None if it has none."""
    try:
        tree = sqlglot.parse_one(_plain_calls(write_query(select)), dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Select):
        return None
    for node in list(tree.find_all(exp.Anonymous)):
        if str(node.this).lower() == "count_star":
            node.replace(exp.Count(this=exp.Star(), big_int=True))
    for column in tree.find_all(exp.Column, exp.Table):
        for part in column.parts:
            if isinstance(part, exp.Identifier):
                part.set("quoted", True)
    return tree


def _plain_calls(sql: str) -> str:
    """DuckDB quotes "first"(x); sqlglot knows aggregates by their bare names only."""
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    pieces, last = [], 0
    for token, following in zip(tokens, tokens[1:], strict=False):
        quoted = sql[token.start] == '"' and following.text == "("
        if quoted and token.text in known_functions().aggregates:
            pieces += [sql[last : token.start], token.text]
            last = token.end + 1
    return "".join([*pieces, sql[last:]])
