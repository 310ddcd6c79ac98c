"""A relation that goes to every shard along with a stage: words of GEARSQL.EXECUTE (module/given.h)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.hook_types import parse_hook_type
from gearsql.cluster.connection import Word
from gearsql.plan.stages import SMALL_BYTES, SMALL_ROWS
from gearsql.shard._mailbox import Column
from gearsql.shard.arrays import fill, objects
from gearsql.sql.bound import ResultColumn

CHUNK_ROWS = 2048

# The days, and µs, of the years 1 to 9999: what a shard takes.
_DAYS = (-719162, 2932896)
_DAY = 86_400_000_000
_RANGES = {"DATE": _DAYS, "TIMESTAMP": (_DAYS[0] * _DAY, (_DAYS[1] + 1) * _DAY - 1), "TIME": (0, _DAY - 1)}
# Inside of others, or at all.
_NOT_SENT = ("DATE", "TIME", "INTERVAL", "STRUCT")
_RANGES["TIMESTAMP WITH TIME ZONE"] = _RANGES["TIMESTAMP"]


def is_small(table: pa.Table) -> bool:
    """Whether a relation may be one of those that go along."""
    return bool(table.num_rows <= SMALL_ROWS and table.nbytes <= SMALL_BYTES)


def can_go(table: pa.Table, columns: Sequence[ResultColumn]) -> bool:
    """Whether shards take a relation of these types, and its values."""
    return all(
        parse_hook_type(column.type) is not None and _in_range(column.type, values)
        for column, values in zip(columns, table.columns, strict=True)
    )


def _in_range(type_: str, values: pa.ChunkedArray) -> bool:
    if type_ not in _RANGES:
        return not any(name in type_ for name in _NOT_SENT)
    whole = values.cast(pa.int32() if type_ == "DATE" else pa.int64())
    found = pc.min_max(whole).as_py()
    least, most = _RANGES[type_]
    return found["min"] is None or (least <= found["min"] and found["max"] <= most)


def given_words(table: pa.Table, columns: Sequence[ResultColumn]) -> list[Word]:
    """Return the words for a relation: its columns are c0, c1, … there."""
    words: list[Word] = ["GIVEN", table.num_rows, len(columns)]
    for index, column in enumerate(columns):
        words += [f"c{index}", column.type]
    return [*words, b"".join(_chunks(table, columns))]


def _chunks(table: pa.Table, columns: Sequence[ResultColumn]) -> Iterator[bytes]:
    for start in range(0, table.num_rows, CHUNK_ROWS):
        chunk = table.slice(start, CHUNK_ROWS)
        for column, values in zip(columns, chunk.columns, strict=True):
            yield _column(column.type, values.combine_chunks())


def _column(type_: str, array: pa.Array) -> bytes:
    made = Column(type_)
    if not fill(pa, made, type_, array):
        made.extend(objects(type_, array))
    return made.tobytes()
