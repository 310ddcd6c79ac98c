"""Which row made a user's function fail: stages that look for a key whose row gives it the same arguments.

DuckDB does not tell a function which row it is called for. What the plan's shard stage calls it with is text
over the rows of the scan, so the row is found by asking for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gearsql.catalog.function import Known
from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN
from gearsql.plan.stages import ShardStage
from gearsql.plan.text import SOURCE, quote, select, source_of, where
from gearsql.sql.bound import BoundQuery
from gearsql.sql.calls import Call, find_calls
from gearsql.sql.constants import constant
from gearsql.sql.hooks import STATE, hooks_in


def stages_for_row(
    bound: BoundQuery, stage: ShardStage, name: str, values: Sequence[Any]
) -> list[ShardStage]:
    """Return stages, best first, each of which ships at most one `_key`; a stage may fail as the query did.

    `values` are what the function `name` was called with. None of them may find a row: arguments may stand
    over groups, and a value may be beyond SQL.
    """
    known = next((known for known in bound.hooks if known.function.name == fold(name)), None)
    if known is None or len(stage.scans) != 1 or len(values) != len(known.function.parameters):
        return []
    try:
        constants = [constant(value) for value in values]
    except (TypeError, ValueError):
        return []
    (scan,) = stage.scans
    columns = scan.columns if KEY_COLUMN in scan.columns else (*scan.columns, KEY_COLUMN)
    scans = (replace(scan, columns=columns),)
    texts = sorted(
        _texts(bound, stage, known, constants), key=lambda text: known in hooks_in(text, bound.hooks)
    )
    return [ShardStage(scans, text, hooks_in(text, bound.hooks)) for text in dict.fromkeys(texts)]


def _texts(bound: BoundQuery, stage: ShardStage, known: Known, constants: Sequence[str]) -> Iterator[str]:
    name = known.function.name
    exploded = stage.sql.find(bound.exploded) if bound.exploded else -1
    for call in find_calls(stage.sql, {name, name + STATE}):
        inside = 0 <= call.at.start - exploded < len(bound.exploded) if exploded >= 0 else False
        # A table function's arguments stand over what is before it in FROM.
        source = SOURCE + _before(bound.exploded, call.at.start - exploded) if inside else source_of(bound)
        filter_ = "" if inside or bound.tree is None else where(bound.tree)
        if known in hooks_in(filter_, bound.hooks):
            filter_ = ""  # it fails there
        same = [
            f"CAST({argument} AS {type_}) IS NOT DISTINCT FROM CAST({value} AS {type_})"
            for argument, (_, type_), value in zip(
                _arguments(stage.sql, call), known.function.parameters, constants, strict=False
            )
        ]
        tail = f"{filter_} {'AND' if filter_ else 'WHERE'} {' AND '.join(same)} LIMIT 1"
        yield select([quote(KEY_COLUMN.name)], source, tail)


def _arguments(text: str, call: Call) -> list[str]:
    return [text[place.start : place.end] for place in call.arguments]


def _before(exploded: str, place: int) -> str:
    """What stands before the table function in which a place is."""
    return exploded[
        : max(exploded.rfind(start, 0, place) for start in (", LATERAL (", " LEFT JOIN LATERAL ("))
    ]
