"""What a statement ends in: typed columns and their rows, and what else has to be said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gearsql.sql.bound import ResultColumn


@dataclass(frozen=True)
class Answer:
    """`table` is None after a statement without rows; `notes` are sentences for the user.

    Of rows that are Python objects already there is no table before somebody asks `arrow` for one.
    """

    columns: tuple[ResultColumn, ...] = ()
    table: pa.Table | None = None
    notes: tuple[str, ...] = ()
    count: int = -1
    """The rows that a statement wrote; -1 if it is none that writes."""
    rows: Sequence[tuple[Any, ...]] | None = None
    make: Callable[[], pa.Table] | None = None

    @property
    def arrow(self) -> pa.Table | None:
        """The answer as Arrow; None after a statement without rows."""
        return self.make() if self.make else self.table


def regrouped(columns: Sequence[ResultColumn], heads: Sequence[Sequence[str]], row: pa.Table) -> Answer:
    """Return an answer of one row as many: each begins with texts of its own and goes on with its share."""
    width = len(columns) - len(heads[0])
    arrays = [pa.array([head[index] for head in heads], pa.string()) for index in range(len(heads[0]))]
    for place in range(width):
        parts = [row.column(start + place) for start in range(0, row.num_columns, width)]
        arrays.append(pa.chunked_array([chunk for part in parts for chunk in part.chunks]))
    return Answer(tuple(columns), pa.table(arrays, names=[column.name for column in columns]))


def listing(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Answer:
    """Return rows of text as an answer."""
    columns = [pa.array([row[index] for row in rows], pa.string()) for index in range(len(names))]
    return Answer(
        tuple(ResultColumn(name, "VARCHAR") for name in names), pa.table(columns, names=list(names))
    )
