"""Types with parts, of columns and hooks: what a user writes → a tree → module/hook_type.h's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gearsql.catalog.names import fold
from gearsql.catalog.types import canonical_type, readable_types

MOST_CELLS = 8192  # of a type with arrays, as there
DEEPEST = 16  # hook_type.h refuses what nests deeper


@dataclass(frozen=True)
class Plain:
    """A type without parts, by its canonical name: BIGINT, DECIMAL(10,2), INTERVAL."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ListOf:
    """T[]."""

    element: HookType

    def __str__(self) -> str:
        return f"{self.element}[]"


@dataclass(frozen=True)
class ArrayOf:
    """T[n]; of columns only."""

    element: HookType
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True)
class StructOf:
    """STRUCT("a" T, …)."""

    members: tuple[tuple[str, HookType], ...]

    def __str__(self) -> str:
        return f"STRUCT({', '.join(f'{quoted(name)} {type_}' for name, type_ in self.members)})"


@dataclass(frozen=True)
class MapOf:
    """MAP(K, T), K without parts; of columns only."""

    key: Plain
    value: HookType

    def __str__(self) -> str:
        return f"MAP({self.key}, {self.value})"


HookType = Plain | ListOf | ArrayOf | StructOf | MapOf

_TOKEN = re.compile(r'\s*("(?:[^"]|"")+"|\w+|[()\[\],])')


def parse_hook_type(text: str) -> HookType | None:
    """Read a type in any spelling that DuckDB knows; None if a hook cannot have it."""
    found = parse_type(text)
    return found if found is not None and _crosses(found) else None


def parse_type(text: str) -> HookType | None:
    """Read a type in any spelling that DuckDB knows; None if neither columns nor hooks can have it."""
    try:
        tokens = _Tokens(text)
        found = _type(tokens, DEEPEST)
        _cells(found)
        return found if tokens.next is None else None
    except _NoTypeError:
        return None


def canonical_hook_type(text: str) -> str | None:
    """Return the canonical text of a type as a user writes it, None if a hook cannot have it."""
    found = parse_hook_type(text)
    return None if found is None else str(found)


def column_type(text: str) -> str | None:
    """Return the canonical text of a type as a user writes it, None if a column cannot have it."""
    plain = canonical_type(text)
    if plain is not None:
        return plain
    found = parse_type(text)
    return None if found is None or not _is_in_json(found) else str(found)


def nested_type(text: str) -> HookType | None:
    """Return the tree of a type if it has parts, and columns or hooks can have it."""
    found = parse_type(text)
    return None if isinstance(found, Plain) else found


def column_type_names() -> tuple[str, ...]:
    """What a hint lists."""
    return (*readable_types(), "T[]", "T[n]", "STRUCT(name T, …)", "MAP(K, T)")


def hook_type_names() -> tuple[str, ...]:
    """What a hint lists."""
    return (*(name for name in readable_types() if name not in _OF_COLUMNS), "T[]", "STRUCT(name T, …)")


_OF_COLUMNS = (
    *("JSON", "ENUM", "TIME_NS", "TIME WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
)


def quoted(name: str) -> str:
    """Return a name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


class _NoTypeError(Exception):
    """The text is not a type."""


class _Tokens:
    def __init__(self, text: str) -> None:
        self._rest = _split(text)
        self.next = next(self._rest)

    def take(self, wanted: str | None = None) -> str:
        token = self.next
        if token is None or (wanted is not None and token != wanted):
            raise _NoTypeError
        self.next = next(self._rest)
        return token


def _split(text: str) -> Iterator[str | None]:
    text, place = text.rstrip(), 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or "\0" in found[1]:
            raise _NoTypeError
        yield found[1]
        place = found.end()
    yield None


def _type(tokens: _Tokens, depth: int) -> HookType:
    if depth == 0:
        raise _NoTypeError
    first = tokens.next or ""
    # The brackets stand behind, so how deep the base lies is known only after them.
    match first.upper():
        case "STRUCT" | "ROW":
            base: HookType = _struct(tokens, depth)
        case "MAP":
            base = _map(tokens, depth)
        case _:
            base = _plain(tokens)
    while tokens.next == "[":
        tokens.take("[")
        size = tokens.take() if tokens.next != "]" else None
        tokens.take("]")
        base = ListOf(base) if size is None else _array(base, size)
    if _depth(base) > depth:
        raise _NoTypeError
    return base


def _array(element: HookType, size: str) -> ArrayOf:
    if not size.isdecimal() or not 0 < int(size) <= MOST_CELLS:
        raise _NoTypeError
    return ArrayOf(element, int(size))


def _map(tokens: _Tokens, depth: int) -> MapOf:
    tokens.take()
    tokens.take("(")
    key = _type(tokens, depth - 1)
    # Of INTERVALs many are equal, and a key is there once.
    if not isinstance(key, Plain) or key.name in ("INTERVAL", "BLOB", "JSON"):
        raise _NoTypeError
    tokens.take(",")
    value = _type(tokens, depth - 2)
    tokens.take(")")
    return MapOf(key, value)


def _struct(tokens: _Tokens, depth: int) -> StructOf:
    tokens.take()
    tokens.take("(")
    members = [_member(tokens, depth)]
    while tokens.next == ",":
        tokens.take(",")
        members.append(_member(tokens, depth))
    tokens.take(")")
    if len({fold(name) for name, _ in members}) < len(members):
        raise _NoTypeError
    return StructOf(tuple(members))


def _member(tokens: _Tokens, depth: int) -> tuple[str, HookType]:
    name = tokens.take()
    if name in "()[],":
        raise _NoTypeError
    if name.startswith('"'):
        name = name[1:-1].replace('""', '"')
    return name, _type(tokens, depth - 1)


def _plain(tokens: _Tokens) -> Plain:
    words, open_ = "", False
    while tokens.next is not None and tokens.next != "[" and (open_ or tokens.next not in (",", ")")):
        token = tokens.take()
        open_ = token == "(" or (open_ and token != ")")
        words += token if token in "(),." else f" {token}"
    words = " ".join(words.upper().replace("( ", "(").replace(", ", ",").split())
    name = canonical_type(words)
    if name is None:
        raise _NoTypeError
    return Plain(name)


def _depth(type_: HookType) -> int:
    match type_:
        case ListOf(element) | ArrayOf(element):
            return 1 + _depth(element)
        case StructOf(members):
            return 1 + max(_depth(member) for _, member in members)
        case MapOf(_, value):
            return 2 + _depth(value)
        case _:
            return 1


def _cells(type_: HookType) -> tuple[int, bool]:
    """Return how many cells a value takes, without elements of lists, and whether arrays are in it."""
    match type_:
        case ListOf(element):
            cells, has_array = 1, _cells(element)[1]
        case MapOf(_, value):
            cells, has_array = 1, _cells(value)[1]
        case ArrayOf(element, size):
            cells, has_array = size * _cells(element)[0], True
        case StructOf(members):
            inside = [_cells(member) for _, member in members]
            cells, has_array = 1 + sum(count for count, _ in inside), any(found for _, found in inside)
        case _:
            cells, has_array = 1, False
    if has_array and cells > MOST_CELLS:
        raise _NoTypeError
    return cells, has_array


def _leaves(type_: HookType) -> Iterator[str]:
    match type_:
        case Plain(name):
            yield name
        case ListOf(element) | ArrayOf(element):
            yield from _leaves(element)
        case StructOf(members):
            for _, member in members:
                yield from _leaves(member)
        case MapOf(_, value):
            yield from _leaves(value)


def _crosses(type_: HookType) -> bool:
    """Whether sessions know it: a JSON goes in as VARCHAR, a TIMESTAMP_S as TIMESTAMP."""
    match type_:
        case Plain(name):
            return name not in _OF_COLUMNS
        case ListOf(element):
            return _crosses(element)
        case StructOf(members):
            return all(_crosses(member) for _, member in members)
        case MapOf() | ArrayOf():
            return False


def _is_in_json(type_: HookType) -> bool:
    """Whether JSON has texts for all that is in it."""
    return all(canonical_type(leaf) == leaf != "BLOB" for leaf in _leaves(type_))
