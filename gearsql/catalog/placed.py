"""What a table's columns tell of where its rows are: a key's slot is that of its hash tag, `{…}`, or its own.

A column tells a text of the key only if equal values are equal texts: '7' is the only INTEGER 7, since '007'
is a misfit, but '7' and '7.0' are one DOUBLE.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gearsql.catalog.table import KEY_COLUMN, Column, KeyTemplate, PlaceholderSource, Table

_FAMILIES = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
    "VARCHAR": "text",
    "DATE": "date",
}


@dataclass(frozen=True)
class HashTag:
    """The columns that make the hash tag of a table's keys, and all else that it is made of.

    Keys of tables with tags of one `form` are in one slot if these columns are equal. It is not so if a tag
    begins with '}': `{}x}` is an empty one, which is none.
    """

    columns: tuple[str, ...]
    families: tuple[str, ...]
    between: tuple[bytes, ...]

    @property
    def form(self) -> tuple[object, ...]:
        """What two tags have to have in common."""
        return self.families, self.between

    @property
    def unless(self) -> str:
        """The column of which no text may begin with '}', '' if none can or it does not matter."""
        first = self.families[:1] == ("text",) and self.between[0] == b""
        return self.columns[0] if first else ""


def hash_tag(table: Table) -> HashTag | None:
    """Return what makes the hash tag of a table's keys, if columns tell it: `order:{{{customer}}}:{id}`."""
    if not isinstance(table.keys, KeyTemplate):
        return None
    first, *others = table.keys.literals
    _, brace, begin = first.partition(b"{")
    if b"}" in begin:
        tag = begin.partition(b"}")[0]
        return HashTag((), (), (tag,)) if tag else None
    end = next((place for place, literal in enumerate(others) if b"}" in literal), None)
    if not brace or end is None:
        return None
    columns = [_telling(table, place) for place in range(end + 1)]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    between = (begin, *others[:end], others[end].partition(b"}")[0])
    return HashTag(tuple(c.name for c in known), tuple(_FAMILIES[c.type] for c in known), between)


def key_parts(table: Table) -> tuple[str, ...] | None:
    """Return the columns that tell all of a key; None if a text of it has none that does."""
    if not isinstance(table.keys, KeyTemplate) or not table.keys.placeholders:
        return None
    columns = [_telling(table, place) for place in range(len(table.keys.placeholders))]
    known = tuple(column.name for column in columns if column is not None)
    return known if len(known) == len(columns) else None


def place_together(table: Table, columns: Collection[str]) -> HashTag | bool:
    """Tell whether rows that are equal in these columns, NULLs too, are all in one slot; if so by which tag.

    True: whatever the texts are. Of several texts that are NULL nobody can tell one from another.
    """
    if table.on_error == "null" or table.null_values:
        return False
    parts, tag = key_parts(table), hash_tag(table)
    if KEY_COLUMN.name in columns or (parts is not None and set(parts) <= set(columns)):
        return True
    return tag if tag is not None and set(tag.columns) <= set(columns) else False


def _telling(table: Table, place: int) -> Column | None:
    """The column that tells the text of a placeholder."""
    if table.cast != "strict":
        return None
    for column in table.columns:
        if column.source == PlaceholderSource(place) and column.type in _FAMILIES:
            return column
    return None
