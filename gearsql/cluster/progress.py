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


@contextmanager
def reported(shards: Shards, stage_id: str, report: Progress | None) -> Iterator[None]:
    """Call `report` again and again until the block ends; a silent shard ends only the reports."""
    if report is None:
        yield
        return
    stop = Event()
    thread = Thread(target=_poll, args=(shards, stage_id, report, stop), daemon=True, name="gearsql-progress")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _poll(shards: Shards, stage_id: str, report: Progress, stop: Event) -> None:
    connections: list[ShardConnection] = []
    try:
        while not stop.wait(POLL_SECONDS):
            connections = connections or [shards.open(shard) for shard in shards.all]
            report(*_progress(connections, stage_id))
    except Error:
        return
    finally:
        for connection in connections:
            connection.close()


def _progress(connections: list[ShardConnection], stage_id: str) -> tuple[int, int]:
    done = total = 0
    for connection in connections:
        connection.send(("GEARSQL.STATUS",), ("DBSIZE",))
    for connection in connections:
        status, keys = parse_status(connection.read()), int(connection.read())
        stages = [stage for stage in status.stages if stage.id == stage_id]
        # A shard whose stage has ended has done all its keys.
        done += sum(stage.rows_scanned for stage in stages) if stages else keys
        total += keys
    return min(done, total), total
