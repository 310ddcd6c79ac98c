"""What a hook may ask the server that it runs in: `from gearsql import hook` in a function's source.

hook.log(text), hook.query_id(), hook.shard_id(), hook.user(), hook.execute('HGET', key, 'name'). They answer
in the thread that the hook was called in, and nowhere else.
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import Any

from gearsql.shard import _mailbox
from gearsql.shard.stages import Stage, current

__all__ = ["CommandError", "execute", "log", "query_id", "shard_id", "user"]

MOST_BYTES = 1 << 20  # of a command; the server refuses more


class CommandError(Exception):
    """The server's error reply to a command: its text, which begins with a code such as NOPERM."""


def query_id() -> str:
    """Return the id of the stage that calls the hook, as GEARSQL.STATUS lists it."""
    return _stage().query


def shard_id() -> str:
    """Return the name of the shard that the hook runs on; '' in a client."""
    return _stage().shard


def user() -> str:
    """Return the name of the user whose query calls the hook."""
    return _stage().user


def log(text: object) -> None:
    """Write a line to the server's log. It takes the first lines of a query and the first bytes of a line."""
    _stage().ask(_mailbox.LOG, str(text).encode(errors="backslashreplace"))


def execute(*words: str | bytes | int | float) -> Any:
    """Return the reply to a command that reads, run as the user whose query calls the hook.

    A reply is None, int, float, str (bytes if it is not UTF-8) or a list of such; a map is a list of its
    keys and values in turn. An error reply raises CommandError; one inside a list is a CommandError in it.
    """
    stage = _stage()
    encoded = [_word(word) for word in words]
    parts = [pack("<I", len(encoded))]
    for word in encoded:
        parts += (pack("<I", len(word)), word)
    command = b"".join(parts)
    if not words or len(command) > MOST_BYTES:
        raise ValueError(f"a command has words, and at most {MOST_BYTES} bytes")
    reply, _ = _reply(stage.ask(_mailbox.EXECUTE, command), 0)
    if isinstance(reply, CommandError):
        raise reply
    return reply


def _stage() -> Stage:
    if current.stage is None or not current.stage.mailbox.held:
        raise RuntimeError("gearsql.hook answers only in a hook, in the thread that it was called in")
    return current.stage


def _word(word: object) -> bytes:
    match word:
        case bytes():
            return word
        case str():
            return word.encode()
        case bool():
            raise TypeError("a word of a command is str, bytes, int or float, not bool")
        case int() | float():
            return repr(word).encode()
    raise TypeError(f"a word of a command is str, bytes, int or float, not {type(word).__name__}")


def _reply(text: bytes, at: int) -> tuple[Any, int]:
    """Read one value of module/reply.h's encoding; returns it and where it ends."""
    tag, at = text[at : at + 1], at + 1
    match tag:
        case b"n":
            return None, at
        case b"i":
            return int.from_bytes(text[at : at + 8], "little", signed=True), at + 8
        case b"d":
            return unpack_from("<d", text, at)[0], at + 8
    size, at = unpack_from("<I", text, at)[0], at + 4
    match tag:
        case b"b":
            return _text(text[at : at + size]), at + size
        case b"e":
            return CommandError(text[at : at + size].decode(errors="replace")), at + size
        case b"a":
            values = []
            for _ in range(size):
                value, at = _reply(text, at)
                values.append(value)
            return values, at
    raise ValueError(f"not a reply: {tag!r}")


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
