"""The statements of a script, cut at semicolons that DuckDB's tokenizer sees."""

from __future__ import annotations

from collections.abc import Iterator

from gearsql.sql.tokens import tokens


def statements(script: str) -> Iterator[str]:
    """Yield each statement without its semicolon; empty ones are left out."""
    start, empty = 0, True
    for token in tokens(script):
        if token.text == ";":
            if not empty:
                yield script[start : token.position.start].strip()
            start, empty = token.position.end, True
        else:
            empty = False
    if not empty:
        yield script[start:].strip()
