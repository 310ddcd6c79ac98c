"""CALL: the columns of a batch → calls of the user's function → a column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gearsql.catalog.function import Function
from gearsql.shard import _mailbox
from gearsql.shard._mailbox import Column, Mailbox, Rows
from gearsql.shard.faults import told
from gearsql.shard.stages import Stage

REQUEST = 16  # bytes of gears_request, which begins a message


class Hook:
    """A function of a session, and the buffers that its messages need. One message at a time."""

    def __init__(self, function: Function, target: Callable[..., Any]) -> None:
        self.function = function
        self.target = target
        self.strict = not function.called_on_null
        self.tolerate = function.on_error == "null"
        self.rows = Rows(tuple(type_ for _, type_ in function.parameters))
        self.result = Column(function.returns)

    def answer(self, kind: int, stage: Stage, rows: int) -> None:
        """Answer a message of the server. Whatever is raised is the user's; tell() says what of it."""
        if kind != _mailbox.CALL:
            raise ValueError(f"no message for a {self.function.kind} function: {kind}")
        self.result.clear()
        self.rows.load(stage.mailbox, rows, REQUEST)
        stage.forgiven += self.rows.map(self.target, self.result, self.strict, self.tolerate)
        stage.mailbox.send(_mailbox.RESULT, self.result)

    def tell(self, error: BaseException) -> dict[str, Any]:
        """Return ERROR's JSON of what answer() raised."""
        kinds = {"argument": "argument", "result": "result"}
        row = self.rows.failed
        return told(
            error,
            kinds.get(self.rows.phase, "raised"),
            self.function.name,
            row=row,
            arguments=self._arguments(row),
        )

    def _arguments(self, row: int | None) -> list[tuple[str, object]]:
        if row is None or self.rows.phase == "argument":
            return []
        names = [name for name, _ in self.function.parameters]
        return list(zip(names, self.rows.row(row), strict=True))


def make_hook(function: Function, target: Callable[..., Any]) -> Hook:
    """Return what answers the messages of this kind of function."""
    return Hook(function, target)


def exchange(mailbox: Mailbox, kind: int, payload: bytes) -> bytes:
    """Ask the server something in the middle of a message, and return its ANSWER."""
    mailbox.send(kind, payload)
    if mailbox.wait() != _mailbox.ANSWER:
        raise SystemExit("the session was ended")
    return mailbox.message()
