"""Rows on their way to the shards: pipelined, with each one's outcome, sent again where that is safe.

A shard works on one chunk of commands while the next one is built. A reply that says "not here" (MOVED, ASK),
or "not now", means that nothing was done, so these rows are sent again, wherever they belong by then. When a
connection is lost, rows may or may not have been written: sent again are those for which that is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from redis.crc import key_slot

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.patience import Patience
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import SLOTS, Shard
from gearsql.cluster.write_script import Mode, Outcome, Row, command, load_command, packed
from gearsql.errors import (
    AccessDeniedError,
    CancelledError,
    Error,
    ResourceLimitError,
    ShardError,
    ShardUnreachableError,
    SlotsMovedError,
    Written,
)

CHUNK = 1000
TOGETHER = 100
"""Rows of one slot in one call of the script: so long no other client is served."""

SCRIPT_HINT = "writing runs a script on the shards: ACL SETUSER <user> +eval +evalsha"
AGAIN: frozenset[Mode] = frozenset({"replace", "delete"})
"""What may be done twice: the second time changes nothing, and finds what the first left."""

_NOT_NOW = ("NOSCRIPT", "No matching script", "TRYAGAIN", "Multiple keys request", "LOADING", "is loading")
_NOT_HERE = ("READONLY", "read only replica", "MASTERDOWN", "non local key")

Progress = Callable[[int], None]
Numbered = tuple[int, Row]


@dataclass
class Tally:
    """What became of the rows, by their numbers; `doubtful` were written once or twice."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    doubtful: int = 0

    def of(self, outcome: Outcome) -> list[int]:
        """Return the rows with an outcome, in their order."""
        return sorted(number for number, found in self.outcomes.items() if found is outcome)

    @property
    def written(self) -> int:
        """The number of rows that were written."""
        return sum(outcome is Outcome.WRITTEN for outcome in self.outcomes.values())


def deliver(
    shards: Shards,
    mode: Mode,
    rows: Sequence[Row],
    null_values: Sequence[bytes] = (),
    patience: Patience | None = None,
    progress: Progress = lambda done: None,
) -> Tally:
    """Write rows, each in one step on its shard. An error carries what had been written by then."""
    delivery = _Delivery(shards, mode, rows, null_values, patience or Patience(), progress)
    try:
        return delivery.run()
    except Error as error:
        error.written = delivery.account()
        raise


class _Delivery:
    def __init__(
        self,
        shards: Shards,
        mode: Mode,
        rows: Sequence[Row],
        null_values: Sequence[bytes],
        patience: Patience,
        progress: Progress,
    ) -> None:
        self._shards, self._mode, self._rows = shards, mode, rows
        self._null_values, self._patience, self._progress = null_values, patience, progress
        self.tally = Tally()
        self._unsure: set[int] = set()

    def run(self) -> Tally:
        left: list[Numbered] = list(enumerate(self._rows))
        together = CHUNK
        while left:
            trouble, left = self._round(left, together)
            # Keys of one slot may be on two servers while it moves.
            together = 1
            if trouble is not None:
                self._patience.recover(self._shards, trouble)
            elif left and not self._patience.heard():
                raise ShardError("a shard refuses to write for too long", hint="try again")
        return self.tally

    def account(self) -> Written:
        """Return what has been done so far."""
        rows = self.tally.outcomes
        left = [n for n in range(len(self._rows)) if n not in rows and n not in self._unsure]
        unsure = len(self._unsure - rows.keys())
        missing = [n for n in range(len(self._rows)) if rows.get(n) is not Outcome.WRITTEN]
        return Written(self.tally.written, len(left), unsure, self._rows[missing[0]].key if missing else None)

    def _round(self, rows: list[Numbered], together: int) -> tuple[Error | None, list[Numbered]]:
        """Send rows once; return those to send again, and an error if the shards have to be found anew."""
        lanes = _Lanes(self._shards, self._command, together)
        for numbered in rows:
            if self._patience.left() == 0.0:
                lanes.fail(CancelledError("the statement's time is up"))
            if lanes.failure is not None:
                break
            lanes.add(numbered)
            if numbered[0] % CHUNK == 0:
                self._progress(self.tally.written + sum(len(lane.done) for lane in lanes.all))
        lanes.finish()
        for lane in lanes.all:
            self._settle(lane)
        self._progress(self.tally.written)
        if lanes.failure is not None:
            raise lanes.failure
        trouble, again = None, []
        for lane in lanes.all:
            trouble, more = lane.trouble or trouble, lane.again
            if lane.lost:
                trouble = self._after_loss(lane)
                more = [*more, *lane.lost]
            again += more
        again += self._ask(lanes)
        return trouble, sorted(again)

    def _settle(self, lane: _Lane) -> None:
        self._unsure.update(number for number, _ in lane.lost)
        for number, outcome in lane.done:
            self.tally.outcomes[number] = self._as_meant(number, outcome)

    def _as_meant(self, number: int, outcome: Outcome) -> Outcome:
        """A row that was deleted by a first try, whose answer was lost, is deleted."""
        if number in self._unsure:
            self._unsure.discard(number)
            self.tally.doubtful += 1
            if outcome is Outcome.GONE and self._mode == "delete":
                return Outcome.WRITTEN
        return outcome

    def _after_loss(self, lane: _Lane) -> Error:
        error = lane.trouble or ShardUnreachableError(f"lost {lane.name}", shard=lane.name)
        if self._mode in AGAIN:
            return error
        error.hint = "whether the rows under way were written can be seen by a SELECT of their keys"
        raise error

    def _ask(self, lanes: _Lanes) -> list[Numbered]:
        """Send rows of slots that move to where they go; return those that have to wait."""
        again: list[Numbered] = []
        for (host, port), rows in lanes.asked().items():
            with closing(self._shards.open(Shard(host, port, ()))) as connection:
                # In the same write as ASKING, which holds for one command.
                lane = _Lane(connection, self._command, 1, asking=True)
                for numbered in rows:
                    lane.add(numbered, key_slot(numbered[1].key))
                lane.finish()
                self._settle(lane)
                if lane.failure is not None:
                    raise lane.failure
                if lane.lost:
                    self._after_loss(lane)
                again += [*lane.again, *lane.lost, *(row for rows in lane.asked.values() for row in rows)]
        return again

    def _command(self, rows: Sequence[Numbered]) -> bytes:
        return command(self._mode, self._null_values, [row for _, row in rows])


class _Lanes:
    """The lanes to all shards, by slot."""

    def __init__(self, shards: Shards, words: Callable[[Sequence[Numbered]], bytes], together: int) -> None:
        self.failure: Error | None = None
        self._clustered = shards.clustered
        self.all: list[_Lane] = []
        self._by_slot: list[_Lane] = [None] * SLOTS  # type: ignore[list-item]
        for shard in shards.all:
            lane = _Lane(None, words, together, open_=partial(shards.connection, shard))
            self.all.append(lane)
            for first, last in shard.slots:
                self._by_slot[first : last + 1] = [lane] * (last + 1 - first)

    def add(self, numbered: Numbered) -> None:
        slot = key_slot(numbered[1].key)
        lane = self._by_slot[slot]
        lane.add(numbered, slot if self._clustered else 0)
        self.failure = self.failure or lane.failure

    def fail(self, error: Error) -> None:
        self.failure = error

    def finish(self) -> None:
        for lane in self.all:
            if self.failure is None:
                lane.finish()
            else:
                lane.stop()
            self.failure = self.failure or lane.failure

    def asked(self) -> dict[tuple[str, int], list[Numbered]]:
        found: dict[tuple[str, int], list[Numbered]] = {}
        for lane in self.all:
            for target, rows in lane.asked.items():
                found.setdefault(target, []).extend(rows)
        return found


class _Lane:
    """The commands on their way to one shard."""

    def __init__(
        self,
        connection: ShardConnection | None,
        words: Callable[[Sequence[Numbered]], bytes],
        together: int,
        *,
        asking: bool = False,
        open_: Callable[[], ShardConnection] | None = None,
    ) -> None:
        self._connection, self._words, self._open = connection, words, open_
        self._together = min(together, TOGETHER)
        self._asking, self._loaded = asking, False
        self._chunk: list[tuple[int, Numbered]] = []
        self._sent: list[list[Numbered]] = []
        self.done: list[tuple[int, Outcome]] = []
        self.again: list[Numbered] = []
        self.lost: list[Numbered] = []
        self.asked: dict[tuple[str, int], list[Numbered]] = {}
        self.trouble: Error | None = None
        self.failure: Error | None = None

    @property
    def name(self) -> str:
        return self._connection.name if self._connection else "a shard"

    def add(self, numbered: Numbered, slot: int) -> None:
        if self.trouble is not None and self._connection is None:
            self.again.append(numbered)
            return
        self._chunk.append((slot, numbered))
        if len(self._chunk) == CHUNK:
            self._send()

    def finish(self) -> None:
        self._send()
        self._read()

    def stop(self) -> None:
        """Send nothing more."""
        self._chunk = []
        self._read()

    def _send(self) -> None:
        self._read()
        rows, self._chunk = self._chunk, []
        if not rows or self.failure is not None:
            return
        if self._connection is None and self._open is None:
            self.again += [row for _, row in rows]
            return
        try:
            if self._connection is None and self._open is not None:
                self._connection = self._open()
            assert self._connection is not None
            head = [] if self._loaded else [load_command()]
            groups = list(self._groups(rows))
            asking = packed([b"ASKING"]) if self._asking else b""
            self._sent = groups
            self._connection.send_packed([*head, *(asking + self._words(group) for group in groups)])
        except Error as error:
            # Some of it may have arrived.
            reached = self._connection is not None
            self._lose(error, sent=reached)
            self.again += [] if reached else [row for _, row in rows]
            return
        if head:
            self._after_load()

    def _after_load(self) -> None:
        assert self._connection is not None
        try:
            (reply,) = self._connection.read_all(1)
        except Error as error:
            self._lose(error, sent=True)
            return
        self._loaded = True
        if isinstance(reply, AccessDeniedError):
            reply.hint = SCRIPT_HINT
            self.failure = reply

    def _groups(self, rows: Sequence[tuple[int, Numbered]]) -> Iterator[list[Numbered]]:
        groups: dict[int, list[Numbered]] = {}
        for slot, numbered in rows:
            group = groups.setdefault(slot, [])
            group.append(numbered)
            if len(group) == self._together:
                yield groups.pop(slot)
        yield from groups.values()

    def _read(self) -> None:
        sent, self._sent = self._sent, []
        while sent:
            assert self._connection is not None
            try:
                replies = self._connection.read_all(1 + self._asking)
            except Error as error:
                self._sent = sent
                self._lose(error, sent=True)
                return
            self._take(sent.pop(0), replies[-1])

    def _take(self, group: list[Numbered], reply: object) -> None:
        if isinstance(reply, Error):
            self._refused(group, reply)
            return
        assert isinstance(reply, list)
        for numbered, told in zip(group, reply, strict=False):
            if isinstance(told, int):
                self.done.append((numbered[0], Outcome(told)))
            else:
                self._refused([numbered], _script_error(self.name, told))
        # The script ends at its first error.
        if len(reply) < len(group):
            self.again += group[len(reply) :]

    def _refused(self, group: list[Numbered], error: Error) -> None:
        target = getattr(error, "asked", None)
        if target is not None:
            self.asked.setdefault(target, []).extend(group)
        elif isinstance(error, SlotsMovedError | ShardUnreachableError):
            self.trouble = self.trouble or error
            self.again += group
        elif any(sign in error.message for sign in _NOT_HERE):
            self.trouble = self.trouble or SlotsMovedError(
                f"{self.name} is a replica now, and writes nothing"
            )
            self.again += group
        elif any(sign in error.message for sign in _NOT_NOW):
            self._loaded = False
            self.again += group
        else:
            if isinstance(error, AccessDeniedError) and "eval" in error.message.lower():
                error.hint = SCRIPT_HINT
            self.failure = self.failure or error
            self.again += group

    def _lose(self, error: Error, *, sent: bool) -> None:
        self.trouble = error
        if sent:
            self.lost += [numbered for group in self._sent for numbered in group]
        self._sent, self._connection, self._loaded = [], None, False


def _script_error(shard: str, told: object) -> Error:
    """An error that a command of the script gave, as text."""
    text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    text = text.removeprefix("ERR ").partition(" script:")[0]
    if "NOPERM" in text or "ACL failure" in text or "executing the script can't" in text:
        return AccessDeniedError(f"{shard} denies this user: {text}")
    if text.startswith("OOM"):
        return ResourceLimitError(f"{shard}: {text.removeprefix('OOM ')}", shard=shard)
    return ShardError(f"{shard}: {text}", shard=shard)
