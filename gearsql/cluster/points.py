"""Point reads: rows of keys whose names are known, each asked of the shard that serves its slot.

A server answers for a key only if its slot is there, so nothing has to be accounted for: MOVED makes the
query run again once the shards are found anew, ASK is followed at once. Otherwise rows are read as by the
portable reader.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa

from gearsql.catalog.table import Glob
from gearsql.cluster.connection import Command, ShardConnection, Word
from gearsql.cluster.elements import elements_of
from gearsql.cluster.gather import gather
from gearsql.cluster.pages import COUNT, Page, Wanted, page_of
from gearsql.cluster.portable import require_within, to_batch, wanted_fields, withheld
from gearsql.cluster.shards import Shards
from gearsql.cluster.stats import StageStats
from gearsql.cluster.topology import Shard
from gearsql.errors import SlotsMovedError
from gearsql.native import glob_match
from gearsql.plan.keys import cut, keys_of
from gearsql.plan.stages import Scan


def read_points(
    shards: Shards, scan: Scan, stats: StageStats, timeout: float | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a point read as read_rows does those of a scan."""
    fields = wanted_fields(scan.columns)
    yield to_batch(scan, Page(), fields)[0]
    limits = shards.control.limits()
    keys: dict[Shard, list[bytes]] = {}
    for key in of_table(scan, keys_of(scan)):
        keys.setdefault(shards.shard_of(key), []).append(key)

    def read(shard: Shard, connection: ShardConnection) -> Iterator[pa.RecordBatch]:
        mine, began = stats.of(connection.name), time.monotonic_ns()
        for start in range(0, len(keys[shard]), COUNT):
            asked = keys[shard][start : start + COUNT]
            for page in _pages(shards, connection, scan, asked, fields):
                mine.keys_withheld += withheld(scan, page, shards.acl)
                batch, misfits = to_batch(scan, page, fields)
                mine.keys_skipped += page.skipped
                mine.misfits += misfits + page.misfits
                mine.rows_scanned += batch.num_rows
                mine.rows_shipped += batch.num_rows
                mine.bytes_shipped += batch.nbytes
                require_within(limits, mine)
                yield batch
        mine.keys_seen += len(keys[shard])
        mine.mode = "point"
        mine.stage_us = mine.scan_us = (time.monotonic_ns() - began) // 1000
        stats.ended.add(connection.name)

    if len(keys) == 1:
        (shard,) = keys
        yield from read(shard, shards.connection(shard))
    elif keys:
        yield from gather(shards, read, timeout, keys)


def of_table(scan: Scan, keys: list[bytes]) -> list[bytes]:
    """Leave out keys that a filter on `_key` names but the table does not have."""
    if all(fixed.place is not None for fixed in scan.fixed):
        return keys
    if isinstance(scan.keys, Glob):
        return [key for key in keys if glob_match(scan.keys.pattern, key)]
    return [key for key in keys if cut(scan.keys.literals, key) is not None]


def _pages(
    shards: Shards, connection: ShardConnection, scan: Scan, keys: list[bytes], fields: Sequence[Wanted]
) -> Iterator[Page]:
    try:
        yield from _read(connection, scan, keys, fields)
    except SlotsMovedError as moved:
        if moved.asked is None:
            raise
        yield from _follow(shards, connection, scan, keys, fields)


def _follow(
    shards: Shards, connection: ShardConnection, scan: Scan, keys: list[bytes], fields: Sequence[Wanted]
) -> Iterator[Page]:
    """Read keys one by one, and those of a slot that moves where they are."""
    for key in keys:
        try:
            yield from _read(connection, scan, [key], fields)
        except SlotsMovedError as moved:
            if moved.asked is None:
                raise
            host, port = moved.asked
            with closing(shards.open(Shard(host or connection.name.rpartition(":")[0], port, ()))) as other:
                yield from _read(_Asking(other), scan, [key], fields)


def _read(
    connection: ShardConnection | _Asking, scan: Scan, keys: list[bytes], fields: Sequence[Wanted]
) -> list[Page]:
    # A list: nothing is handed out before all was read, so that reading anew hands out nothing twice.
    if scan.type != "hash":
        return list(elements_of(connection, scan, keys, fields))
    words: list[Word] = [field for field in fields if isinstance(field, bytes)]
    replies = connection.ask_all([("HMGET" if words else "HLEN", key, *words) for key in keys])
    return [page_of(connection, keys, replies, len(words))]


class _Asking:
    """A connection to where a slot goes: each command there has to be asked for."""

    def __init__(self, connection: ShardConnection) -> None:
        self._connection = connection

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one write and return all replies."""
        return self._connection.ask_all([word for one in commands for word in (("ASKING",), one)])[1::2]
