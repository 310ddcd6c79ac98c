"""DuckDB's words about a value at fault, as an error of ours says them."""

from __future__ import annotations

import re

_KIND = re.compile(r"[A-Z][\w ]* Error: ")
_MORE = re.compile(
    r'\n\nLINE \d+: |\n\nUse "SET |\n\nPossible solutions|\nOriginal Line: |\nIt was not possible '
)


def said(error: object) -> str:
    """Return the words without their kind, a line of our own text or of a file, and advice on settings."""
    words = _MORE.split(str(error), 1)[0]
    kind = _KIND.match(words)
    return words[kind.end() :] if kind else words
