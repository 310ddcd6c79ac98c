"""Print what many queries leave in memory, and what signals do: `python -m benchmarks.soak`.

Exits with 1 if a memory grew by 300 bytes a query or more, or a server died, or an answer was wrong.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.soak.memory import FEWEST, LIMIT, growth, soak
from benchmarks.soak.signals import signals
from gearsql.embedded import Cluster
from tests.servers import binary

SIGNALLED = ("valkey-9.1", "valkey-8.1", "redis-8.2", "redis-7.0")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--queries", type=int, default=50_000, help="in a row (50,000); 0: none")
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 3], help="clusters of so many (1 3)")
    parser.add_argument("--signals", type=int, default=100, help="of each kind to each server (100); 0: none")
    parser.add_argument("--servers", nargs="*", choices=SIGNALLED, default=SIGNALLED, help="to be signalled")
    chosen = parser.parse_args()
    if 0 < chosen.queries < FEWEST:
        parser.error(f"fewer than {FEWEST} queries say nothing about growth")
    well = [_remember(shards, chosen.queries) for shards in chosen.shards if chosen.queries]
    well += [_signal(name, chosen.signals) for name in chosen.servers if chosen.signals]
    return int(not all(well))


def _remember(shards: int, queries: int) -> bool:
    print(f"\n{queries} queries, {shards} shards; MB resident of each, used_memory of each, the client's")
    with Cluster(shards) as cluster:
        grown = growth(soak(cluster, queries, _say))
    for what, size in grown.items():
        print(f"    {what}: {size:+.1f} bytes a query")
    return all(size < LIMIT for size in grown.values())


def _signal(name: str, times: int) -> bool:
    tally = signals(name, binary(name), times, _say)
    for bad in tally.bad:
        print(f"    {bad}")
    return not tally.bad


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
