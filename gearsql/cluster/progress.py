"""How far a running query is: asks every shard on a connection of its own, while the stage's own waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.shards import Shards
from gearsql.cluster.status import parse_status
from gearsql.errors import Error

Progress = Callable[[int, int], None]
"""Called with (keys done, keys in all) while a query runs; on a thread of its own."""

POLL_SECONDS = 0.2
# A stopped server may keep the thread longer; it says nothing then.
END_SECONDS = 1.0


@contextmanager
def reported(shards: Shards, query_id: str, report: Progress | None) -> Iterator[None]:
    """Call `report` again and again until the block ends; a silent shard ends only the reports."""
    if report is None:
        yield
        return
    stop = Event()
    thread = Thread(target=_poll, args=(shards, query_id, report, stop), daemon=True, name="gearsql-progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)


def _poll(shards: Shards, query_id: str, report: Progress, stop: Event) -> None:
    connections: list[ShardConnection] = []
    try:
        while not stop.wait(POLL_SECONDS):
            connections = connections or [shards.open(shard) for shard in shards.all]
            done, total = _progress(connections, query_id)
            if not stop.is_set():
                report(done, total)
    except Error:
        return
    finally:
        for connection in connections:
            connection.close()


def _progress(connections: list[ShardConnection], query_id: str) -> tuple[int, int]:
    done = total = 0
    for connection in connections:
        connection.send(("GEARSQL.STATUS",), ("DBSIZE",))
    for connection in connections:
        status, keys = connection.read_all(2)
        for answer in (status, keys):
            if isinstance(answer, Error):
                raise answer
        stages = [stage for stage in parse_status(status).stages if stage.query_id == query_id]
        # A shard whose stage has ended has done all its keys.
        done += sum(stage.rows_scanned for stage in stages) if stages else int(keys)
        total += int(keys)
    return min(done, total), total
