"""Who is asking: the stages that a session has open, and the one whose hook runs now.

gearsql.hook answers from here. The current stage hangs on the thread: in the main interpreter (ISOLATION
main) several sessions are threads of one interpreter.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gearsql.shard import _mailbox

if TYPE_CHECKING:
    from gearsql.shard._mailbox import Mailbox
    from gearsql.shard.calling import Hook


@dataclass
class Stage:
    """One stage of a query: its hooks by number, and the states of its aggregates by handle."""

    mailbox: Mailbox
    query: str
    shard: str
    user: str
    hooks: list[Hook] = field(default_factory=list)
    states: dict[int, Any] = field(default_factory=dict)
    forgiven: int = 0  # rows that ON ERROR NULL made NULL

    def ask(self, kind: int, payload: bytes) -> bytes:
        """Ask the server something in the middle of a message, and return its answer."""
        self.mailbox.send(kind, payload)
        if self.mailbox.wait() != _mailbox.ANSWER:
            raise SystemExit("the session was ended")
        return self.mailbox.message()


class _Current(threading.local):
    stage: Stage | None = None


current = _Current()
