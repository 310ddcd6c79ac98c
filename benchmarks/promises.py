"""What GearsSQL promises about its speed, held against the times of this run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.queries import COUNT, DISTINCT, EXPRESSION, FILTERED, Query
from benchmarks.timing import Entry


@dataclass(frozen=True)
class Promise:
    """`factor`: how many times faster gearsql on one server is than the peer whose name begins so."""

    peer: str
    factor: float
    queries: tuple[Query, ...]


PROMISES = (
    Promise("Lua", 1.5, (COUNT, DISTINCT, FILTERED)),
    Promise("redis-py", 6.0, (COUNT, DISTINCT, FILTERED)),
    Promise("adbc-driver-redis (default)", 5.0, (DISTINCT, EXPRESSION)),
)


def verdicts(entries: Sequence[Entry], one: Entry, shards: Entry) -> Iterator[str]:
    """Yield a line for each promise that this run could test."""
    for promise in PROMISES:
        for other in entries:
            if other.peer.name.startswith(promise.peer):
                yield from _faster(promise, one, other)
    for query in (COUNT, DISTINCT, FILTERED, EXPRESSION):
        single, sharded = one.seconds(query), shards.seconds(query)
        if single and sharded:
            word = _word(single >= sharded)
            yield f"{word}: {query.key} on three shards {single / sharded:.2f}× the speed of one server (≥ 1)"


def _faster(promise: Promise, one: Entry, other: Entry) -> Iterator[str]:
    for query in promise.queries:
        ours, theirs = one.seconds(query), other.seconds(query)
        if ours and theirs:
            word, ratio = _word(theirs / ours >= promise.factor), theirs / ours
            yield f"{word}: {query.key} {ratio:.1f}× the speed of {promise.peer} (≥ {promise.factor:g})"


def _word(kept: bool) -> str:
    return "kept" if kept else "**missed**"
