"""Reads lark's trees of our own statements: names, strings, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from lark import Token, Tree

from gearsql.errors import Position


def named(tree: Tree[Token]) -> tuple[str, Position]:
    """Return the name directly under a node, and its place."""
    token = cast(Token, next(iter(next(direct(tree, "name")).children)))
    text = str(token)
    name = text[1:-1].replace('""', '"') if token.type == "QUOTED" else text
    return name, place_of(token)


def direct(tree: Tree[Token], rule: str) -> Iterator[Tree[Token]]:
    """Yield the children that are of a rule."""
    return iter([child for child in tree.children if isinstance(child, Tree) and child.data == rule])


def has(tree: Tree[Token], rule: str) -> bool:
    """Tell whether a child is of a rule."""
    return any(True for _ in direct(tree, rule))


def strings(tree: Tree[Token]) -> list[Token]:
    """Return the string literals under a node."""
    return list(tree.scan_values(lambda value: isinstance(value, Token) and value.type == "STRING"))


def last_token(tree: Tree[Token]) -> Token:
    """Return the last word of a clause."""
    return cast(Token, tree.children[-1])


def unquote(literal: str) -> str:
    """Return the text of a literal in single quotes."""
    return literal[1:-1].replace("''", "'")


def inside(literal: str, start: int, place: Position) -> Position:
    """A place in the unquoted value → the place in the statement, where a quote is doubled."""
    places, index = [start], 1
    while index < len(literal) - 1:
        places.append(start + index)
        index += 2 if literal[index] == "'" else 1
    places += [start + len(literal) - 1, start + len(literal)]
    last = len(places) - 1
    return Position(places[min(place.start + 1, last)], places[min(place.end + 1, last)])


def place_of(node: Token | Tree[Token]) -> Position:
    """Return where a node stands."""
    place = node if isinstance(node, Token) else node.meta
    return Position(place.start_pos or 0, place.end_pos or 0)
