"""A shard stage as the words of GEARSQL.EXECUTE, and the frames of its answer as one Arrow stream."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import duckdb

from gearsql.catalog.table import (
    Column,
    ConstantSource,
    ElementSource,
    FieldSource,
    Glob,
    KeySource,
    KeyTemplate,
    PlaceholderSource,
)
from gearsql.cluster.connection import Word
from gearsql.cluster.topology import SlotRange
from gearsql.plan.keys import narrowed
from gearsql.plan.stages import AclMode, Scan, ScanMode, ShardStage
from gearsql.sql.hooks import served
from gearsql.version import VERSION

BUFFER_BYTES = 1 << 16


def execute_words(
    stage_id: str,
    stage: ShardStage,
    session: str = "",
    slots: Sequence[SlotRange] | None = None,
    mode: ScanMode = "sliced",
    acl: AclMode = "error",
    limits: Mapping[str, int] | None = None,
    *,
    replica: bool = False,
    given: Sequence[Word] = (),
) -> list[Word]:
    """Return the command that starts a stage; everything in it is data, nothing is quoted.

    `slots` are those that the shard counts; None: it is no cluster, all keys count.
    `session` names the one that its hooks run in; without a name it is the user's with these hooks.
    `given` are the words of the stage's own relations (given.py), `limits` the server's for limits
    (control.py). The stage runs once, however often it is sent.
    """
    words: list[Word] = ["GEARSQL.EXECUTE", stage_id, "VERSION", VERSION, "DUCKDB", duckdb.__version__]
    words += ["MODE", mode, "ACL", acl, "NODE", "replica" if replica else "primary", "ONCE"]
    if limits:
        words += ["LIMITS", len(limits), *(word for limit in limits.items() for word in limit)]
    if slots is not None:
        words += ["SLOTS", len(slots), *(slot for span in slots for slot in span)]
    for scan in stage.scans:
        words += _scan_words(narrowed(scan))
    words += given
    if stage.hooks:
        words += ["HOOKS", session, len(stage.hooks)]
    for known in stage.hooks:
        words += [known.function.name, known.function.hash]
    return [*words, "SQL", served(stage.sql, stage.hooks)]


def _scan_words(scan: Scan) -> Iterator[Word]:
    yield from ("SCAN", scan.on_error)
    if scan.type != "hash":
        yield from ("TYPE", scan.type)
    if scan.cast != "strict":
        yield from ("CAST", scan.cast)
    match scan.keys:
        case Glob(pattern):
            yield from ("GLOB", pattern)
        case KeyTemplate(literals):
            yield from _counted("TEMPLATE", literals)
    yield from _counted("NULLS", scan.null_values)
    yield from ("COLUMNS", len(scan.columns))
    for column in scan.columns:
        yield from (column.name, column.type, _source_word(column))


def _counted(name: str, values: Sequence[bytes]) -> list[Word]:
    return [name, len(values), *values]


def _source_word(column: Column) -> bytes:
    match column.source:
        case KeySource():
            return b"k"
        case PlaceholderSource(index):
            return b"p%d" % index
        case ConstantSource(text):
            return b"c" + text
        case FieldSource(field):
            return b"f" + field
        case ElementSource(part):
            return {"value": b"ev", "index": b"ei", "score": b"es"}[part]


def stream_of(next_frame: Callable[[], bytes | None]) -> BinaryIO:
    """Return the frames as one readable file; each is fetched when the one before is read."""
    # Buffered, since Arrow takes a short read for the end.
    return io.BufferedReader(_Frames(next_frame), BUFFER_BYTES)


class _Frames(io.RawIOBase):
    def __init__(self, next_frame: Callable[[], bytes | None]) -> None:
        self._next_frame = next_frame
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            frame = self._next_frame()
            if frame is None:
                return 0
            self._rest = memoryview(frame)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
