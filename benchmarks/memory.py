"""`python -m benchmarks.memory`: how far a server's resident memory grows in each query, and the bound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import redis

import gearsql
from benchmarks.data import make_rows
from benchmarks.load import load
from benchmarks.queries import QUERIES, Query
from benchmarks.rss import status_kb
from benchmarks.servers import Place, valkey

BOUND_MB = 100
SAMPLE_SECONDS = 0.01


@dataclass
class Growth:
    """Resident memory in kB; `peak` is the larger of our samples and the kernel's own high-water mark."""

    before: int
    peak: int
    after: int = 0

    def megabytes(self) -> float:
        """Return how far the peak rose over the start."""
        return (self.peak - self.before) / 1024


@contextmanager
def watched(pid: int) -> Iterator[Growth]:
    """Watch a process while the block runs."""
    # 5 sets the high-water mark back to the present size (proc(5), clear_refs).
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    growth = Growth(status_kb(pid, "VmRSS"), status_kb(pid, "VmRSS"))
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(pid, growth, ended))
    sampler.start()
    try:
        yield growth
    finally:
        ended.set()
        sampler.join()
        growth.after = status_kb(pid, "VmRSS")
        growth.peak = max(growth.peak, status_kb(pid, "VmHWM"))


def _sample(pid: int, growth: Growth, ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        growth.peak = max(growth.peak, status_kb(pid, "VmRSS"))


def measure(place: Place, count: int, say: Callable[[str], None]) -> bool:
    """Print the growth of every query; return whether all kept the bound."""
    _load_small(place)
    kept = True
    with gearsql.connect(place.url, reader="module") as connection:
        # The first query imports and starts what later ones share.
        _run(connection, 'SELECT city, count(*) FROM "small:*" GROUP BY city')
        load(make_rows(count), place.ports)
        say(f"{count:,} hashes of four fields, 100 groups; resident memory of the server in MB, sampled")
        say(f"every {SAMPLE_SECONDS * 1000:.0f} ms; the bound is {BOUND_MB} MB more at the peak")
        for query in QUERIES:
            with watched(place.pids[0]) as growth:
                _run(connection, query.text('"user:*"'))
            say(_line(query, growth))
            kept = kept and growth.megabytes() < BOUND_MB
    return kept


def _load_small(place: Place) -> None:
    with redis.Redis.from_url(place.url) as client:
        for n in range(100):
            client.hset(f"small:{n}", mapping={"city": f"city-{n % 10}", "age": n, "score": n / 4})


def _run(connection: Any, sql: str) -> None:
    connection.cursor().execute(sql).fetchall()


def _line(query: Query, growth: Growth) -> str:
    verdict = "kept" if growth.megabytes() < BOUND_MB else "MISSED"
    numbers = (
        f"before {growth.before / 1024:.0f}, peak {growth.peak / 1024:.0f}, after {growth.after / 1024:.0f}"
    )
    return f"{query.key} {query.title}: {numbers}: {growth.megabytes():+.1f} ({verdict})"


@click.command()
@click.option("--rows", "count", default=1_000_000, show_default=True, help="Hashes to load.")
def main(count: int) -> None:
    """Measure the memory that queries take on one server."""
    with valkey(1) as place:
        kept = measure(place, count, lambda line: print(line, flush=True))
    raise SystemExit(not kept)


if __name__ == "__main__":
    main()
