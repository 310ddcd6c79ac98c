"""The run's outcome as markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.promises import verdicts
from benchmarks.queries import QUERIES, Query
from benchmarks.timing import Entry


def markdown(entries: Sequence[Entry], rows: int, rounds: int) -> str:
    """Return the report; the first entry is gearsql on one server, the second on shards."""
    lines = [
        "# Benchmark",
        "",
        f"{rows:,} hashes of four fields; medians of {rounds} runs after one that DuckDB checked, "
        "in brackets the time relative to gearsql on one server. All peers in the same run, taking turns.",
        "",
        *(f"- {query.key}: `{query.text('users')}`" for query in QUERIES),
        "",
        *_table(entries),
        "",
        *_section("Promises", verdicts(entries, entries[0], entries[1])),
        *_section("Left out", _left_out(entries)),
        *_section("Machine", [*machine(), versions(entries)]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(entries: Sequence[Entry]) -> Iterator[str]:
    titles = [
        "peer",
        "reads",
        *(f"{query.key} {query.title}" for query in QUERIES),
        "before the first query",
    ]
    yield f"| {' | '.join(titles)} |"
    yield "| --- | --- |" + " ---: |" * (len(QUERIES) + 1)
    for entry in entries:
        cells = [_cell(entry, entries[0], query) for query in QUERIES]
        yield f"| {entry.peer.name} | {entry.place.name} | {' | '.join(cells)} | {_preparation(entry)} |"


def _cell(entry: Entry, base: Entry, query: Query) -> str:
    seconds, unit = entry.seconds(query), base.seconds(query)
    if seconds is None:
        return "–"
    return f"{seconds:.3f} s" + (f" ({seconds / unit:.2f}×)" if unit else "")


def _preparation(entry: Entry) -> str:
    return "–" if entry.failure else f"{entry.prepare_seconds:.1f} s, {entry.prepare_mb:+.0f} MB"


def _left_out(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.failure:
            yield f"{entry.peer.name}: {entry.failure}"
        for key, why in entry.failures.items():
            yield f"{entry.peer.name}, {key}: {why}"


def machine() -> list[str]:
    """Return what the numbers depend on; nothing that names the machine."""
    return [
        f"{os.cpu_count()} cores, {_cpu()}, {_memory_gb():.0f} GB, {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in ("duckdb", "pyarrow", "redis", "hiredis")),
    ]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return "unknown processor"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def versions(entries: Sequence[Entry]) -> str:
    """Return what answered, each named once."""
    return ", ".join(dict.fromkeys(entry.version for entry in entries if entry.version))


def _section(title: str, lines: Iterator[str] | Sequence[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    return [f"## {title}", "", *items, ""] if items else []
