"""The short way of a point read that came before: HMGET → row, in one round trip, without DuckDB.

It is for plain columns of values that fit. What the plan was made of, the catalog's text, is read along with
the rows and compared; whatever is not as expected makes the whole way answer instead, from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from gearsql.answer import Answer
from gearsql.catalog.store import TAG
from gearsql.catalog.table import Column, FieldSource, Glob, PlaceholderSource
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.pages import Page, packed
from gearsql.cluster.points import of_table
from gearsql.cluster.portable import to_batch, wanted_fields
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import Shard
from gearsql.errors import Error
from gearsql.native import MisfitTextError, value_reader
from gearsql.plan.kept import Found
from gearsql.plan.keys import cut, keys_of
from gearsql.plan.stages import GearsPlan, Scan
from gearsql.sql.parameters import Parameters
from gearsql.sql.slots import slots_of

MOST_KEYS = 100

Row = tuple[Any, ...]
Evidence = Sequence[tuple[bytes, bytes]]
"""Keys of the catalog and their texts, b'' for none."""
_Get = Callable[[bytes, Sequence[bytes | None]], bytes | None]
_Read = Callable[[bytes], Any]


def quick_read(found: Found, evidence: Evidence | None) -> QuickRead | None:
    """Return the short way of a statement whose plan was found, None if it has none."""
    plan = found.compiled.plan
    if evidence is None or not isinstance(plan, GearsPlan) or plan.direct is None or found.slots is None:
        return None
    (scan,) = plan.shard.scans
    if scan.type != "hash" or scan.cast != "strict" or (found.slots.shape and found.template is None):
        return None
    readers = [value_reader(column.type) for column in scan.columns]
    if not all(readers):
        return None
    return QuickRead(found, plan, scan, evidence, [reader for reader in readers if reader])


class QuickRead:
    """One statement's. For the thread of its connection."""

    def __init__(
        self, found: Found, plan: GearsPlan, scan: Scan, evidence: Evidence, readers: Sequence[_Read]
    ) -> None:
        """Prepare all that is the same each time."""
        assert found.slots is not None and plan.direct is not None
        self._found, self._plan, self._scan, self._direct = found, plan, scan, plan.direct
        self._fields = [field for field in wanted_fields(scan.columns) if isinstance(field, bytes)]
        # What only the filter reads is in the key as it is in the filter: it fits.
        self._cells = [(self._getter(scan.columns[index]), readers[index]) for index in self._direct]
        self._nulls = frozenset(scan.null_values)
        self._evidence = [text for _, text in evidence]
        self._asking = packed([key for key, _ in evidence], b"GET")

    def answer(self, shards: Shards, parameters: Parameters) -> Answer | None:
        """Return the answer for these values; None if the whole way has to tell."""
        keys = self._keys(parameters)
        if keys is None or len(keys) > MOST_KEYS:
            return None
        try:
            replies = self._ask(shards, keys)
        except Error:
            # Replies may be left on a connection.
            shards.close()
            return None
        if replies is None:
            return None
        try:
            rows = [self._row(key, values) for key, values in replies]
        except (MisfitTextError, UnicodeDecodeError):
            return None
        page = Page([key for key, _ in replies], [values for _, values in replies])
        return Answer(self._plan.columns, rows=rows, make=lambda: self._table(page))

    def _keys(self, parameters: Parameters) -> list[bytes] | None:
        slots = slots_of(parameters, self._found.places, None)
        expected = self._found.slots
        assert expected is not None
        if slots.shape != expected.shape:
            return None
        template = self._found.template
        fixed = self._scan.fixed if template is None else template.fixed(slots.texts)
        return of_table(self._scan, keys_of(self._scan, fixed))

    def _ask(self, shards: Shards, keys: list[bytes]) -> list[tuple[bytes, Sequence[bytes | None]]] | None:
        """Ask all shards at once, the catalog's among them; None if anything is not as expected."""
        catalog = shards.shard_of(TAG)
        asked: dict[Shard, list[bytes]] = {catalog: []}
        for key in keys:
            asked.setdefault(shards.shard_of(key), []).append(key)
        connections = {shard: shards.connection(shard) for shard in asked}
        name = b"HMGET" if self._fields else b"HLEN"
        for shard, connection in connections.items():
            head = self._asking if shard is catalog else b""
            connection.send_packed([head + packed(asked[shard], name, self._fields)])
        found: list[tuple[bytes, Any]] = []
        told: list[Any] = []
        for shard, connection in connections.items():
            if shard is catalog:
                told = connection.read_all(len(self._evidence))
            found += zip(asked[shard], connection.read_all(len(asked[shard])), strict=True)
        if [text or b"" for text in told] != self._evidence or any(isinstance(r, Error) for _, r in found):
            return None
        return [
            (key, reply if self._fields else ())
            for key, reply in found
            if (reply if not self._fields else self._is_there(connections, shards, key, reply))
        ]

    @staticmethod
    def _is_there(
        connections: dict[Shard, ShardConnection], shards: Shards, key: bytes, reply: Sequence[bytes | None]
    ) -> bool:
        """Whether a key is a row: without any of the fields it may be."""
        if any(value is not None for value in reply):
            return True
        return bool(connections[shards.shard_of(key)].ask("EXISTS", key))

    def _row(self, key: bytes, values: Sequence[bytes | None]) -> Row:
        cells = []
        for get, read in self._cells:
            text = get(key, values)
            cells.append(None if text is None or text in self._nulls else read(text))
        return tuple(cells)

    def _getter(self, column: Column) -> _Get:
        match column.source:
            case FieldSource(field):
                place = self._fields.index(field)
                return lambda key, values: values[place]
            case PlaceholderSource(index):
                assert not isinstance(self._scan.keys, Glob)
                literals = self._scan.keys.literals
                return lambda key, values: (cut(literals, key) or ())[index]
            case _:
                return lambda key, values: key

    def _table(self, page: Page) -> pa.Table:
        batch, _ = to_batch(self._scan, page, self._fields)
        columns = [batch.column(index) for index in self._direct]
        return pa.Table.from_arrays(columns, names=[column.name for column in self._plan.columns])
