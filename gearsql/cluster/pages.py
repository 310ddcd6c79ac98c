"""The hashes of one shard, page by page, with the fields that a scan wants: SCAN and pipelined HMGET."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gearsql.catalog.table import ElementSource
from gearsql.cluster.connection import Command, ShardConnection
from gearsql.errors import AccessDeniedError, Error, ShardError

COUNT = 1000

Values = Sequence[bytes | None]
Wanted = bytes | ElementSource
"""What a column reads of a row: a field by its name, or a part of an element (elements.py)."""


@dataclass
class Page:
    """Rows, and how many keys of another type, and values without any columns, were between them.

    `withheld` are keys that the user may not read.
    """

    keys: list[bytes] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    skipped: int = 0
    withheld: dict[bytes, AccessDeniedError] = field(default_factory=dict)
    misfits: int = 0


def pages(connection: ShardConnection, pattern: bytes, fields: Sequence[bytes]) -> Iterator[Page]:
    """Yield every hash whose key matches, exactly once; `values` are those of `fields`."""
    for keys in new_keys(connection, pattern):
        connection.send_packed([packed(keys, b"HMGET" if fields else b"HLEN", fields)])
        yield page_of(connection, keys, connection.read_all(len(keys)), len(fields))


def new_keys(connection: ShardConnection, pattern: bytes) -> Iterator[list[bytes]]:
    """Yield all keys that match, in pages; SCAN may hand over a key twice, so all keys are remembered."""
    seen: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, found = connection.ask("SCAN", cursor, "MATCH", pattern, "COUNT", COUNT)
        new = [key for key in dict.fromkeys(found) if key not in seen]
        seen.update(new)
        if new:
            yield new
        if cursor == b"0":
            return


class Asked(Protocol):
    """Whom commands are sent to."""

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their replies, errors among them."""
        ...


def page_of(connection: Asked, keys: list[bytes], replies: Sequence[Any], width: int) -> Page:
    """Return the rows of keys by the replies to their HMGET of `width` fields, to HLEN if there are none."""
    page, doubtful = Page(), []
    for key, reply in zip(keys, replies, strict=True):
        match reply:
            case ShardError() if "WRONGTYPE" in reply.message:
                page.skipped += 1
            case AccessDeniedError():
                page.withheld[key] = reply
            case Error():
                raise reply
            case 0:
                pass  # HLEN: the key has gone since SCAN saw it.
            case _ if width and not any(value is not None for value in reply):
                doubtful.append(key)
            case _:
                page.keys.append(key)
                page.values.append(reply if width else ())
    _add_empty(connection, page, doubtful, width)
    return page


def packed(keys: Sequence[bytes], command: bytes, fields: Sequence[bytes] = ()) -> bytes:
    """Write commands in the protocol's form: they differ in the key only, which redis-py cannot know."""
    words = [command, b"", *fields]
    bulks = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    head, tail = b"*%d\r\n%b" % (len(words), bulks[0]), b"".join(bulks[2:])
    return b"".join(b"%b$%d\r\n%b\r\n%b" % (head, len(key), key, tail) for key in keys)


def _add_empty(connection: Asked, page: Page, doubtful: list[bytes], width: int) -> None:
    """Add the keys without any of the fields that are there: a hash without them is a row of NULLs."""
    replies: list[Any] = connection.ask_all([("EXISTS", key) for key in doubtful]) if doubtful else []
    for key, exists in zip(doubtful, replies, strict=True):
        if isinstance(exists, Error):
            raise exists
        if exists:
            page.keys.append(key)
            page.values.append((None,) * width)
