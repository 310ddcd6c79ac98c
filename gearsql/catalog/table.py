"""What a table is: a key pattern, typed columns, and the rules for reading them. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnError = Literal["error", "null", "skip"]
KeyType = Literal["hash", "string", "json", "set", "list", "zset", "stream"]
"""What keys are rows; of the types behind string each element is one. 'json' is an object in a string."""
Cast = Literal["strict", "duckdb"]
"""How texts become values: by the one grammar of each type, or as DuckDB casts VARCHAR."""
Part = Literal["value", "index", "score"]


@dataclass(frozen=True)
class KeyTemplate:
    """`user:{city}:{id}` is literals ('user:', ':', '') around placeholders ('city', 'id').

    A placeholder takes the shortest non-empty text up to the next literal; the last literal is anchored
    at the key's end. Literals are bytes, since keys are.
    """

    literals: tuple[bytes, ...]
    placeholders: tuple[str, ...]


@dataclass(frozen=True)
class Glob:
    """A pattern of an undeclared table, in the server's own glob language (SCAN MATCH)."""

    pattern: bytes


@dataclass(frozen=True)
class KeySource:
    """The column is the whole key (`_key`)."""


@dataclass(frozen=True)
class PlaceholderSource:
    """The column is the text of the template's placeholder number `index`."""

    index: int


@dataclass(frozen=True)
class ConstantSource:
    """The column is the same text for all keys: its placeholder's, in a scan that is narrowed to it."""

    text: bytes


@dataclass(frozen=True)
class FieldSource:
    """The column is the field `field` of a hash or of a stream's entry, or that member of a JSON object."""

    field: bytes


@dataclass(frozen=True)
class ElementSource:
    """The column is a part of an element: a value or member, a list's index or an entry's id, a score."""

    part: Part


@dataclass(frozen=True)
class Fixed:
    """A part of the key that is one of some constants: placeholder number `place`, None for the whole key.

    `constants` are texts; `type` is the column's that reads the part.
    """

    place: int | None
    type: str
    constants: tuple[str, ...]


Source = KeySource | PlaceholderSource | ConstantSource | FieldSource | ElementSource


@dataclass(frozen=True)
class Column:
    """`type` is a canonical DuckDB type name as in readable_types(), e.g. 'BIGINT', 'DECIMAL(10,2)'."""

    name: str
    type: str
    source: Source


@dataclass(frozen=True)
class Table:
    """Rows seen through a key pattern. `columns` excludes the virtual `_key`; see `all_columns`."""

    name: str
    keys: KeyTemplate | Glob
    columns: tuple[Column, ...]
    declared: bool
    on_error: OnError = "error"
    null_values: tuple[bytes, ...] = ()
    version: int = 1
    type: KeyType = "hash"
    cast: Cast = "strict"

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns a query may name: `columns` and, last, `_key`. SELECT * yields `columns` only."""
        return (*self.columns, KEY_COLUMN)


KEY_COLUMN = Column("_key", "VARCHAR", KeySource())
