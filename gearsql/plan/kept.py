"""The plans that a connection keeps: the same statement with other values is filled in, not planned again.

A statement that comes again with other values of the same types is compiled once with markers (sql/slots.py).
If that gives the plan that was compiled before from its own values, it is a template from then on; if not,
the plan depends on values, and each of them is planned for itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from gearsql.errors import Error
from gearsql.plan.compiled import Compiled
from gearsql.plan.stages import GearsPlan
from gearsql.plan.template import NotUniformError, Template, without_text
from gearsql.sql.parameters import Parameters
from gearsql.sql.slots import MOMENT, Slots, find_slots, slots_of
from gearsql.sql.statements import AnyQuery

MOST_STATEMENTS = 256
MOST_VALUES = 16
"""Of one statement: sets of values, and kinds of them."""

K = TypeVar("K")
V = TypeVar("V")

Compile = Callable[[Parameters, datetime.datetime | None], Compiled]
"""Compiles a statement for values and a moment of the clock; None: now."""


@dataclass(frozen=True)
class Found:
    """A statement's plan, and what its values were sorted into, if they were, by what find_slots said.

    `template` gives the plan for other values of the same shape.
    """

    compiled: Compiled
    places: tuple[frozenset[str], frozenset[str]]
    slots: Slots | None = None
    template: Template | None = None


@dataclass
class _Statement:
    """What is kept of one statement over the same tables."""

    places: tuple[frozenset[str], frozenset[str]]
    exact: dict[str, Compiled] = field(default_factory=dict)
    templates: dict[tuple[object, ...], Template] = field(default_factory=dict)
    once: dict[tuple[object, ...], tuple[tuple[str, ...], Compiled]] = field(default_factory=dict)
    """Of shapes that came once: the slots' texts, and what they gave."""
    refused: dict[tuple[object, ...], None] = field(default_factory=dict)


class KeptPlans:
    """Plans by statement, and by what they were made for."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._statements: dict[object, _Statement] = {}

    def find(self, key: object, query: AnyQuery, parameters: Parameters, compiling: Compile) -> Found:
        """Return the plan for these values; `key` is all else that plans of the statement depend on."""
        kept = self._statement(key, query)
        values = repr(parameters)
        moment = datetime.datetime.now(datetime.UTC) if query.timed else None
        # Only what one binding has written for users' functions can name the row that one of them fails for.
        slots = None if query.calls else slots_of(parameters, kept.places, moment)
        template = kept.templates.get(slots.shape) if slots else None
        if template is None and not query.timed and values in kept.exact:
            return Found(kept.exact[values], kept.places, slots)
        if slots and slots.texts and template is None:
            template = self._template(kept, slots, compiling)
        if slots and template:
            return Found(replace(template.fill(slots.texts), filled=True), kept.places, slots, template)
        compiled = compiling(parameters, moment)
        if not query.timed:
            _keep(kept.exact, values, compiled)
        if slots and slots.texts and slots.shape not in kept.refused:
            _keep(kept.once, slots.shape, (slots.texts, without_text(compiled)))
            if isinstance(compiled.plan, GearsPlan) and compiled.plan.direct is not None:
                # What is faster than any plan shall be so from the second time on.
                template = self._template(kept, slots, compiling)
        return Found(compiled, kept.places, slots, template)

    def _statement(self, key: object, query: AnyQuery) -> _Statement:
        if key not in self._statements:
            if len(self._statements) == MOST_STATEMENTS:
                del self._statements[next(iter(self._statements))]
            self._statements[key] = _Statement(find_slots(query.syntax))
        return self._statements[key]

    def _template(self, kept: _Statement, slots: Slots, compiling: Compile) -> Template | None:
        """Compile with markers, if the shape came before; what does not give the plan of then is refused."""
        if slots.shape not in kept.once:
            return None
        texts, compiled = kept.once.pop(slots.shape)
        try:
            template = Template(compiling(slots.parameters, MOMENT), slots.markers)
            if template.fill(texts) == compiled:
                _keep(kept.templates, slots.shape, template)
                return template
        except (Error, NotUniformError):
            pass
        _keep(kept.refused, slots.shape, None)
        return None


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= MOST_VALUES:
        del kept[next(iter(kept))]
    kept[key] = value
