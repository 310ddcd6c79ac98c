"""The switch of one statement that runs: its id, its time, and how it is ended before its end.

Whoever waits for something registers what ends the wait (`stopping`), or looks (`require`). Whatever error
then comes out of the statement, `running` names it after the reason.
"""

from __future__ import annotations

import itertools
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

from gearsql.cluster.analyze import Measured
from gearsql.errors import CancelledError, Error, InterfaceError, QueryTimeoutError

Why = Literal["cancelled", "late", "interrupted"]
Stop = Callable[[], object]

LIMITS = {
    "rows": "ROWS",
    "shipped_rows": "SHIPPED_ROWS",
    "shipped_bytes": "SHIPPED_BYTES",
    "frame_bytes": "FRAME_BYTES",
    "memory": "MEMORY_BYTES",
}
"""What a query may be bounded by on each shard, and the servers' words; the memory is the merge's, too."""
LEAST_MEMORY = 16 << 20
LATER_SECONDS = 0.2
LONGEST_SECONDS = 1e9  # clocks and servers take no more than a few times this
INSIST_SECONDS = 0.05
"""DuckDB forgets an interrupt that comes before it runs, so whoever stops does so again."""


@dataclass(frozen=True)
class ShardProgress:
    """How far a shard is: keys it went through, of all it has; rows read of them, bytes that came from it."""

    shard: str
    keys: int
    total: int
    rows: int
    bytes: int


def _checked(limits: Mapping[str, int]) -> dict[str, int]:
    for name, value in limits.items():
        if name not in LIMITS or not isinstance(value, int) or not 0 < value < 2**52:
            raise InterfaceError(
                f"limits are {', '.join(LIMITS)}, each a number from 1, not {name} = {value!r}"
            )
    if limits.get("memory", LEAST_MEMORY) < LEAST_MEMORY:
        raise InterfaceError(f"DuckDB alone needs {LEAST_MEMORY} bytes of memory, not {limits['memory']}")
    return {LIMITS[name]: value for name, value in limits.items()}


def known_timeout(timeout: float | None) -> float | None:
    """Return a timeout in seconds; None: no limit, as for math.inf and what is longer than a life."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise InterfaceError(f"a timeout is a number of seconds greater than 0, not {timeout!r}")
    return timeout if timeout <= LONGEST_SECONDS else None


class Control:
    """One statement's. `cancel` may be called on any thread, at any time."""

    def __init__(self, timeout: float | None = None, limits: Mapping[str, int] | None = None) -> None:
        """`timeout` is in seconds, from now on; None: no limit. `limits` are by the names of LIMITS."""
        self._limits = _checked(limits or {})
        self.id = secrets.token_hex(8)
        """Of the query; its stages on the servers are called `<id>.1`, `<id>.2`, …"""
        self.trouble: Error | None = None
        """What keeps the statement from its end: the reason why its time was not enough."""
        self.each_shard: Callable[[tuple[ShardProgress, ...]], None] | None = None
        """Called while a query runs, on a thread of its own."""
        self.measured = Measured()
        """The stages that ran, for EXPLAIN ANALYZE."""
        self.timeout = known_timeout(timeout)
        self._began = time.monotonic()
        self._numbers = itertools.count(1)
        self._why: Why | None = None
        self._lock = threading.Lock()
        self._stops: list[Stop] = []
        self._ended = threading.Event()
        self._done = threading.Event()

    def new_stage_id(self) -> str:
        """Return the id of a further stage: no server takes one twice."""
        return f"{self.id}.{next(self._numbers)}"

    def left(self) -> float | None:
        """Return the seconds until the time is up; None: there is no limit."""
        return None if self.timeout is None else max(0.0, self._began + self.timeout - time.monotonic())

    def limits(self) -> dict[str, int]:
        """Return what the servers bound a stage by, which begins now.

        The time there is a little longer: it is for the stages of a client that froze.
        """
        left = self.left()
        return (
            self._limits if left is None else {**self._limits, "TIME_MS": int((left + LATER_SECONDS) * 1000)}
        )

    def cancel(self) -> None:
        """End the statement, here and on all shards: it raises CancelledError. It may have ended already."""
        self._end("cancelled")

    def done(self) -> None:
        """Note that the statement has ended: nothing is left to be stopped."""
        self._done.set()

    def require(self) -> None:
        """Raise the reason if the statement is being ended."""
        if self._why is not None:
            raise self._error()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than the statement lives."""
        self._ended.wait(seconds)
        self.require()

    @contextmanager
    def stopping(self, stop: Stop) -> Iterator[None]:
        """Have `stop` called, perhaps several times and on another thread, if the statement is ended."""
        with self._lock:
            self._stops.append(stop)
        try:
            self.require()
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the statement: within its time, and named by the reason if it is ended before."""
        timer = self._timer()
        try:
            with self._interrupts():
                yield
        except BaseException as error:
            if self._why == "interrupted":
                raise KeyboardInterrupt from None
            if self._why is not None and isinstance(error, Exception):
                raise self._error(error) from error
            if isinstance(error, Error):
                error.query_id = self.id
            raise
        finally:
            self._done.set()
            if timer is not None:
                timer.cancel()

    def _timer(self) -> threading.Timer | None:
        left = self.left()
        if left is None:
            return None
        timer = threading.Timer(left, self._end, ("late",))
        timer.daemon = True
        timer.start()
        return timer

    def _end(self, why: Why) -> None:
        with self._lock:
            first, self._why = self._why is None, self._why or why
        self._ended.set()
        if first and not self._done.is_set():
            threading.Thread(target=self._stop, daemon=True, name="gearsql-stop").start()

    def _stop(self) -> None:
        while True:
            with self._lock:
                stops = self._stops[::-1]
            for stop in stops:
                with suppress(Exception):
                    stop()
            if self._done.wait(INSIST_SECONDS):
                return

    def _error(self, came: Exception | None = None) -> Error:
        """Return the reason as an error; a statement that writes has said what it had done."""
        error: Error
        if self._why == "late":
            error = self.trouble or QueryTimeoutError(
                f"the query's time is up, after {self.timeout:g} s", hint="timeout=… gives it longer"
            )
        else:
            error = CancelledError("the query was cancelled")
        error.query_id = self.id
        if isinstance(came, Error) and came is not error and came.written is not None:
            error.written = came.written
            error.message += f": {came.message}"
        return error

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Remember a Ctrl-C: what it raises may come out as something else."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def interrupt(number: int, frame: FrameType | None) -> Any:
            # No lock here: the thread that is interrupted may hold it.
            self._why = self._why or "interrupted"
            answer = before(number, frame)
            # A handler that raises nothing lets the statement go on.
            self._why = None if self._why == "interrupted" else self._why
            return answer

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
