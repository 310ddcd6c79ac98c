"""Progress bars on stderr: only on a terminal, and only for work that takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SECONDS = 1.0


@contextmanager
def query_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Yield what to call with (done, total); None when nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bar("reading keys", transient=True) as update:
        yield update


@contextmanager
def row_progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the number of rows done so far."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with _bar(what, transient=False) as update:
        yield lambda done: update(done, total)


@contextmanager
def _bar(what: str, transient: bool) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=transient)
    task = progress.add_task(what, total=None)
    begun = time.monotonic()

    def update(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)
        if time.monotonic() - begun > SECONDS:
            progress.start()

    try:
        yield update
    finally:
        progress.stop()
