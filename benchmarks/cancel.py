"""`python -m benchmarks.cancel`: how long a cancelled query is still at work on the shards.

Three shards; each query runs on all of them when it is cancelled from another thread (cursor.cancel()). The
time is until GEARSQL.STATUS of every shard lists no stage, and beside it until execute() has raised.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

import gearsql
from gearsql.catalog.table import Column, FieldSource, Glob
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.control import Control
from gearsql.cluster.dispatch import dispatch
from gearsql.cluster.patience import Patience
from gearsql.cluster.shards import Shards
from gearsql.cluster.stats import StageStats
from gearsql.cluster.status import parse_status
from gearsql.embedded import Cluster
from gearsql.plan.stages import Scan, ShardStage

HERE = Path(__file__).parent
ROWS = 600
PROMISED_MS = 100
SETTLE_SECONDS = 0.25
ENDLESS = "SELECT sum(range % 7) + (SELECT sum(n) FROM scan_0) FROM range(10000000000000)"
CALLING = "SELECT sum(endless(n)) FROM t"
BESIDE = "SELECT sum(short(n)) FROM t"


@dataclass(frozen=True)
class Case:
    """`clause` is of the function, None: SQL alone. `shared`: another query runs in the same session."""

    name: str
    clause: str | None
    session: str = ""
    shared: bool = False


CASES = (
    Case("SQL that does not end", None),
    Case("a function in a session", "ISOLATION session"),
    Case("a function in a session for which another query waits", "ISOLATION session", "shared", True),
    Case("a function in a process", "ISOLATION process"),
)


@dataclass
class Running:
    """A query on a thread; `raised` is when it ended."""

    control: Control
    raised: float | None = None


@dataclass
class Outcome:
    """In ms, one for each cancel."""

    case: Case
    gone: list[float]
    raised: list[float]

    def line(self) -> str:
        figures = (median(self.gone), max(self.gone), median(self.raised), max(self.raised))
        return f"| {self.case.name} | {len(self.gone)} | " + " | ".join(f"{ms:.0f}" for ms in figures) + " |"


def at_work(connections: list[ShardConnection], query: str) -> int:
    """Return on how many shards a stage of the query is listed."""
    lists = [parse_status(connection.ask("GEARSQL.STATUS")).stages for connection in connections]
    return sum(any(stage.query_id == query for stage in stages) for stages in lists)


@contextmanager
def on_a_thread(url: str, session: str, sql: str | None) -> Iterator[Running]:
    """Run a query, or stages that do not end, until it is cancelled."""
    with gearsql.connect(url, session=session) as connection:
        running = Running(connection.engine.control())

        def run() -> None:
            with suppress(gearsql.Error):
                if sql is None:
                    endless(url, running.control)
                else:
                    connection.engine.run(sql, control=running.control)
            running.raised = time.monotonic()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield running
        finally:
            running.control.cancel()
            thread.join()


def endless(url: str, control: Control) -> None:
    """Have all shards run what no query of a user would."""
    shards = Shards(url)
    with control.running(), shards.serving(control):
        scan = Scan("t", Glob(b"row:*"), (Column("n", "BIGINT", FieldSource(b"n")),))
        list(dispatch(shards, ShardStage((scan,), ENDLESS), StageStats(), Patience(control)))


def prepare(url: str, clause: str | None) -> None:
    """Write the rows and define the functions."""
    with gearsql.connect(url) as connection:
        connection.execute("CREATE TABLE t (id BIGINT, n BIGINT) WITH (key = 'row:{id}')")
        connection.cursor().executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(ROWS)])
        for name, body in (("endless", "while True: pass\nreturn n"), ("short", "return n")):
            head = f"CREATE FUNCTION {name}(n BIGINT) RETURNS BIGINT LANGUAGE python"
            if clause is not None:
                connection.execute(f"{head} {clause} AS $$\n{body}\n$$")


def cancel_once(url: str, case: Case, connections: list[ShardConnection]) -> tuple[float, float]:
    """Return the ms until all stages were gone, and until the query had raised."""
    with ExitStack() as stack:
        running = stack.enter_context(on_a_thread(url, case.session, case.clause and CALLING))
        control = running.control
        while at_work(connections, control.id) < len(connections):
            time.sleep(0.01)
        if case.shared:
            stack.enter_context(on_a_thread(url, case.session, BESIDE))
        time.sleep(SETTLE_SECONDS)
        begun = time.monotonic()
        control.cancel()
        while at_work(connections, control.id):
            time.sleep(0.001)
        gone = time.monotonic()
        while running.raised is None:
            time.sleep(0.001)
    return (gone - begun) * 1000, (running.raised - begun) * 1000


def measure(case: Case, runs: int) -> Outcome:
    """Cancel the case again and again, on servers of its own."""
    with Cluster(3) as cluster:
        prepare(cluster.url, case.clause)
        shards = Shards(cluster.url)
        connections = [shards.open(shard) for shard in shards.all]
        times = [cancel_once(cluster.url, case, connections) for _ in range(runs)]
        for connection in connections:
            connection.close()
        shards.close()
    return Outcome(case, [gone for gone, _ in times], [raised for _, raised in times])


def written(outcomes: list[Outcome]) -> str:
    """Return the page."""
    head = [
        "# How long a cancelled query is at work",
        "",
        f"Three Valkey shards, a cancel from another thread, in ms; the promise is {PROMISED_MS} ms.",
        "",
        "| what runs on every shard | cancels | no stage is left: median | max | raised: median | max |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*head, *(outcome.line() for outcome in outcomes), ""])


@click.command()
@click.option("--runs", default=20, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=HERE / "cancel.md", show_default=True)
def main(runs: int, output: Path) -> None:
    """Measure all cases and write the table."""
    outcomes = []
    for case in CASES:
        outcomes.append(measure(case, runs))
        click.echo(outcomes[-1].line())
    output.write_text(written(outcomes))


if __name__ == "__main__":
    main()
