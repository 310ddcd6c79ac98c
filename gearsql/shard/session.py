"""A session: the thread, or the process, that runs the hooks of some stages. A message, its answer, again.

The server calls main() in the session's interpreter, a worker process calls serve(). Neither returns before
the server is through with the session.

Hooks may patch every module that they import. So this package takes functions by name when it is loaded, and
what goes wrong all the same is an answer, not the session's end.
"""

from __future__ import annotations

from collections import OrderedDict
from json import dumps, loads
from struct import Struct

from gearsql.catalog.function import Function
from gearsql.shard import _mailbox, guard
from gearsql.shard._mailbox import Mailbox
from gearsql.shard.calling import REQUEST, Hook
from gearsql.shard.faults import HookFault, encode, told
from gearsql.shard.kinds import make_hook
from gearsql.shard.source import load
from gearsql.shard.stages import Stage, current

KEPT_HOOKS = 64
_REQUEST = Struct("<QII")
_NULLS = Struct("<Q")


def main(address: int) -> None:
    """Serve the mailbox at this address of this process until `stop` is set."""
    if not _mailbox.in_main_interpreter():
        guard.install()
    serve(Mailbox(address))


def serve(mailbox: Mailbox) -> None:
    """Answer messages until the server stops the session, and return also if that interrupts a hook."""
    session = Session(mailbox)
    mailbox.watch()
    try:
        while kind := mailbox.wait():
            session.answer(kind)
    except SystemExit:
        # Only `stop` gets here: a hook's own is an answer.
        pass
    finally:
        _unwatch(mailbox)


def _unwatch(mailbox: Mailbox) -> None:
    """End the watcher, and let in what it raised last: exceptions of other threads come as a call begins."""
    while True:
        try:
            mailbox.unwatch()
            return _settle()
        except SystemExit:
            continue


def _settle() -> None:
    pass


class Session:
    """The open stages, and the functions that were loaded for them and for earlier ones."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._stages: dict[int, Stage] = {}
        self._hooks: OrderedDict[str, Hook] = OrderedDict()

    def answer(self, kind: int) -> None:
        """Answer the message that lies in the mailbox. SystemExit: the session is to end."""
        try:
            self._answer(kind)
        except BaseException as error:
            self._raise_if_stopped()
            self._mailbox.send(
                _mailbox.ERROR, b'{"kind": "internal", "type": "%s"}' % type(error).__name__.encode()
            )

    def _answer(self, kind: int) -> None:
        number, index, rows = _REQUEST.unpack(self._mailbox.message()[:REQUEST])
        match kind:
            case _mailbox.BEGIN:
                self._begin(number)
            case _mailbox.END:
                stage = self._stages.pop(number, None)
                self._mailbox.send(_mailbox.DONE, _NULLS.pack(stage.forgiven if stage else 0))
            case _ if number in self._stages and index < len(self._stages[number].hooks):
                self._call(kind, self._stages[number], index, rows)
            case _:
                self._fail(
                    told(LookupError(f"no function {index} of a stage {number}"), "internal", "session")
                )

    def _begin(self, number: int) -> None:
        asked = loads(self._mailbox.message(REQUEST))
        stage = Stage(self._mailbox, asked["query"], asked["shard"], asked["user"])
        current.stage = stage
        try:
            stage.hooks = [self._hook(definition) for definition in asked["functions"]]
        except HookFault as fault:
            return self._fail(fault.told)
        except BaseException as error:
            self._raise_if_stopped()
            return self._fail(told(error, "internal", "session"))
        finally:
            current.stage = None
        self._stages[number] = stage
        self._mailbox.send(_mailbox.DONE)

    def _hook(self, definition: dict[str, object]) -> Hook:
        hash_ = str(definition["hash"])
        hook = self._hooks.get(hash_)
        if hook is None:
            function = Function.from_definition(dumps(definition))
            hook = self._hooks[hash_] = make_hook(function, load(function))
        self._hooks.move_to_end(hash_)
        if len(self._hooks) > KEPT_HOOKS:
            self._hooks.popitem(last=False)
        return hook

    def _call(self, kind: int, stage: Stage, index: int, rows: int) -> None:
        hook = stage.hooks[index]
        try:
            hook.answer(kind, stage, rows)
        except BaseException as error:
            self._raise_if_stopped()
            self._fail(hook.tell(error))
        finally:
            current.stage = None
            hook.clear()

    def _fail(self, fault: dict[str, object]) -> None:
        self._mailbox.send(_mailbox.ERROR, encode(fault))

    def _raise_if_stopped(self) -> None:
        if self._mailbox.stopped:
            raise SystemExit
