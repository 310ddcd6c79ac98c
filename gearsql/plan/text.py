"""Small pieces of SQL text: names, expressions, and a SELECT over the scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

SOURCE = "scan_0"
"""The relation of a stage's only scan."""


def quote(name: str) -> str:
    """Write a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql(node: exp.Expression) -> str:
    """Write an expression; the same expression gives the same text."""
    return node.sql(dialect="duckdb")


def where(tree: exp.Select) -> str:
    """Write the tree's filter, with a blank before it; nothing if there is none."""
    clause = tree.args.get("where")
    return " " + sql(clause) if clause else ""


def select(items: Sequence[str], tail: str = "", *, distinct: bool = False) -> str:
    """Write a SELECT over the scan; `tail` is what follows FROM, with a blank before it."""
    return f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(items)} FROM {SOURCE}{tail}"


def name_columns(expressions: Iterable[str], letter: str) -> list[str]:
    """Name expressions by a letter and a number, as the merge knows them."""
    return [f"{expression} AS {letter}{index}" for index, expression in enumerate(expressions)]
