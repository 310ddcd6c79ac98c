"""Finds calls in a text by DuckDB's tokens: how they are renamed in texts that no parser of ours reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gearsql.catalog.names import fold
from gearsql.errors import Position
from gearsql.sql.functions import known_functions
from gearsql.sql.tokens import Token, tokens

# Bare, these words open a clause. After AS or :: stands no call, after a dot one of another form.
CLAUSES = frozenset({"filter", "over", "within"})
_NO_CALL_AFTER = frozenset({"AS", "::", "."})
_QUANTIFIERS = frozenset({"DISTINCT", "ALL"})
_DIRECTIONS = frozenset({"ASC", "DESC", "NULLS", "FIRST", "LAST"})
_DEPTH = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@dataclass(frozen=True)
class Call:
    """`name([DISTINCT] arguments [ORDER BY keys]) [FILTER (…)]`; all are offsets, `name` is folded.

    `inside` is where `arguments` begin and end, `keys` are those of ORDER BY. `end` lies behind FILTER.
    """

    name: str
    at: Position
    inside: Position
    arguments: tuple[Position, ...]
    end: int
    empty: bool
    distinct: bool
    keys: tuple[Position, ...]


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
    return None if name in CLAUSES or name in known_functions().keywords else name


def _call(found: Sequence[Token], index: int) -> Call:
    name, opened = _name(found[index]), index + 1
    assert name is not None
    closed = _closing(found, opened)
    word = found[opened + 1].text.upper()
    first = opened + (2 if word in _QUANTIFIERS else 1)
    order = _order(found, first, closed)
    end, after = closed, closed + 1
    if after + 1 < len(found) and found[after].text.upper() == "FILTER" and found[after + 1].text == "(":
        end = _closing(found, after + 1)
    return Call(
        name,
        found[index].position,
        _span(found[first:order]) if order > first else Position(*[found[first].position.start] * 2),
        tuple(map(_span, _items(found[first:order]))),
        found[end].position.end,
        order == first,
        word == "DISTINCT",
        tuple(_keys(found[order + 2 : closed])),
    )


def _span(part: Sequence[Token]) -> Position:
    return Position(part[0].position.start, part[-1].position.end)


def _keys(part: Sequence[Token]) -> Iterator[Position]:
    """The spans of ORDER BY's keys, without their directions."""
    for key in map(list, _items(part)):
        while key[1:] and key[-1].text.upper() in _DIRECTIONS:
            key.pop()
        yield _span(key)


def _items(part: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """What stands between commas."""
    start = 0
    for end in [*(place for place, token in _outermost(part) if token.text == ","), len(part)]:
        if end > start:
            yield part[start:end]
        start = end + 1


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
    for place, token in _outermost(found[first:closed]):
        if token.text.upper() == "ORDER" and found[first + place + 1].text.upper() == "BY":
            return first + place
    return closed


def _outermost(part: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """The tokens that stand in no parentheses or brackets."""
    depth = 0
    for place, token in enumerate(part):
        depth += _DEPTH.get(token.text, 0)
        if depth == 0:
            yield place, token
