"""`python -m benchmarks.point`: a point read beside HGETALL, and the cost of planning; writes point.md.

Point reads are asked in turns with HGETALL by redis-py and by gearsql's own connection, so that noise meets
all alike.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import click
import redis

import gearsql
from benchmarks.servers import Place, valkey
from gearsql.cluster.shards import Shards
from gearsql.sql.parse import parse_query

HERE = Path(__file__).parent
KEYS = 1_000
PROMISE = 3.0
PLAN_PROMISE = 1.0

CREATE = """CREATE OR REPLACE TABLE users (id INTEGER, city VARCHAR, age INTEGER, score DOUBLE)
    WITH (key = 'user:{id}')"""
POINT = "SELECT city, age FROM users WHERE id = ?"
EXPRESSION = "SELECT upper(city), age + 1 FROM users WHERE id = ?"
STATEMENTS: dict[str, tuple[str, Callable[[int], list[Any]]]] = {
    "a point read": (POINT, lambda n: [n]),
    "groups of one table": (
        "SELECT city, count(*), avg(score) FROM users WHERE age > ? GROUP BY city ORDER BY 2 LIMIT ?",
        lambda n: [n, n + 1],
    ),
    "a join and a subquery": (
        "SELECT a.city, count(*) FROM users a JOIN users b ON a.age = b.id WHERE a.score > ? AND b.city <> ?"
        " AND a.age < (SELECT max(age) FROM users WHERE id > ?) GROUP BY a.city",
        lambda n: [n + 0.5, f"c{n}", n],
    ),
    "the clock": ("SELECT count(*) FROM users WHERE now() > make_timestamptz(age) AND id > ?", lambda n: [n]),
}


@click.command()
@click.option("--rounds", default=5_000, show_default=True, help="Reads of each kind.")
def main(rounds: int) -> None:
    """Ask, compare, and write point.md."""
    lines = [
        f"# Point reads, Python {platform.python_version()}",
        "",
        f"{KEYS:,} hashes of four fields; medians of {rounds:,} reads of each kind, in turns, in µs.",
        "",
        "| read | redis-py, HGETALL | gearsql's connection, HGETALL | SQL, plain columns | to redis-py's "
        "| promise | SQL, an expression |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    plans: list[str] = []
    for shards in (1, 3):
        with valkey(shards) as place, gearsql.connect(place.url) as connection:
            _fill(connection)
            if shards == 3:
                plans = list(_plans(connection))
            lines.append(_reads(place, connection, rounds))
            click.echo(lines[-1])
    lines += [
        "",
        "Planning on three shards, in ms of CPU: a new statement, and the same with other values.",
        "",
    ]
    lines += ["| statement | new | other values | promise |", "| --- | ---: | ---: | --- |", *plans]
    (HERE / "point.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    click.echo("\n".join(plans))


def _fill(connection: gearsql.Connection) -> None:
    connection.execute(CREATE)
    rows = [(n, f"c{n % 50}", n % 90, n / 7) for n in range(KEYS)]
    connection.cursor().executemany("INSERT INTO users VALUES (?, ?, ?, ?)", rows)


def _reads(place: Place, connection: gearsql.Connection, rounds: int) -> str:
    cursor, shards = connection.cursor(), Shards(place.url)
    with closing(shards), closing(_client(place)) as client:

        def ask(n: int) -> object:
            key = b"user:%d" % n
            return shards.owner(key).ask("HGETALL", key)

        kinds: list[Callable[[int], object]] = [
            lambda n: client.hgetall(f"user:{n}"),
            ask,
            lambda n: cursor.execute(POINT, [n]).fetchall(),
        ]
        hgetall, own, point = _in_turns(kinds, rounds)
        (expression,) = _in_turns([lambda n: cursor.execute(EXPRESSION, [n]).fetchall()], rounds // 20)
    ratio = point / hgetall
    kept = "kept" if ratio <= PROMISE else "not kept"
    return (
        f"| {place.name} | {hgetall:.0f} | {own:.0f} | {point:.0f} | {ratio:.2f}× | {kept} (≤ {PROMISE:.0f}) "
        f"| {expression:.0f} |"
    )


def _client(place: Place) -> Any:
    return (
        redis.Redis.from_url(place.url) if len(place.ports) == 1 else redis.RedisCluster.from_url(place.url)
    )


def _in_turns(kinds: list[Callable[[int], object]], rounds: int) -> Iterator[float]:
    """Yield the median time of each kind, in µs."""
    times: list[list[float]] = [[] for _ in kinds]
    for number in range(rounds):
        for kind, taken in zip(kinds, times, strict=True):
            start = time.perf_counter()
            kind(number * 7919 % KEYS)
            taken.append(time.perf_counter() - start)
    return (median(taken) * 1e6 for taken in times)


def _plans(connection: gearsql.Connection) -> Iterator[str]:
    """CPU time, since planning waits for nobody but the catalog, which is asked for the table each time."""
    for name, (text, values) in STATEMENTS.items():
        new = _plan(connection, text, values(0))
        _plan(connection, text, values(1))
        again = median(_plan(connection, text, values(n)) for n in range(2, 300))
        kept = "kept" if again < PLAN_PROMISE else "not kept"
        yield f"| {name} | {new:.1f} | {again:.2f} | {kept} (< {PLAN_PROMISE:.0f}) |"


def _plan(connection: gearsql.Connection, text: str, values: list[Any]) -> float:
    query = parse_query(text, text)
    start = time.thread_time()
    connection.engine._compiled_query(query, values)
    return (time.thread_time() - start) * 1e3


if __name__ == "__main__":
    main()
