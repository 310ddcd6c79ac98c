"""Samples hashes of one shard: SCAN until there are enough, then their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gearsql.catalog.infer import Hash
from gearsql.catalog.store import Commands
from gearsql.errors import AccessDeniedError, Error, SlotsMovedError

SAMPLES_PER_SHARD = 500
READ_KEYS = "to read a table takes the right to all of its keys: ACL SETUSER <user> %R~<pattern>"
FIRST_COUNT, LAST_COUNT = 500, 20_000


def sample(connection: Commands, pattern: bytes, wanted: int = SAMPLES_PER_SHARD) -> list[Hash]:
    """Return `wanted` hashes whose keys match `pattern`, or all there are if they are fewer."""
    keys = _some_keys(connection, pattern, wanted)
    replies = connection.ask_all([("HGETALL", key) for key in keys]) if keys else []
    # A key may have gone: it is no sample then.
    return [
        (key, list(zip(fields[::2], fields[1::2], strict=True)))
        for key, reply in zip(keys, replies, strict=True)
        if (fields := _fields(reply))
    ]


def sample_readable(connection: Commands, pattern: bytes, wanted: int = SAMPLES_PER_SHARD) -> list[Hash]:
    """Return as many of the hashes that the user may read; keys are looked at until there are enough."""
    found: dict[bytes, Hash] = {}
    for page in _pages(connection, pattern):
        keys = [key for key in page if key not in found]
        for key, reply in zip(keys, connection.ask_all([("HGETALL", key) for key in keys]), strict=True):
            fields = [] if isinstance(reply, AccessDeniedError) else _fields(reply)
            if fields:
                found[key] = (key, list(zip(fields[::2], fields[1::2], strict=True)))
        if len(found) >= wanted:
            break
    return list(found.values())[:wanted]


def _fields(reply: Any) -> list[bytes]:
    """Return names and values in turn; none for a key that is no hash any more, or moves to another shard."""
    if isinstance(reply, Error):
        if "WRONGTYPE" in reply.message or isinstance(reply, SlotsMovedError):
            return []
        if isinstance(reply, AccessDeniedError):
            reply.hint = f"{READ_KEYS}; acl='skip' answers over the keys that may be read"
        raise reply
    return list(reply)


def _some_keys(connection: Commands, pattern: bytes, wanted: int) -> list[bytes]:
    found: dict[bytes, None] = {}
    for page in _pages(connection, pattern):
        found.update(dict.fromkeys(page))
        if len(found) >= wanted:
            break
    return list(found)[:wanted]


def _pages(connection: Commands, pattern: bytes) -> Iterator[list[bytes]]:
    cursor, count = b"0", FIRST_COUNT
    while True:
        cursor, keys = connection.ask("SCAN", cursor, "MATCH", pattern, "COUNT", count, "TYPE", "hash")
        yield keys
        if cursor == b"0":
            return
        # Rare keys are looked for in larger and larger steps.
        count = min(count * 2, LAST_COUNT)
