"""DuckDB's tokens of a text, comments left out: what finds keywords, and where a statement ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import duckdb

from gearsql.errors import Position, SqlSyntaxError


@dataclass(frozen=True)
class Token:
    """`text` runs up to the next token, blanks cut."""

    text: str
    position: Position
    keyword: bool


@lru_cache(maxsize=4)  # planning splits one text again and again
def tokens(text: str) -> tuple[Token, ...]:
    """Split a text; what DuckDB cannot split has no tokens after that place."""
    raw, ascii_ = text.encode(), text.isascii()
    found = [(start, kind) for start, kind in duckdb.tokenize(text)]
    ends = [(len(raw), None)]
    result = []
    for (start, kind), (end, _) in pairwise([*found, *ends]):
        if kind == duckdb.token_type.comment:
            continue
        piece = raw[start:end].decode().rstrip()
        first = start if ascii_ else len(raw[:start].decode())
        word = kind in (duckdb.token_type.keyword, duckdb.token_type.identifier)
        result.append(Token(piece, Position(first, first + len(piece)), word))
    return tuple(result)


def first_word(text: str) -> Token:
    """The statement's first token; an empty text is an error."""
    found = tokens(text)
    if not found or all(token.text == ";" for token in found):
        raise SqlSyntaxError("an empty statement", position=Position(0, max(len(text), 1)), text=text)
    return found[0]


def keyword(text: str, words: Iterable[str]) -> Position | None:
    """Where one of some keywords stands first."""
    wanted = {word.upper() for word in words}
    return next((t.position for t in tokens(text) if t.keyword and t.text.upper() in wanted), None)


def trim(text: str) -> str:
    """Cut what stands after a statement's last token (comments, the semicolon); offsets stay."""
    ends = [token.position.end for token in tokens(text) if token.text != ";"]
    return text[: max(ends)] if ends else ""
