"""A filter on the key → the keys that can meet it: `id = 7` fixes a placeholder of the template to one text.

A constant counts only if exactly one text is read as its value: '7' for an INTEGER, since '007' is a misfit,
but none for a DOUBLE, which '7', '7.0' and '70e-1' are. Where all placeholders are fixed, or `_key` is, the
scan is a point read: its keys are known, and no others are looked at.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from sqlglot import exp

from gearsql.catalog.table import (
    KEY_COLUMN,
    Column,
    ConstantSource,
    Fixed,
    Glob,
    KeySource,
    KeyTemplate,
    PlaceholderSource,
    Table,
)
from gearsql.plan.stages import Scan
from gearsql.sql.bound import BoundQuery

MOST_KEYS = 10_000
"""What a point read asks for at most; a scan is no slower then."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_HUGEINT = range(-(2**127), 2**127)
_RANGES = {
    "TINYINT": range(-(2**7), 2**7),
    "SMALLINT": range(-(2**15), 2**15),
    "INTEGER": range(-(2**31), 2**31),
    "BIGINT": range(-(2**63), 2**63),
    "HUGEINT": _HUGEINT,
    "UTINYINT": range(2**8),
    "USMALLINT": range(2**16),
    "UINTEGER": range(2**32),
    "UBIGINT": range(2**64),
}
INTEGERS = frozenset(_RANGES)
_CASTS = {
    exp.DType.TINYINT: _RANGES["TINYINT"],
    exp.DType.SMALLINT: _RANGES["SMALLINT"],
    exp.DType.INT: _RANGES["INTEGER"],
    exp.DType.BIGINT: _RANGES["BIGINT"],
    exp.DType.INT128: _HUGEINT,
    exp.DType.UBIGINT: _RANGES["UBIGINT"],
}
_Values = dict[str, tuple[str, ...]]


def fixed_by(bound: BoundQuery) -> tuple[Fixed, ...]:
    """What the query's filter fixes of its table's keys. Rows of other keys do not meet the filter."""
    clause = bound.tree.args.get("where") if bound.tree else None
    if clause is None or bound.exploded:
        return ()
    columns = {column.name: column for column in key_columns(bound.table)}
    values = _values(clause.this, columns)
    return tuple(
        Fixed(_place(columns[name]), columns[name].type, constants) for name, constants in values.items()
    )


def key_columns(table: Table) -> Iterator[Column]:
    """The columns that a key gives, each value one text of it: with DuckDB's casts only `_key`."""
    for column in table.all_columns:
        if isinstance(column.source, KeySource) or (
            isinstance(column.source, PlaceholderSource) and table.cast == "strict"
        ):
            yield column


def is_point(scan: Scan) -> bool:
    """Whether the keys of a scan are known without looking."""
    return (
        _is_whole(scan.keys, scan.fixed) and prod(len(fixed.constants) for fixed in scan.fixed) <= MOST_KEYS
    )


def keys_of(scan: Scan, fixed: tuple[Fixed, ...] | None = None) -> list[bytes]:
    """The keys of a point read, each once. Of those that `_key` names, some may not be the table's.

    `fixed` stands for the scan's own, with other constants.
    """
    chosen_from = scan.fixed if fixed is None else fixed
    named = {one.place: list(texts(one, scan.null_values)) for one in chosen_from}
    if None in named:
        return named[None]
    assert isinstance(scan.keys, KeyTemplate)
    literals = scan.keys.literals
    chosen = (named[place] for place in range(len(literals) - 1))
    joined = ((_joined(literals, parts), parts) for parts in itertools.product(*chosen))
    return [key for key, parts in joined if cut(literals, key) == parts]


def cut(literals: tuple[bytes, ...], key: bytes) -> tuple[bytes, ...] | None:
    """The placeholders' texts of a key, None if the template does not match; as module/pattern_template.c."""
    first, *others = literals
    if not others:
        return () if key == first else None
    *middle, last = others
    if len(key) <= len(first) + len(last) or not (key.startswith(first) and key.endswith(last)):
        return None
    rest, parts = key[len(first) : len(key) - len(last)], []
    for literal in middle:
        end = rest.find(literal, 1)
        if end < 0:
            return None
        parts.append(rest[:end])
        rest = rest[end + len(literal) :]
    return (*parts, rest) if rest else None


def narrowed(scan: Scan) -> Scan:
    """The scan with what its filter fixes from the key's begin on as a part of the template's first literal.

    The keys that are left are those that a placeholder cuts the same text from: it ends at the first place
    where the next literal stands. Of several texts for a placeholder none can be a part of the pattern.
    """
    if isinstance(scan.keys, Glob):
        return scan
    first, *literals = scan.keys.literals
    fixed = {one.place: [*texts(one, scan.null_values)] for one in scan.fixed}
    parts: list[bytes] = []
    while literals and len(chosen := fixed.get(len(parts), [])) == 1:
        (text,) = chosen
        if len(literals) > 1 and (text + literals[0]).find(literals[0], 1) != len(text):
            break
        first += text + literals.pop(0)
        parts.append(text)
    if not parts:
        return scan
    keys = KeyTemplate((first, *literals), scan.keys.placeholders[len(parts) :])
    return replace(scan, keys=keys, columns=tuple(_in_narrowed(column, parts) for column in scan.columns))


def _in_narrowed(column: Column, parts: Sequence[bytes]) -> Column:
    if not isinstance(column.source, PlaceholderSource):
        return column
    place = column.source.index
    if place < len(parts):
        return replace(column, source=ConstantSource(parts[place]))
    return replace(column, source=PlaceholderSource(place - len(parts)))


def texts(fixed: Fixed, null_values: Iterable[bytes]) -> Iterator[bytes]:
    """The texts that are read as one of the constants, each once."""
    for text in dict.fromkeys(constant.encode() for constant in fixed.constants):
        in_range = fixed.type not in _RANGES or int(text) in _RANGES[fixed.type]
        if text and in_range and text not in null_values:
            yield text


def is_only_keys(bound: BoundQuery, fixed: tuple[Fixed, ...]) -> bool:
    """Whether the filter says nothing else than what is fixed, each once, and the keys say all of that."""
    assert bound.tree is not None
    if len(fixed) > 1 and any(one.place is None for one in fixed):
        return False
    clause = bound.tree.args.get("where")
    terms = list(_terms(clause.this)) if clause else []
    columns = {column.name: column for column in key_columns(bound.table)}
    return len(terms) == len(fixed) and all(_says_only_keys(term, columns) for term in terms)


def _says_only_keys(term: exp.Expr, columns: Mapping[str, Column]) -> bool:
    """Under OR a part of an AND may be about anything."""
    return bool(_values(term, columns)) and term.find(exp.And) is None


def _is_whole(keys: KeyTemplate | Glob, fixed: tuple[Fixed, ...]) -> bool:
    places = {one.place for one in fixed}
    if isinstance(keys, Glob):
        return None in places
    return None in places or places >= set(range(len(keys.placeholders)))


def _place(column: Column) -> int | None:
    return column.source.index if isinstance(column.source, PlaceholderSource) else None


def _terms(node: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions that all have to hold."""
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from _terms(node.left)
        yield from _terms(node.right)
    else:
        yield node


def _values(node: exp.Expr, columns: Mapping[str, Column]) -> _Values:
    """By column, the constants that it is one of wherever the condition holds."""
    node = node.unnest()
    match node:
        case exp.Boolean() | exp.Null() if not node.this:
            return {KEY_COLUMN.name: ()}
        case exp.And():
            both = _values(node.left, columns), _values(node.right, columns)
            names = dict.fromkeys(name for values in both for name in values)
            return {name: min((v[name] for v in both if name in v), key=len) for name in names}
        case exp.Or():
            left, right = _values(node.left, columns), _values(node.right, columns)
            if () in left.values():
                return right
            if () in right.values():
                return left
            return {name: (*left[name], *right[name]) for name in left if name in right}
        case exp.EQ():
            one, other = node.left.unnest(), node.right.unnest()
            column, constants = (one, [other]) if isinstance(one, exp.Column) else (other, [one])
        case exp.In() if node.expressions:
            column, constants = node.this.unnest(), node.expressions
        case _:
            return {}
    if not isinstance(column, exp.Column) or column.name not in columns:
        return {}
    known = [only_text(constant.unnest(), columns[column.name].type) for constant in constants]
    # NULL equals nothing, but a constant that was not understood may equal anything.
    return {} if None in known else {column.name: tuple(text for text in known if text)}


def only_text(node: exp.Expr, type_: str) -> str | None:
    """The only text that a column of this type reads as the constant; '' for none, None if unknown."""
    if isinstance(node, exp.Null):
        return ""
    if type_ in _RANGES:
        return _integer(node)
    if type_ == "DATE":
        return _date(node)
    # The empty text is no placeholder's, but may be a key.
    is_text = type_ == "VARCHAR" and isinstance(node, exp.Literal) and node.is_string
    return node.name or None if is_text else None


def _integer(node: exp.Expr) -> str | None:
    wanted = _HUGEINT
    if isinstance(node, exp.Cast):
        wanted, node = _CASTS.get(node.to.this, range(0)), node.this.unnest()
    negative = isinstance(node, exp.Neg)
    literal = node.this if negative else node
    if not isinstance(literal, exp.Literal):
        return None
    text = ("-" if negative else "") + literal.name
    return text if _INTEGER.fullmatch(text) and int(text) in wanted else None


def _date(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Cast) and node.to.this == exp.DType.DATE:
        node = node.this
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    try:
        return node.name if datetime.date.fromisoformat(node.name).isoformat() == node.name else None
    except ValueError:
        return None


def _joined(literals: tuple[bytes, ...], parts: tuple[bytes, ...]) -> bytes:
    return literals[0] + b"".join(part + literal for part, literal in zip(parts, literals[1:], strict=True))
