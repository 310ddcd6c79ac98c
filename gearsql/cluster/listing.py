"""What our own statements give back: rows of text, or an error at its place."""

from __future__ import annotations

from dataclasses import dataclass

from gearsql.errors import Error, Position


@dataclass(frozen=True)
class Listing:
    """Rows of text with the names of their columns."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def located(error: Error, position: Position, text: str) -> Error:
    """Return the error with its place in the statement."""
    error.position, error.text = position, text
    return error
