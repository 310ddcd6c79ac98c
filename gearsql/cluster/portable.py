"""The portable reader: rows of hashes read by this client, where the servers have no module.

The same patterns and casts as in the module, by its own C code (gearsql.native); only the way differs: every
key and every wanted field travels here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.table import (
    Column,
    ConstantSource,
    ElementSource,
    FieldSource,
    KeySource,
    KeyTemplate,
    PlaceholderSource,
)
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.elements import element_pages
from gearsql.cluster.gather import gather
from gearsql.cluster.lenient import cast_values
from gearsql.cluster.pages import Page, Wanted, pages
from gearsql.cluster.replies import KEYS_HINT, misfit
from gearsql.cluster.shards import Shards
from gearsql.cluster.slots import ASK_SLOTS, SlotAccount
from gearsql.cluster.stats import ShardStats, StageStats
from gearsql.cluster.topology import Shard
from gearsql.errors import ByteLimitError, RowLimitError
from gearsql.native import match_template
from gearsql.plan.keys import narrowed
from gearsql.plan.stages import AclMode, Scan

NO_COLUMN = "gears_none"
"""The only column of a scan that reads none: Arrow counts no rows without columns."""


@dataclass(frozen=True)
class _Keyed:
    """A page's columns as they came, bytes all of them."""

    keys: pa.Array
    captures: tuple[pa.Array, ...]
    fields: dict[Wanted, pa.Array]

    def source(self, column: Column) -> pa.Array:
        match column.source:
            case KeySource():
                return self.keys
            case PlaceholderSource(index):
                return self.captures[index]
            case ConstantSource(text):
                return pa.array([text] * len(self.keys), pa.binary())
            case FieldSource(field):
                return self.fields[field]
            case ElementSource():
                return self.fields[column.source]


def read_rows(
    shards: Shards, scan: Scan, stats: StageStats, timeout: float | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a scan, from all shards at once; every batch has `scan.columns` (or NO_COLUMN).

    The first batch is empty: it tells the types even if there are no rows.
    """
    scan = narrowed(scan)
    account, limits = SlotAccount() if shards.clustered else None, shards.control.limits()
    fields = wanted_fields(scan.columns)
    yield to_batch(scan, Page(), fields)[0]

    def read(_: Shard, connection: ShardConnection) -> Iterator[pa.RecordBatch]:
        mine, began = stats.of(connection.name), time.monotonic_ns()
        if account is not None:
            account.opens(connection.name, connection.ask(*ASK_SLOTS))
        for page in _pages(connection, scan, fields):
            mine.keys_withheld += withheld(scan, page, shards.acl)
            batch, misfits = to_batch(scan, page, fields)
            mine.keys_seen += len(page.keys) + page.skipped
            mine.keys_skipped += page.skipped
            mine.misfits += misfits + page.misfits
            mine.rows_scanned += batch.num_rows
            mine.rows_shipped += batch.num_rows
            mine.bytes_shipped += batch.nbytes
            require_within(limits, mine)
            yield batch
        if account is not None:
            account.closes(connection.name, connection.ask(*ASK_SLOTS))
        mine.stage_us = mine.scan_us = (time.monotonic_ns() - began) // 1000
        stats.ended.add(connection.name)

    yield from gather(shards, read, timeout)
    if account is not None:
        account.check()


def require_within(limits: Mapping[str, int], read: ShardStats) -> None:
    """Raise when a shard's rows are more than the query may read or ship: here all that are read travel."""
    for word, count, error, what in (
        ("ROWS", read.rows_scanned, RowLimitError, "rows were read"),
        ("SHIPPED_ROWS", read.rows_shipped, RowLimitError, "rows were shipped"),
        ("SHIPPED_BYTES", read.bytes_shipped, ByteLimitError, "bytes were shipped"),
    ):
        if word in limits and count > limits[word]:
            raise error(f"{read.shard}: more than {limits[word]} {what}", shard=read.shard)


def withheld(scan: Scan, page: Page, acl: AclMode) -> int:
    """Return how many of the table's keys the user may not read; with acl='error' one is an error."""
    keys = pa.array(page.withheld, pa.binary())
    if isinstance(scan.keys, KeyTemplate):
        keys = keys.filter(match_template(scan.keys, keys).matched)
    if len(keys) and acl == "error":
        denied = page.withheld[keys[0].as_py()]
        denied.hint = KEYS_HINT
        raise denied
    return len(keys)


def _pages(connection: ShardConnection, scan: Scan, fields: Sequence[Wanted]) -> Iterator[Page]:
    if scan.type != "hash":
        return element_pages(connection, scan, fields)
    named = [field for field in fields if isinstance(field, bytes)]
    return pages(connection, scan_pattern(scan.keys), named)


def wanted_fields(columns: Sequence[Column]) -> list[Wanted]:
    """Return what the columns read besides the key, each once."""
    wanted: list[Wanted] = []
    for column in columns:
        match column.source:
            case FieldSource(field):
                wanted.append(field)
            case ElementSource():
                wanted.append(column.source)
    return list(dict.fromkeys(wanted))


def to_batch(scan: Scan, page: Page, fields: Sequence[Wanted]) -> tuple[pa.RecordBatch, int]:
    """Match, cast and filter a page as the table says; returns the rows and the number of misfits."""
    keyed = _matching(scan, _keyed(page, fields))
    misfits, skip = 0, None
    arrays = []
    for column in scan.columns:
        values = _with_nulls(keyed.source(column), scan.null_values)
        cast = cast_values(column.type, values, scan.on_error, scan.cast)
        if cast.misfit is not None:
            row = cast.misfit
            raise misfit(keyed.keys[row].as_py(), column.name, values[row].as_py(), column.type)
        misfits += cast.misfits
        skip = cast.misfit_rows if skip is None else pc.or_(skip, cast.misfit_rows)
        arrays.append(cast.array)
    if not arrays:
        arrays = [pa.nulls(len(keyed.keys), pa.bool_())]
    names = [column.name for column in scan.columns] or [NO_COLUMN]
    batch = pa.RecordBatch.from_arrays(arrays, names)
    if skip is None or not misfits:
        return batch, misfits
    return batch.filter(pc.invert(skip)), pc.sum(skip).as_py()


def _keyed(page: Page, fields: Sequence[Wanted]) -> _Keyed:
    columns = zip(*page.values, strict=True) if page.values else ([] for _ in fields)
    arrays = [pa.array(list(values), pa.binary()) for values in columns]
    return _Keyed(pa.array(page.keys, pa.binary()), (), dict(zip(fields, arrays, strict=True)))


def _matching(scan: Scan, keyed: _Keyed) -> _Keyed:
    """Leave out keys that only SCAN's wider pattern matches; add the placeholders' texts."""
    if not isinstance(scan.keys, KeyTemplate):
        return keyed
    match = match_template(scan.keys, keyed.keys)
    keep = match.matched
    fields = {field: values.filter(keep) for field, values in keyed.fields.items()}
    return _Keyed(keyed.keys.filter(keep), tuple(text.filter(keep) for text in match.captures), fields)


def _with_nulls(values: pa.Array, null_values: Sequence[bytes]) -> pa.Array:
    if not null_values:
        return values
    absent = pc.is_in(values, pa.array(null_values, pa.binary()))
    return pc.if_else(absent, pa.scalar(None, pa.binary()), values)
