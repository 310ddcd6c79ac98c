"""Which parameters of a statement are slots: constants of a type whose value its plan does not depend on.

A statement is compiled once with markers in them; for other values its plan is filled in (plan/template.py).
DuckDB's binder looks at the values of a function's constant arguments (round's places make its type), so a
slot stands where only types count: in comparisons and arithmetic, or beside a column in an argument. Of a
type's values those count that are written alike; any other is a part of what its plan is kept for.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gearsql.sql.clock import literals
from gearsql.sql.constants import Marker, constant
from gearsql.sql.parameters import Parameters, by_identifier
from gearsql.sql.syntax import Node, Syntax, children

LONGEST = 1000
MOST = 100

_TYPED = re.compile(r"CAST\('([^'\\]+)' AS ([A-Z ]+(?:\([0-9,]+\))?)\)|CAST\((-?[0-9]+) AS ([A-Z]+)\)")
_OPERATORS = frozenset(("+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*"))
_SAFE = frozenset(("COMPARISON", "BETWEEN", "CONJUNCTION", "CASE", "CAST", "SUBQUERY", "PARAMETER"))
_SAFE_TYPES = frozenset(
    (
        "OPERATOR_NOT",
        "COMPARE_IN",
        "COMPARE_NOT_IN",
        "OPERATOR_COALESCE",
        "OPERATOR_IS_NULL",
        "OPERATOR_IS_NOT_NULL",
    )
)
MOMENT = datetime.datetime(1911, 3, 7, 1, 2, 3, 456789, datetime.UTC)
"""The marker of the clock."""
_MARKERS = re.compile(r"gears-slot-|19110[0-9]{5}|79110{10}[0-9]{5}|1911-0[3-6]-|01:02:03\.456789")


@dataclass(frozen=True)
class Slots:
    """A statement's parameters. `shape` is what its plan may depend on; slots have texts, and markers."""

    shape: tuple[object, ...]
    texts: tuple[str, ...]
    markers: tuple[str, ...]
    parameters: Parameters
    """With markers in the slots."""


def has_marker(sql: str) -> bool:
    """Whether a marker may be in a text. What is computed from one is no plan's for other values."""
    return _MARKERS.search(sql) is not None


def find_slots(syntax: Syntax) -> tuple[frozenset[str], frozenset[str]]:
    """The identifiers of the parameters that can be slots, and of the counts of LIMIT and OFFSET."""
    found = list(_places(syntax.select, True))
    unsafe = {name for name, safe, _ in found if not safe}
    counts = {name for name, _, count in found if count}
    valued = {name for name, _, count in found if not count}
    named = {name for name, _, _ in found}
    return frozenset(named - unsafe - (counts & valued)), frozenset(counts)


def _places(node: Node, safe: bool, *, count: bool = False) -> Iterator[tuple[str, bool, bool]]:
    if node.get("class") == "PARAMETER":
        yield node["identifier"], safe, count
        return
    safe = safe and _is_transparent(node)
    counted = {id(node["limit"]), id(node["offset"])} if "limit_type" in node else ()
    for child in children(node):
        inside = safe and (not _is_call(node) or _reads(child))
        yield from _places(child, inside, count=id(child) in counted)


def _is_transparent(node: Node) -> bool:
    """Whether DuckDB looks at nothing but types of what is constant directly under a node."""
    kind = node.get("class")
    if kind is None:
        return node.get("type") != "PIVOT"
    if kind == "OPERATOR":
        return node["type"] in _SAFE_TYPES
    return kind in _SAFE or kind in ("FUNCTION", "WINDOW")


def _is_call(node: Node) -> bool:
    if node.get("class") == "FUNCTION":
        return not (node["is_operator"] and node["function_name"] in _OPERATORS)
    return node.get("class") == "WINDOW"


def _reads(node: Node) -> bool:
    return node.get("class") == "COLUMN_REF" or any(map(_reads, children(node)))


def slots_of(
    parameters: Parameters, places: tuple[frozenset[str], frozenset[str]], moment: datetime.datetime | None
) -> Slots:
    """Sort a statement's parameters by what find_slots says; `moment` is the clock's, if it is read."""
    safe, counts = places
    shape: list[object] = []
    texts, markers = [], []
    marked: dict[str, Any] = {}
    for number, (name, value) in enumerate(by_identifier(parameters).items()):
        marked[name] = value
        found = _typed(value, count=name in counts) if name in safe and number < MOST else None
        shape.append((name, repr(value) if found is None else found[0], found is None))
        if found is not None:
            marked[name] = _marker(found[0], number)
            texts.append(found[1])
            markers.append(marked[name].text)
    if moment is not None:
        texts += literals(moment).values()
        markers += literals(MOMENT).values()
    return Slots(tuple(shape), tuple(texts), tuple(markers), marked or parameters)


def _typed(value: Any, *, count: bool) -> tuple[str, str] | None:
    """The type that a value is written as, and what of its text is its own; None if that is not all."""
    if count:
        return ("COUNT", str(value)) if type(value) is int and 0 <= value < 2**30 else None
    if isinstance(value, str):
        plain = value.isprintable() and "\\" not in value and 0 < len(value) <= LONGEST
        return ("VARCHAR", value) if plain else None
    try:
        written = _TYPED.fullmatch(constant(value))
    except (TypeError, ValueError):
        return None
    if written is None or written[2] == "BLOB":
        return None
    return (f"'{written[2]}", written[1]) if written[2] else (written[4], written[3])


def _marker(kind: str, number: int) -> Marker:
    match kind:
        case "COUNT":
            text = f"1911{number:05}"
            return Marker(text, text)
        case "INTEGER":
            text = f"19110{number:05}"
            return Marker(text, f"CAST({text} AS INTEGER)")
        case "BIGINT":
            text = f"79110000000000{number:05}"
            return Marker(text, f"CAST({text} AS BIGINT)")
        case "VARCHAR":
            text = f"gears-slot-{number:05}-"
            return Marker(text, f"'{text}'")
        case "'DATE":
            text = (MOMENT.date() + datetime.timedelta(days=number + 1)).isoformat()
            return Marker(text, f"CAST('{text}' AS DATE)")
        case _:
            text = f"gears-slot-{number:05}-"
            return Marker(text, f"CAST('{text}' AS {kind[1:]})")
