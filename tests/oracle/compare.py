"""Whether two answers are the same: names, types and rows; doubles may differ as sums in another order do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """What a cursor gives: names and types of the columns, and all rows."""

    names: list[str]
    types: list[str]
    rows: list[Row]


def assert_same(found: Answer, expected: Answer, *, ordered: bool, within: float = 1e-9) -> None:
    """Compare in order, or as multisets; `within` is the relative tolerance of doubles."""
    assert found.names == expected.names
    assert found.types == expected.types
    assert len(found.rows) == len(expected.rows)
    mine, theirs = list(found.rows), list(expected.rows)
    if not ordered:
        mine, theirs = sorted(mine, key=_sort_key), sorted(theirs, key=_sort_key)
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        assert same(one, other, within), f"row {number}: {shorten(one)} is not DuckDB's {shorten(other)}"


def same(one: Any, other: Any, within: float) -> bool:
    """Compare two values: equal and of one type, doubles within the tolerance, at any depth."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            if math.isnan(one) or math.isnan(other):
                return math.isnan(one) and math.isnan(other)
            return math.isclose(one, other, rel_tol=within, abs_tol=within)
        case list() | tuple():
            return len(one) == len(other) and all(same(a, b, within) for a, b in zip(one, other, strict=True))
        case dict():
            return same(list(one.items()), list(other.items()), within)
        case _:
            return bool(one == other)


def shorten(value: Any) -> str:
    """Show a value in a message, however large it is."""
    text = repr(value)
    return text if len(text) < 400 else f"{text[:200]}…{text[-200:]}"


def _sort_key(value: Any) -> tuple[list[str], list[float]]:
    """Doubles come last, so that those that differ by rounding stay beside each other."""
    exact: list[str] = []
    doubles: list[float] = []
    _collect(value, exact, doubles)
    return exact, doubles


def _collect(value: Any, exact: list[str], doubles: list[float]) -> None:
    match value:
        case float():
            exact.append("nan" if math.isnan(value) else "double")
            doubles.append(0.0 if math.isnan(value) else value)
        case list() | tuple():
            exact.append(f"{len(value)} of")  # [NULL] is not NULL
            for item in value:
                _collect(item, exact, doubles)
        case dict():
            _collect(list(value.items()), exact, doubles)
        case _:
            exact.append(repr(value))
