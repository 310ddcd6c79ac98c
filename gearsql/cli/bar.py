"""Progress bars on stderr: only on a terminal, and only for work that takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gearsql.cluster.control import ShardProgress
from gearsql.dbapi import Cursor

SECONDS = 1.0
MEBIBYTE = 1 << 20


class Update(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int, words: str = ...) -> None:
        """Say how many are done of how many, and perhaps more."""


@contextmanager
def query_progress(cursor: Cursor) -> Iterator[None]:
    """Show how far the cursor's statement is, and which shard is behind; nothing when nobody looks."""
    if not sys.stderr.isatty():
        yield
        return
    with _bar("reading keys", transient=True) as update:

        def each(parts: Sequence[ShardProgress]) -> None:
            update(sum(part.keys for part in parts), sum(part.total for part in parts), said(parts))

        # The one is for readers in this client, which know no shards.
        cursor.progress, cursor.shard_progress = update, each
        try:
            yield
        finally:
            cursor.progress = cursor.shard_progress = None


def said(parts: Sequence[ShardProgress]) -> str:
    """Return what a bar for all shards together says: which of several is behind, and what came."""
    shipped = sum(part.bytes for part in parts)
    words = ["reading keys"]
    if len(parts) > 1:
        last = min(parts, key=lambda part: part.keys / part.total if part.total else 1.0)
        words.append(f"({last.shard} is at {100 * last.keys // last.total if last.total else 100} %)")
    if shipped >= MEBIBYTE:
        words.append(f"{shipped / MEBIBYTE:,.0f} MiB came")
    return " ".join(words)


@contextmanager
def row_progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the number of rows done so far."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with _bar(what, transient=False) as update:
        yield lambda done: update(done, total)


@contextmanager
def _bar(what: str, transient: bool) -> Iterator[Update]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=transient)
    task = progress.add_task(what, total=None)
    begun = time.monotonic()

    def update(done: int, total: int, words: str = what) -> None:
        progress.update(task, completed=done, total=total, description=words)
        if time.monotonic() - begun > SECONDS:
            progress.start()

    try:
        yield update
    finally:
        progress.stop()
