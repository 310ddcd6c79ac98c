"""How far a running query is: asks every shard on a connection of its own, while the stage's own waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.control import ShardProgress
from gearsql.cluster.shards import Shards
from gearsql.cluster.stats import StageStats
from gearsql.cluster.status import parse_status
from gearsql.cluster.topology import Shard
from gearsql.errors import Error

Progress = Callable[[int, int], None]
"""Called with (keys done, keys in all) while a query runs; on a thread of its own."""

POLL_SECONDS = 0.2
# A stopped server may keep the thread longer; it says nothing then.
END_SECONDS = 1.0


@contextmanager
def reported(
    shards: Shards, query_id: str, report: Progress | None, stats: StageStats | None = None
) -> Iterator[None]:
    """Call `report` again and again until the block ends; a silent shard ends only the reports.

    So it does with what the statement's control has for each shard. `stats` are the stage's, which tell of a
    shard that has nothing to do any more.
    """
    each = shards.control.each_shard
    if report is None and each is None:
        yield
        return

    def tell(parts: Sequence[ShardProgress]) -> None:
        if report is not None:
            report(sum(part.keys for part in parts), sum(part.total for part in parts))
        if each is not None:
            each(tuple(parts))

    stop = Event()
    asked = (shards, query_id, tell, stats or StageStats(), stop)
    thread = Thread(target=_poll, args=asked, daemon=True, name="gearsql-progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)


def _poll(
    shards: Shards,
    query_id: str,
    tell: Callable[[Sequence[ShardProgress]], None],
    stats: StageStats,
    stop: Event,
) -> None:
    opened: dict[str, ShardConnection] = {}
    try:
        while not stop.wait(POLL_SECONDS):
            parts = _progress([_reader(shards, shard, opened) for shard in shards.all], query_id, stats)
            if not stop.is_set():
                tell(parts)
    except Error:
        return
    finally:
        for connection in opened.values():
            connection.close()


def _reader(shards: Shards, shard: Shard, opened: dict[str, ShardConnection]) -> ShardConnection:
    """Return the connection to whoever answers for the shard now: that may be a replica."""
    name = shards.reader_name(shard)
    if name not in opened:
        opened[name] = shards.open_reader(shard)
    return opened[name]


def _progress(connections: list[ShardConnection], query_id: str, stats: StageStats) -> list[ShardProgress]:
    for connection in connections:
        connection.send(("GEARSQL.STATUS",), ("DBSIZE",))
    parts = []
    for connection in connections:
        status, keys = connection.read_all(2)
        for answer in (status, keys):
            if isinstance(answer, Error):
                raise answer
        stages = [stage for stage in parse_status(status).stages if stage.query_id == query_id]
        total, come = int(keys), stats.shards.get(connection.name)
        done = total if connection.name in stats.ended else sum(stage.keys_seen for stage in stages)
        rows = sum(stage.rows_scanned for stage in stages) or (come.rows_scanned if come else 0)
        shipped = come.bytes_shipped if come else 0
        parts.append(ShardProgress(connection.name, min(done, total), total, rows, shipped))
    return parts
