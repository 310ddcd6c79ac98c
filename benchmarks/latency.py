"""`python -m benchmarks.latency`: what other clients feel while 1,000,000 hashes are scanned again and again.

Paced: one connection sends a GET every 0.5 ms. Busy: 8 connections send GET and SET as fast as they are
answered. Both with sliced scans, which run one after another, and with snapshots, each of which is followed
by the rest that the module demands: four times its own time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click
import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

import gearsql
from benchmarks.data import make_rows
from benchmarks.load import load
from gearsql.embedded import Cluster
from gearsql.plan.stages import ScanMode

HERE = Path(__file__).parent
SQL = 'SELECT city, sum(score) FROM "user:*" WHERE age > 40 GROUP BY city'
PACED_KEYS = 1_000
MODES: tuple[ScanMode, ...] = ("sliced", "snapshot")
# A little more than the module's own rule, which would have the next query read in slices.
REST, REST_SECONDS = 4.3, 0.2
FLAGS = ("-std=c17", "-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Load:
    """What clients do; `p99` and `highest` are promises in ms, None: the larger of 0.3 and 2 × idle."""

    name: str
    connections: int
    interval_us: int
    p99: float | None
    highest: float


LOADS = (Load("paced", 1, 500, None, 5.0), Load("busy", 8, 0, 1.0, 6.0))


@dataclass
class Felt:
    """Latencies in µs; `over_time` are (ms, the largest of 10 ms)."""

    count: int
    p50: int
    p99: int
    p999: int
    highest: int
    over_time: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Outcome:
    """One server under one load: idle, and beside queries; `slower` is the query so by it alone.

    `pause_us` is the last fork's, `snapshots` how many of the queries had one.
    """

    server: str
    mode: ScanMode
    load: Load
    idle: Felt
    beside: Felt
    alone_s: float
    query_s: float
    queries: int = 0
    snapshots: int = 0
    pause_us: int = 0

    @property
    def slower(self) -> float:
        return self.query_s / self.alone_s

    def kept(self) -> bool:
        """Whether the promises are kept; they are of the default mode."""
        if self.mode == "snapshot":
            return self.snapshots == self.queries
        p99 = max(0.3, 2 * self.idle.p99 / 1000) if self.load.p99 is None else self.load.p99
        fast = self.load.name == "busy" or self.slower <= 1.5
        return fast and self.beside.p99 / 1000 <= p99 and self.beside.highest / 1000 <= self.load.highest


class Generator:
    """latency.c, compiled."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "latency"
        source = str(HERE / "latency.c")
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, source, "-o", str(self._program)], check=True)

    def start(self, port: int, load: Load, seconds: float) -> subprocess.Popen[str]:
        """Start a run; felt() takes its output."""
        words = (port, seconds, load.connections, load.interval_us, PACED_KEYS)
        return subprocess.Popen([str(self._program), *map(str, words)], stdout=subprocess.PIPE, text=True)


def felt(process: subprocess.Popen[str]) -> Felt:
    """Wait for the end of a run."""
    first, *rest = process.communicate()[0].splitlines()
    over_time = [tuple(map(int, line.split())) for line in rest]
    return Felt(*map(int, first.split()), [(ms, highest) for ms, highest in over_time])


def measure(server: str, cluster: Cluster, generator: Generator, seconds: float) -> Iterator[Outcome]:
    """Run both loads on one server, with queries of both modes."""
    port = cluster.ports[0]
    for mode in MODES:
        with (
            gearsql.connect(cluster.url, reader="module", scan=mode) as connection,
            cluster.client() as client,
        ):
            _timed(connection, mode)
            for load_ in LOADS:
                alone = median(_timed(connection, mode)[0] for _ in range(5))
                idle = felt(generator.start(port, load_, seconds / 2))
                process, runs = generator.start(port, load_, seconds), []
                while process.poll() is None:
                    runs.append(_timed(connection, mode))
                times = [took for took, _ in runs]
                outcome = Outcome(
                    server, mode, load_, idle, felt(process), alone, median(times[:-1] or times)
                )
                outcome.queries, outcome.snapshots = len(runs), sum(at_once for _, at_once in runs)
                outcome.pause_us = client.info("stats")["latest_fork_usec"] if mode == "snapshot" else 0
                yield outcome


def _timed(connection: Any, mode: ScanMode) -> tuple[float, bool]:
    """Return the seconds of a query, and whether it had a snapshot; returns after its rest."""
    start = time.perf_counter()
    cursor = connection.execute(SQL)
    cursor.fetchall()
    took = time.perf_counter() - start
    if mode == "snapshot":
        time.sleep(REST * took + REST_SECONDS)
    return took, mode == "snapshot" and not cursor.messages


@contextmanager
def _servers(rows: int) -> Iterator[Iterator[tuple[str, Cluster]]]:
    binaries: list[tuple[str, str | None]] = [("Valkey 9.1", None)]
    if redis := shutil.which("redis-server"):
        binaries.append(("Redis 7.0", redis))

    def each() -> Iterator[tuple[str, Cluster]]:
        for name, binary in binaries:
            with Cluster(1, server=binary) as cluster:
                load(make_rows(rows), cluster.ports)
                with cluster.client() as client, client.pipeline() as pipeline:
                    for n in range(PACED_KEYS):
                        pipeline.set(f"paced:{n}", "value")
                    pipeline.execute()
                yield name, cluster

    yield each()


def markdown(outcomes: list[Outcome], rows: int) -> str:
    """Return the report."""
    lines = [
        "# What other clients feel",
        "",
        f"{rows:,} hashes of four fields, scanned again and again by `{SQL}`. Latencies in ms.",
        "",
        "| server | scan | clients | idle p50 / p99 / max | beside: p50 / p99 / p99.9 / max | query | |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for o in outcomes:
        idle = " / ".join(f"{us / 1000:.2f}" for us in (o.idle.p50, o.idle.p99, o.idle.highest))
        beside = (o.beside.p50, o.beside.p99, o.beside.p999, o.beside.highest)
        shown = " / ".join(f"{us / 1000:.2f}" for us in beside)
        clients = (
            "GET every 0.5 ms" if o.load.interval_us else f"{o.load.connections} × GET, SET, closed loop"
        )
        query = f"{o.query_s:.2f} s ({o.slower:.2f}× alone)"
        verdict = "kept" if o.kept() else "MISSED"
        if o.mode == "snapshot":
            had = "" if o.kept() else f", {o.snapshots} of {o.queries} had a snapshot"
            verdict = f"fork {o.pause_us / 1000:.1f} ms{had}"
        lines.append(f"| {o.server} | {o.mode} | {clients} | {idle} | {shown} | {query} | {verdict} |")
    promises = (
        "After a snapshot there is none for four times as long: those queries rest between, and what clients "
        "feel is of both. The fork stops the server once for each.\n\n"
        "Promises, of sliced scans: paced p99 at most the larger of 0.3 ms and twice the idle one, max 5 ms, "
        "query at most 1.5×; closed loop p99 1 ms, max 6 ms."
    )
    return "\n".join([*lines, "", promises, "", "![latency over time](latency.png)"]) + "\n"


def draw(outcomes: list[Outcome], file: Path) -> None:
    """Write the latency over time, a panel for each server and load."""
    figure, panels = pyplot.subplots(
        len(outcomes), 1, figsize=(11, 2.2 * len(outcomes)), layout="constrained"
    )
    for panel, outcome in zip(panels, outcomes, strict=True):
        for run, label, color in (
            (outcome.beside, "beside queries", "#2a6f97"),
            (outcome.idle, "idle", "#999"),
        ):
            times = [ms / 1000 for ms, _ in run.over_time]
            panel.plot(times, [us / 1000 for _, us in run.over_time], label=label, color=color, linewidth=0.7)
        panel.set_title(
            f"{outcome.server}, {outcome.mode}, {outcome.load.name}: largest of each 10 ms",
            loc="left",
            fontsize=9,
        )
        panel.set_ylabel("ms")
        panel.set_yscale("log")
        panel.legend(fontsize=8, loc="upper right")
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Hashes to load.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each run.")
@click.option("--output", default=HERE, type=click.Path(path_type=Path), help="Folder of the results.")
def main(rows: int, seconds: float, output: Path) -> None:
    """Measure what a query does to the latency of other clients."""
    with tempfile.TemporaryDirectory(prefix="gearsql-bench-") as folder, _servers(rows) as servers:
        generator = Generator(Path(folder))
        outcomes = [o for name, cluster in servers for o in measure(name, cluster, generator, seconds)]
    report = markdown(outcomes, rows)
    print(report)
    (output / "latency.md").write_text(report)
    draw(outcomes, output / "latency.png")
    raise SystemExit(not all(outcome.kept() for outcome in outcomes))


if __name__ == "__main__":
    main()
