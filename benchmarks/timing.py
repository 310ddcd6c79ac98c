"""Prepares the peers, has each answer judged, then times them in turns, so that noise meets all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.data import Rows
from benchmarks.peers.peer import Peer
from benchmarks.queries import QUERIES, Answer, Query, check
from benchmarks.rss import resident_mb
from benchmarks.servers import Place


@dataclass
class Entry:
    """A peer at its place, and what was seen of it."""

    peer: Peer
    place: Place
    version: str = ""
    prepare_seconds: float = 0.0
    prepare_mb: float = 0.0
    # By the query's key.
    times: dict[str, list[float]] = field(default_factory=dict)
    # Why it was left out, or why a query was.
    failure: str = ""
    failures: dict[str, str] = field(default_factory=dict)

    def seconds(self, query: Query) -> float | None:
        """Return the median time of a query; None: it was not timed."""
        return median(self.times[query.key]) if query.key in self.times else None


@contextmanager
def prepared(entries: list[Entry], rows: Rows, say: Callable[[str], None]) -> Iterator[None]:
    """Prepare all peers one by one; one that fails is marked and left out. Close them at the end."""
    try:
        for entry in entries:
            say(f"preparing {entry.peer.name}")
            if not entry.failure:
                _prepare(entry, rows)
            if entry.failure:
                say(f"  skipped: {entry.failure}")
        yield
    finally:
        for entry in entries:
            entry.peer.close()


def _prepare(entry: Entry, rows: Rows) -> None:
    memory, start = resident_mb(entry.place.pids), time.perf_counter()
    # Whatever goes wrong in a peer is a line of the report; the others still run.
    try:
        entry.peer.prepare(entry.place, rows)
        entry.version = entry.peer.version()
    except Exception as error:
        entry.failure = _one_line(error)
    entry.prepare_seconds = time.perf_counter() - start
    entry.prepare_mb = resident_mb(entry.place.pids) - memory


def measure(
    entries: list[Entry], expected: dict[str, Answer], rounds: int, say: Callable[[str], None]
) -> None:
    """Time every query `rounds` times at every peer whose answer to it is right."""
    for query in QUERIES:
        say(f"{query.key} {query.title}")
        right = [
            entry for entry in entries if not entry.failure and _answers(entry, query, expected[query.key])
        ]
        for _ in range(rounds):
            for entry in right:
                start = time.perf_counter()
                entry.peer.run(query)
                entry.times.setdefault(query.key, []).append(time.perf_counter() - start)
        for entry in entries:
            seconds = entry.seconds(query)
            outcome = entry.failures.get(query.key) or (f"{seconds:.3f} s" if seconds else "–")
            say(f"  {entry.peer.name}: {outcome}")


def _answers(entry: Entry, query: Query, expected: Answer) -> bool:
    if not entry.peer.can(query):
        entry.failures[query.key] = "cannot express it"
        return False
    try:
        check(query, entry.peer.run(query), expected)
    except Exception as error:
        entry.failures[query.key] = _one_line(error)
    return query.key not in entry.failures


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
