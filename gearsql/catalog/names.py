"""How names compare: as DuckDB compares them."""

from __future__ import annotations

import string

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold(name: str) -> str:
    """Two names are the same if they fold to the same; only ASCII letters lose their case."""
    return name.translate(_LOWER)


def is_pattern(name: str) -> bool:
    """Tell whether a name in FROM that is no declared table is meant as a key pattern."""
    return any(sign in name for sign in "*?[")


def table_key(name: str) -> str:
    """What makes two names one table: names fold, key patterns are as they are."""
    return name if is_pattern(name) else fold(name)
