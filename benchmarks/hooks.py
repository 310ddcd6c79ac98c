"""`python -m benchmarks.hooks`: what user Python costs a query, by kind and isolation, and its neighbours.

Every hook is compared with the same query in DuckDB's own functions. Run it with Python 3.11 and 3.13: below
3.13 sessions share one GIL.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click

import gearsql
from benchmarks.data import Rows, make_rows
from benchmarks.load import load
from benchmarks.servers import valkey

HERE = Path(__file__).parent
DOMAINS = 50
SMALL = 1_000
BUSY_ROWS = 20_000

BASES = {
    "domain": "SELECT split_part(email, '@', 2) AS d, count(*) FROM \"user:*\" GROUP BY d",
    "filter": "SELECT city, count(*) FROM \"user:*\" WHERE split_part(email, '@', 2) = 'd7.org'"
    " GROUP BY city",
    "geomean": 'SELECT city, exp(avg(ln(score + 1))) FROM "user:*" GROUP BY city',
}


@dataclass(frozen=True)
class Case:
    """A query with a hook; `base` names the query without one, `bound` is the promised ratio."""

    title: str
    base: str
    definition: str
    query: str
    bound: float | None = None


def _domain(title: str, options: str, body: str, bound: float | None) -> Case:
    name = "domain_" + "".join(c if c.isalnum() else "_" for c in title.lower())
    definition = (
        f"CREATE OR REPLACE FUNCTION {name}(email VARCHAR) RETURNS VARCHAR LANGUAGE python {options} AS "
        f"$$\n{body}\n$$"
    )
    query = f'SELECT {name}(email) AS d, count(*) FROM "user:*" GROUP BY d'
    return Case(title, "domain", definition, query, bound)


SCALAR = "return email.split('@')[1]"
LISTS = "return [text.split('@')[1] for text in email]"
ARROW = """import pyarrow.compute as pc
return pc.list_element(pc.split_pattern(email, '@'), 1)"""
NUMPY = """import numpy as np
return np.array([text.split('@')[1] for text in email], dtype=object)"""
GEOMEAN = """import math

class geomean_{0}:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def accumulate(self, x):
        self.total += math.log(x + 1)
        self.count += 1

    def merge(self, other):
        self.total += other.total
        self.count += other.count

    def finish(self):
        return math.exp(self.total / self.count) if self.count else None
"""


def _geomean(isolation: str) -> Case:
    definition = (
        f"CREATE OR REPLACE AGGREGATE FUNCTION geomean_{isolation}(x DOUBLE) RETURNS DOUBLE LANGUAGE python "
        f"ISOLATION {isolation} AS $$\n{GEOMEAN.format(isolation)}$$"
    )
    query = f'SELECT city, geomean_{isolation}(score) FROM "user:*" GROUP BY city'
    return Case(f"aggregate, {isolation}", "geomean", definition, query)


CASES = (
    _domain("scalar, session", "ISOLATION session", SCALAR, 1.5),
    _domain("vectorised lists, session", "VECTORISED ISOLATION session", LISTS, 1.3),
    _domain("scalar, process", "ISOLATION process", SCALAR, 2.0),
    _domain("vectorised lists, process", "VECTORISED ISOLATION process", LISTS, 2.0),
    _domain("vectorised numpy, process", "VECTORISED USING numpy ISOLATION process", NUMPY, None),
    _domain("vectorised arrow, process", "VECTORISED USING arrow ISOLATION process", ARROW, None),
    Case(
        "scalar in WHERE, session",
        "filter",
        "CREATE OR REPLACE FUNCTION of_d7(email VARCHAR) RETURNS BOOLEAN LANGUAGE python AS "
        "$$ return email.endswith('@d7.org') $$",
        'SELECT city, count(*) FROM "user:*" WHERE of_d7(email) GROUP BY city',
    ),
    _geomean("session"),
    _geomean("process"),
    Case(
        "table function (two rows of each), session",
        "domain",
        "CREATE OR REPLACE FUNCTION parts(email VARCHAR) RETURNS TABLE (part VARCHAR) LANGUAGE python AS "
        "$$\nfor part in email.split('@'):\n    yield (part,)\n$$",
        'SELECT p.part, count(*) FROM "user:*" u, parts(u.email) AS p GROUP BY p.part',
    ),
)
BUSY = """total = 0
for i in range(400):
    total += i * i % 7
return total + n"""


def make_emails(count: int) -> Rows:
    """The rows of the other benchmarks, with emails of DOMAINS domains."""
    rows = make_rows(count)
    emails = [f"{email.partition('@')[0]}@d{n % DOMAINS}.org" for n, email in enumerate(rows.email)]
    return replace(rows, email=emails)


def timed(connection: Any, query: str) -> float:
    """Return the seconds of one query, its rows fetched."""
    start = time.perf_counter()
    connection.execute(query).fetchall()
    return time.perf_counter() - start


def measure_cases(connection: Any, rounds: int, say: Callable[[str], None]) -> list[list[str]]:
    """Time every case in turns with its base; one round before is not counted."""
    table = []
    for case in CASES:
        base = BASES[case.base]
        try:
            connection.execute(case.definition)
            pairs = [(timed(connection, base), timed(connection, case.query)) for _ in range(rounds + 1)][1:]
        except gearsql.Error as error:
            table.append([case.title, "", "", "", str(error).splitlines()[0]])
            continue
        without, with_hook = median(a for a, _ in pairs), median(b for _, b in pairs)
        ratio = with_hook / without
        verdict = (
            "" if case.bound is None else f"{'kept' if ratio <= case.bound else 'MISSED'} (≤ {case.bound})"
        )
        table.append([case.title, f"{without:.3f}", f"{with_hook:.3f}", f"{ratio:.2f}×", verdict])
        say("  ".join(table[-1]))
    return table


def measure_two_sessions(url: str, rounds: int) -> float:
    """Return how much more two sessions do at once than one alone, in a hook that only computes."""
    connections = [gearsql.connect(url, session=f"busy{i}") for i in range(2)]
    query = 'SELECT sum(busy(age)) FROM "few:*"'
    for connection in connections:
        timed(connection, query)
    alone = median(timed(connections[0], query) for _ in range(rounds))
    both = median(
        _together([partial(timed, connection, query) for connection in connections]) for _ in range(rounds)
    )
    for connection in connections:
        connection.close()
    return 2 * alone / both


def _together(jobs: Sequence[Callable[[], object]]) -> float:
    threads = [threading.Thread(target=job) for job in jobs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def measure_neighbour(url: str) -> tuple[float, float]:
    """Return the median milliseconds of a small query without hooks: alone, and beside a busy hook."""
    small = 'SELECT city, count(*) FROM "tiny:*" GROUP BY city'
    with gearsql.connect(url) as mine, gearsql.connect(url, session="busy") as theirs:
        timed(mine, small)
        alone = _median_ms(mine, small)
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                timed(theirs, 'SELECT sum(busy(age)) FROM "few:*"')

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(0.5)
        beside = _median_ms(mine, small)
        over.set()
        worker.join()
    return alone, beside


def _median_ms(connection: Any, query: str) -> float:
    return 1000 * quantiles((timed(connection, query) for _ in range(200)), n=2)[0]


def prepare(url: str, connection: Any) -> None:
    """Small tables beside the large one, and the busy hook."""
    from gearsql.cluster.shards import Shards

    shards = Shards(url)
    for prefix, count in (("few", BUSY_ROWS), ("tiny", SMALL)):
        client = shards.open(shards.all[0])
        commands = [
            ("HSET", f"{prefix}:{n}", "city", f"city-{n % 10}", "age", str(n % 90)) for n in range(count)
        ]
        client.ask_all(commands)
        client.close()
    shards.close()
    connection.execute(
        f"CREATE OR REPLACE FUNCTION busy(n BIGINT) RETURNS BIGINT LANGUAGE python AS $$\n{BUSY}\n$$"
    )


def markdown(table: list[list[str]], count: int, rounds: int, two: float, alone: float, beside: float) -> str:
    """Return the report."""
    own = platform.python_version_tuple() >= ("3", "13")
    lines = [
        f"# Hooks, Python {platform.python_version()}",
        "",
        f"{count:,} hashes of four fields on one Valkey server; medians of {rounds} runs, each in turns with",
        "the same query in DuckDB's own functions.",
        "",
        "| hook | without, s | with, s | ratio | promise |",
        "| --- | ---: | ---: | ---: | --- |",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        f"- two sessions that compute at once do {two:.2f}× of one ({'own GIL' if own else 'shared GIL'};"
        " the promise is 1.7× on Python 3.13)",
        f"- a small query without hooks takes {alone:.2f} ms alone, {beside:.2f} ms beside a busy hook",
    ]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--rows", "count", default=1_000_000, show_default=True, help="Hashes to load.")
@click.option("--rounds", default=3, show_default=True, help="Timed runs of each query.")
@click.option("--output", default=HERE, type=click.Path(path_type=Path), help="Folder of the results.")
def main(count: int, rounds: int, output: Path) -> None:
    """Time hooks of all kinds and isolations."""
    with valkey(1) as place, gearsql.connect(place.url, reader="module") as connection:
        load(make_emails(count), place.ports)
        table = measure_cases(connection, rounds, lambda line: print(line, flush=True))
    # A server with few keys: here the hooks are the work, not the scan.
    with valkey(1) as place, gearsql.connect(place.url, reader="module") as connection:
        prepare(place.url, connection)
        two, neighbour = measure_two_sessions(place.url, rounds), measure_neighbour(place.url)
    report = markdown(table, count, rounds, two, *neighbour)
    print(report)
    version = "".join(platform.python_version_tuple()[:2])
    (output / f"hooks-{version}.md").write_text(report)


if __name__ == "__main__":
    main()
