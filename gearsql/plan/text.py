"""Small pieces of SQL text: names, expressions, and a SELECT over the scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from gearsql.sql.bound import BoundQuery

SOURCE = "scan_0"
"""The relation of a stage's only scan."""


def quote(name: str) -> str:
    """Write a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql(node: exp.Expr) -> str:
    """Write an expression; the same expression gives the same text."""
    # Not in capitals: of those DuckDB would fold ASCII only.
    return node.sql(dialect="duckdb", normalize_functions=False)


def where(tree: exp.Select) -> str:
    """Write the tree's filter, with a blank before it; nothing if there is none."""
    clause = tree.args.get("where")
    return " " + sql(clause) if clause else ""


def select(items: Sequence[str], source: str, tail: str = "", *, distinct: bool = False) -> str:
    """Write a SELECT over a source of rows; `tail` is what follows FROM, with a blank before it."""
    return f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(items)} FROM {source}{tail}"


def source_of(bound: BoundQuery) -> str:
    """What stands in FROM on the shards: the scan, and table functions that explode its rows; or a join."""
    return (bound.source or SOURCE) + bound.exploded


def name_columns(expressions: Iterable[str], letter: str) -> list[str]:
    """Name expressions by a letter and a number, as the merge knows them."""
    return [f"{expression} AS {letter}{index}" for index, expression in enumerate(expressions)]
