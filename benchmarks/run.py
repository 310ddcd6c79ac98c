"""`python -m benchmarks.run`: load the rows, ask all peers, print and write the report and the plot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from benchmarks.data import Rows, make_rows
from benchmarks.load import load
from benchmarks.peers.adbc import Adbc
from benchmarks.peers.floor import Floor
from benchmarks.peers.gears import Gears
from benchmarks.peers.hiredis_raw import HiredisRaw
from benchmarks.peers.lua import Lua
from benchmarks.peers.peer import Peer
from benchmarks.peers.redis_py import RedisPy
from benchmarks.peers.redisearch import RediSearch
from benchmarks.plot import draw
from benchmarks.queries import expected_answers
from benchmarks.report import markdown
from benchmarks.servers import SHARDS, MissingError, Place, redisearch, valkey
from benchmarks.timing import Entry, measure, prepared

HERE = Path(__file__).parent


def say(line: str) -> None:
    """Tell the person who waits; the report alone goes to standard output."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def all_entries(rows: Rows, adbc_python: str | None) -> Iterator[list[Entry]]:
    """Start and fill the servers, and yield every peer at its place; gearsql on one server comes first."""
    with ExitStack() as servers:
        one = _filled(servers.enter_context(valkey(1)), rows)
        shards = _filled(servers.enter_context(valkey(SHARDS)), rows)
        entries = [
            Entry(Gears("gearsql", reader="module"), one),
            Entry(Gears(f"gearsql, {SHARDS} shards", reader="module"), shards),
            Entry(Gears("gearsql, portable reader", reader="portable"), one),
            Entry(Lua(), one),
            Entry(HiredisRaw(), one),
            Entry(RedisPy(), one),
            Entry(Floor(), one),
        ]
        indexed, why_not = _search(servers, rows)
        peers: list[Peer] = [RediSearch(), Adbc(adbc_python), Adbc(adbc_python, pushdown="all")]
        yield entries + [Entry(peer, indexed, failure=why_not) for peer in peers]


def _search(servers: ExitStack, rows: Rows) -> tuple[Place, str]:
    try:
        return _filled(servers.enter_context(redisearch()), rows), ""
    except MissingError as error:
        return Place("Redis + RediSearch", "", (), ()), str(error)


def _filled(place: Place, rows: Rows) -> Place:
    say(f"loading {len(rows):,} hashes: {place.name}")
    load(rows, place.ports)
    return place


@click.command()
@click.option("--rows", "count", default=1_000_000, show_default=True, help="Hashes to load.")
@click.option("--rounds", default=3, show_default=True, help="Timed runs of each query.")
@click.option("--adbc-python", help="A Python ≥ 3.12 with adbc-driver-redis and pyarrow.")
@click.option("--output", default=HERE, type=click.Path(path_type=Path), help="Folder of the results.")
def main(count: int, rounds: int, adbc_python: str | None, output: Path) -> None:
    """Time GearsSQL and its peers over the same rows."""
    rows = make_rows(count)
    expected = expected_answers(rows.typed)
    with all_entries(rows, adbc_python) as entries, prepared(entries, rows, say):
        measure(entries, expected, rounds, say)
    report = markdown(entries, count, rounds)
    print(report)
    (output / "results.md").write_text(report)
    draw(entries, count, output / "results.png")


if __name__ == "__main__":
    main()
