"""Finds calls in a text by DuckDB's tokens: how they are renamed in texts that no parser of ours reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gearsql.catalog.names import fold
from gearsql.errors import Position
from gearsql.sql.functions import known_functions
from gearsql.sql.tokens import Token, tokens

# Bare, these words open a clause. After AS or :: stands no call, after a dot one of another form.
_CLAUSES = frozenset({"filter", "over", "within"})
_NO_CALL_AFTER = frozenset({"AS", "::", "."})


@dataclass(frozen=True)
class Call:
    """`name([DISTINCT] arguments [ORDER BY …]) [FILTER (…)]`; all are offsets, `name` is folded.

    `inside` is where the arguments begin and end, without DISTINCT and ORDER BY. `end` lies behind FILTER.
    """

    name: str
    at: Position
    inside: Position
    end: int
    empty: bool


def find_calls(text: str, names: Collection[str]) -> Iterator[Call]:
    """Yield the calls of some functions, outer ones before those inside."""
    if not names:
        return
    found = tokens(text)
    for index, token in enumerate(found[:-1]):
        after_no = index > 0 and found[index - 1].text.upper() in _NO_CALL_AFTER
        if found[index + 1].text == "(" and not after_no and _name(token) in names:
            yield _call(found, index)


def _name(token: Token) -> str | None:
    """The folded name that a token can be, None if it opens a clause or is none."""
    if not token.keyword:
        return None
    if token.text.startswith('"'):
        return fold(token.text[1:-1].replace('""', '"'))
    name = fold(token.text)
    return None if name in _CLAUSES or name in known_functions().keywords else name


def _call(found: Sequence[Token], index: int) -> Call:
    opened = index + 1
    closed = _closing(found, opened)
    first = opened + 1
    if found[first].text.upper() in ("DISTINCT", "ALL"):
        first += 1
    order = _order(found, first, closed)
    end, after = closed, closed + 1
    if after + 1 < len(found) and found[after].text.upper() == "FILTER" and found[after + 1].text == "(":
        end = _closing(found, after + 1)
    name = _name(found[index])
    assert name is not None
    return Call(
        name,
        found[index].position,
        Position(
            found[first].position.start,
            found[order - 1].position.end if order > first else found[first].position.start,
        ),
        found[end].position.end,
        order == first,
    )


def _closing(found: Sequence[Token], opened: int) -> int:
    """The parenthesis that closes another one; the last token if none does."""
    depth = 0
    for index in range(opened, len(found)):
        depth += {"(": 1, ")": -1}.get(found[index].text, 0)
        if depth == 0:
            return index
    return len(found) - 1


def _order(found: Sequence[Token], first: int, closed: int) -> int:
    """Where the ORDER BY of the call itself stands; else where the call closes."""
    depth = 0
    for index in range(first, closed):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(found[index].text, 0)
        ordered = found[index].text.upper() == "ORDER" and found[index + 1].text.upper() == "BY"
        if depth == 0 and ordered:
            return index
    return closed
