"""Why a query cannot be taken apart: split() then ships its rows instead."""

from __future__ import annotations


class RowsNeeded(Exception):
    """The merge needs the rows themselves; the message completes 'rows, because …'."""
