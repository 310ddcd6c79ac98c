"""What is likely to mend a query that DuckDB's parser cannot read: the hint of a syntax error."""

from __future__ import annotations

import difflib

from gearsql.errors import Position
from gearsql.sql.tokens import Token, tokens

_OPENER = {")": "(", "]": "[", "}": "{", "END": "CASE"}
_CLOSER = {opener: closer for closer, opener in _OPENER.items()}
_CLAUSES = """SELECT FROM WHERE GROUP ORDER HAVING QUALIFY WINDOW LIMIT OFFSET JOIN LEFT RIGHT INNER OUTER
UNION INTERSECT EXCEPT DISTINCT VALUES BETWEEN USING PARTITION CASE WHEN THEN ELSE END"""
_WITH_BY = {"GROUP", "ORDER", "PARTITION"}


def syntax_hint(text: str, place: Position) -> str | None:
    """A bracket or CASE without its other half, a clause's word misspelt at or before `place`, or no BY."""
    found = tokens(text)
    return _half(text, found) or _word(found, place)


def _half(text: str, found: tuple[Token, ...]) -> str | None:
    opened: list[Token] = []
    for token in found:
        word = token.text.upper()
        if word in _CLOSER:
            opened.append(token)
        elif word in _OPENER and not opened:
            return _lacks(text, token, _OPENER[word])
        elif word in _OPENER and opened[-1].text.upper() == _OPENER[word]:
            opened.pop()
        elif word in _OPENER:
            break
    return _lacks(text, opened[-1], _CLOSER[opened[-1].text.upper()]) if opened else None


def _lacks(text: str, token: Token, other: str) -> str:
    line, column = token.position.line_and_column(text)
    return f"the {token.text} at line {line}, column {column} has no {other}"


def _word(found: tuple[Token, ...], place: Position) -> str | None:
    upto = [token for token in found if token.position.start <= place.start]
    for token in upto[-2:]:
        word = token.text.upper()
        near = difflib.get_close_matches(word, _CLAUSES.split(), n=1, cutoff=0.75) if token.keyword else []
        if near and near != [word]:
            return f"did you mean {near[0]} instead of {token.text}?"
    before = upto[-2].text.upper() if len(upto) > 1 else ""
    return f"did you mean {before} BY?" if before in _WITH_BY else None
