"""Keys that are no hashes as tables: which columns their elements have, and where each comes from."""

from __future__ import annotations

from gearsql.catalog.names import fold
from gearsql.catalog.table import Column, ElementSource, FieldSource, KeyTemplate, KeyType, PlaceholderSource
from gearsql.catalog.template import source_of

PARTS: dict[KeyType, tuple[Column, ...]] = {
    "hash": (),
    "string": (Column("value", "VARCHAR", ElementSource("value")),),
    "json": (),
    "set": (Column("member", "VARCHAR", ElementSource("value")),),
    "list": (
        Column("index", "BIGINT", ElementSource("index")),
        Column("value", "VARCHAR", ElementSource("value")),
    ),
    "zset": (
        Column("member", "VARCHAR", ElementSource("value")),
        Column("score", "DOUBLE", ElementSource("score")),
    ),
    "stream": (Column("id", "VARCHAR", ElementSource("index")),),
}
"""What an element of each type has besides fields."""

WITH_FIELDS: tuple[KeyType, ...] = ("hash", "json", "stream")


def column_source(
    name: str, keys: KeyTemplate, type: KeyType
) -> PlaceholderSource | FieldSource | ElementSource | None:
    """Where a column of that name reads; None: keys of this type have nothing of that name."""
    source = source_of(name, keys)
    if isinstance(source, PlaceholderSource):
        return source
    for part in PARTS[type]:
        if fold(part.name) == fold(name):
            assert isinstance(part.source, ElementSource)
            return part.source
    return source if type in WITH_FIELDS else None


def with_parts(columns: tuple[Column, ...], type: KeyType) -> tuple[Column, ...]:
    """Append the parts of an element that no column reads yet."""
    named = {fold(column.name) for column in columns}
    return (*columns, *(part for part in PARTS[type] if fold(part.name) not in named))
