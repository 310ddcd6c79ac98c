"""Constant expressions → their values: the DuckDB that parses computes them, each once."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import duckdb

from gearsql.sql.syntax import ask_parser

KEPT = 64
MUCH_OF_LITTLE = frozenset({
    "repeat", "lpad", "rpad", "range", "generate_series", "list_resize", "array_resize", "format", "printf",
})  # fmt: skip
"""Nothing bounds here what these functions hold."""


@dataclass(frozen=True)
class Value:
    """A value as DuckDB writes it, None for NULL, and the name of its type."""

    type: str
    text: str | None


@functools.lru_cache(KEPT)
def evaluate(expressions: tuple[str, ...]) -> tuple[Value, ...] | None:
    """Compute expressions over no row; None if one of them fails."""
    items = ", ".join(f"typeof({one}), CAST({one} AS VARCHAR)" for one in expressions)
    try:
        found = ask_parser(f"SELECT {items}")
    except duckdb.Error:
        return None
    return tuple(map(Value, found[::2], found[1::2]))
