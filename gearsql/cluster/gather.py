"""Does something on all shards at once and hands over what they yield, as it comes; one failure ends all.

Each shard has a thread for the time. The consumer's thread waits on a bounded queue, so a slow consumer
slows the shards down instead of filling memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import Shard
from gearsql.errors import CancelledError, QueryTimeoutError

T = TypeVar("T")
Read = Callable[[Shard, ShardConnection], Iterator[T]]

QUEUED_PER_SHARD = 4
CHECK_SECONDS = 0.05
# A stopped server keeps its connections; after so long without a word, others are asked about it.
SILENT_SECONDS = 2.0


class _End:
    """A shard has yielded everything."""


def gather(
    shards: Shards, read: Read[T], timeout: float | None = None, only: Collection[Shard] | None = None
) -> Iterator[T]:
    """Run `read` on every shard concurrently and yield its items, those of one shard in their order.

    The first error is raised here and the other shards' connections are closed, which frees their stages;
    so does abandoning the iterator (Ctrl-C, close()). `timeout` bounds the whole in seconds. A shard that
    is silent for long, and was replaced meanwhile, is not waited for (SlotsMovedError).
    """
    return _Gathering(shards, read, timeout, shards.all if only is None else only).items()


def _thread_name(connection: ShardConnection) -> str:
    return f"gearsql {connection.name}"


class _Gathering(Generic[T]):
    def __init__(self, shards: Shards, read: Read[T], timeout: float | None, only: Collection[Shard]) -> None:
        self._shards, self._read = shards, read
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._stop = Event()
        self._queue: Queue[T | _End | BaseException] = Queue(QUEUED_PER_SHARD * len(only))
        self._busy = {shard: shards.connection(shard) for shard in only}
        # Daemons: a process that ends does not wait for a stage.
        self._threads = [
            Thread(target=self._work, args=pair, daemon=True, name=_thread_name(pair[1]))
            for pair in self._busy.items()
        ]

    def items(self) -> Iterator[T]:
        left = len(self._threads)
        try:
            self._shards.control.require()
            for thread in self._threads:
                thread.start()
            while left:
                match self._next():
                    case _End():
                        left -= 1
                    case BaseException() as error:
                        raise error
                    case item:
                        yield item
        finally:
            if left:
                self._cancel()

    def _next(self) -> T | _End | BaseException:
        looks = time.monotonic() + SILENT_SECONDS
        while True:
            self._shards.control.require()
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise QueryTimeoutError("the query's time is up")
            try:
                return self._queue.get(timeout=CHECK_SECONDS)
            except Empty:
                self._require_workers()
            if self._shards.clustered and time.monotonic() > looks:
                self._shards.require_still(self._waited_for())
                looks = time.monotonic() + SILENT_SECONDS

    def _waited_for(self) -> list[Shard]:
        alive = {thread.name for thread in self._threads if thread.is_alive()}
        return [shard for shard, connection in self._busy.items() if _thread_name(connection) in alive]

    def _require_workers(self) -> None:
        # In this order: a thread may put its last item and end between the two looks.
        if not any(thread.is_alive() for thread in self._threads) and self._queue.empty():
            raise CancelledError("the connections were closed")

    def _cancel(self) -> None:
        self._stop.set()
        for shard, connection in self._busy.items():
            connection.close()
            self._shards.stop_reading(shard)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self, shard: Shard, connection: ShardConnection) -> None:
        """Run on a thread of the shard's own."""
        try:
            for item in self._read(shard, connection):
                if not self._put(item, connection):
                    return
            self._put(_End(), connection)
        except BaseException as error:
            self._put(error, connection)

    def _put(self, item: T | _End | BaseException, connection: ShardConnection) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=CHECK_SECONDS)
                return True
            except Full:
                if connection.closed:
                    return False
        return False
