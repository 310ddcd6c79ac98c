"""A plan with slots: compiled once with markers in the place of constants, filled in for each set of values.

Nothing is believed of it before it has given a plan that was compiled from its values itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from gearsql.catalog.table import Fixed
from gearsql.plan.compiled import Compiled
from gearsql.sql.bound import ResultColumn

Texts = Mapping[str, str]
"""What stands in the place of each marker."""
_Fill = Callable[[Texts], Any]


class NotUniformError(Exception):
    """A plan depends on the values of its constants, not on their types alone."""


class Template:
    """A compiled statement whose constants are markers."""

    def __init__(self, compiled: Compiled, markers: Sequence[str]) -> None:
        """Find the markers; NotUniformError if they are where no constant should be."""
        self._markers = tuple(markers)
        # Quotes are doubled in SQL; what goes around a text is the plan's.
        finder = re.compile("|".join(map(re.escape, sorted(markers, key=len, reverse=True))))
        self._bare = without_text(compiled)
        self._fill = _filler(self._bare, finder)
        fixed = [scan.fixed for scan in getattr(getattr(compiled.plan, "shard", None), "scans", ())]
        self._fixed = [(_filler(each, finder), each) for each in fixed]

    def fill(self, texts: Sequence[str]) -> Compiled:
        """The compiled statement with these constants, in the markers' order."""
        return self._fill(dict(zip(self._markers, texts, strict=True))) if self._fill else self._bare

    def fixed(self, texts: Sequence[str]) -> tuple[Fixed, ...]:
        """What its only scan fixes of the keys."""
        ((fill, bare),) = self._fixed
        filled: tuple[Fixed, ...] = fill(dict(zip(self._markers, texts, strict=True))) if fill else bare
        return filled


def without_text(compiled: Compiled) -> Compiled:
    """What is left of a compiled statement without its bound text, which only users' functions need."""
    return replace(compiled, bound=None, parts=tuple(map(without_text, compiled.parts)))


def _filler(node: Any, finder: re.Pattern[str]) -> _Fill | None:
    """What makes a part of a plan of the slots' texts; None if there is no slot in it."""
    match node:
        case str():
            return _text(node, finder)
        case tuple():
            return _tuple(node, finder)
        case Fixed():
            return _constants(node, finder)
        case ResultColumn():
            if finder.search(node.name) or finder.search(node.type):
                raise NotUniformError
            return None
        case _ if is_dataclass(node) and not isinstance(node, type):
            return _record(node, finder)
    return None


def _text(text: str, finder: re.Pattern[str]) -> _Fill | None:
    found = finder.findall(text)
    if not found:
        return None
    between = finder.split(text)
    last = between.pop()

    def fill(texts: Texts) -> str:
        pairs = zip(between, found, strict=True)
        return "".join(before + texts[marker].replace("'", "''") for before, marker in pairs) + last

    return fill


def _tuple(node: tuple[Any, ...], finder: re.Pattern[str]) -> _Fill | None:
    made = [(_filler(part, finder), part) for part in node]
    if not any(fill for fill, _ in made):
        return None
    return lambda texts: tuple(fill(texts) if fill else part for fill, part in made)


def _constants(node: Fixed, finder: re.Pattern[str]) -> _Fill | None:
    """Constants of keys are bare: no SQL."""
    if not any(map(finder.search, node.constants)):
        return None
    if any(finder.search(one) and not finder.fullmatch(one) for one in node.constants):
        raise NotUniformError

    def fill(texts: Texts) -> Fixed:
        return Fixed(node.place, node.type, tuple(texts.get(one, one) for one in node.constants))

    return fill


def _record(node: Any, finder: re.Pattern[str]) -> _Fill | None:
    made = {field.name: _filler(getattr(node, field.name), finder) for field in fields(node)}
    slots = {name: fill for name, fill in made.items() if fill}
    if not slots:
        return None
    return lambda texts: replace(node, **{name: fill(texts) for name, fill in slots.items()})
