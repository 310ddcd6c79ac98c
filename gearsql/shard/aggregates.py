"""Messages of states: accumulate, merge, finish; handles of the server ↔ instances of the user's class.

Instances live in the stage's `states` until END. Whatever way the rows went (one shard or many, one batch or
many, here or in a client), an answer is finish() of states that were merged from states that accumulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from struct import unpack_from
from typing import Any

from gearsql.catalog.function import Function
from gearsql.catalog.hook_types import quoted
from gearsql.shard import _mailbox
from gearsql.shard._mailbox import Column, Rows
from gearsql.shard.calling import REQUEST, Hook
from gearsql.shard.stages import Stage, current
from gearsql.shard.state import instance_of, state_of


class Aggregate(Hook):
    """A user's class: accumulate(self, …), merge(self, other), finish(self)."""

    def __init__(self, function: Function, target: Callable[..., Any]) -> None:
        super().__init__(function, target)
        assert isinstance(target, type)
        self._class = target
        self._travelling = Column("BLOB")
        self._lists = Rows(("BLOB[]",))
        members = ", ".join(f"{quoted(f'a{i}')} {type_}" for i, (_, type_) in enumerate(function.parameters))
        self._whole = Rows((f"STRUCT({members})[]",))

    def answer(self, kind: int, stage: Stage, rows: int) -> None:
        """Answer a message of the server."""
        match kind:
            case _mailbox.UPDATE:
                self._update(stage, rows)
                stage.mailbox.send(_mailbox.DONE)
            case _mailbox.COMBINE:
                self._combine(stage, rows)
                stage.mailbox.send(_mailbox.DONE)
            case _mailbox.STATE:
                for state in self._of_handles(stage, rows):
                    self._travelling.append(state_of(state))
                stage.mailbox.send(_mailbox.RESULT, self._travelling)
            case _mailbox.FINISH:
                self._finish(stage, self._of_handles(stage, rows))
            case _mailbox.MERGE:
                self._lists.load(stage.mailbox, rows, REQUEST)
                current.stage = stage
                self._finish(stage, self._merged(rows))
            case _mailbox.WHOLE:
                self._whole.load(stage.mailbox, rows, REQUEST)
                current.stage = stage
                self._finish(stage, self._accumulated(rows))
            case _:
                raise ValueError(f"no message for an aggregate: {kind}")

    def clear(self) -> None:
        """Forget a message and its answer."""
        super().clear()
        self._travelling.clear()
        self._lists.clear()
        self._whole.clear()

    def call(self) -> int:
        """No message of an aggregate is a CALL."""
        raise NotImplementedError

    def _update(self, stage: Stage, rows: int) -> None:
        self.rows.load(stage.mailbox, rows, REQUEST + 8 * rows)
        current.stage = stage
        try:
            self.rows.update(stage.states, self._class, REQUEST, self.strict)
        except BaseException:
            self.failed_row()
            raise

    def _state(self, stage: Stage, handle: int) -> Any:
        state = stage.states.get(handle)
        if state is None:
            state = stage.states[handle] = self._class()
        return state

    def _of_handles(self, stage: Stage, rows: int) -> Iterator[Any]:
        for handle in _handles(stage, rows):
            yield self._state(stage, handle)

    def _combine(self, stage: Stage, rows: int) -> None:
        """Sources may be read again, and a merge may keep parts of them: a fresh target gets a copy."""
        handles = _handles(stage, 2 * rows)
        for source, target in zip(handles[:rows], handles[rows:], strict=True):
            if target in stage.states:
                stage.states[target].merge(self._state(stage, source))
            else:
                stage.states[target] = deepcopy(self._state(stage, source))

    def _finish(self, stage: Stage, states: Iterator[Any]) -> None:
        for state in states:
            value = state.finish()
            self.place.phase = "result"
            self.result.append(value)
            self.place.phase = "call"
        stage.mailbox.send(_mailbox.RESULT, self.result)

    def _merged(self, rows: int) -> Iterator[Any]:
        for row in range(rows):
            (texts,) = self._lists.row(row)
            states = (instance_of(self._class, text) for text in texts or () if text is not None)
            merged = next(states, None)
            if merged is None:
                merged = self._class()
            for state in states:
                merged.merge(state)
            yield merged

    def _accumulated(self, rows: int) -> Iterator[Any]:
        for row in range(rows):
            (group,) = self._whole.row(row)
            state = self._class()
            for members in group or ():
                values = tuple(members.values())
                if self.strict and any(value is None for value in values):
                    continue
                self.place.arguments = values
                state.accumulate(*values)
            self.place.arguments = ()
            yield state


def _handles(stage: Stage, count: int) -> tuple[int, ...]:
    handles = unpack_from(f"<{count}Q", stage.mailbox.message(REQUEST))
    current.stage = stage
    return handles
