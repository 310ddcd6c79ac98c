"""How names compare: as DuckDB compares them."""

from __future__ import annotations

import string

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold(name: str) -> str:
    """Two names are the same if they fold to the same; only ASCII letters lose their case."""
    return name.translate(_LOWER)
