"""The elements of one shard's keys that are no hashes, page by page, for the portable reader.

By the commands that read a part of a key each; the rules for keys that change meanwhile are the module's
(module/read.h).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.table import ElementSource, FieldSource, KeyTemplate, KeyType, Part
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.pages import COUNT, Asked, Page, Wanted, new_keys
from gearsql.cluster.replies import misfit
from gearsql.errors import AccessDeniedError, Error, KeyChangedError, ShardError
from gearsql.native import json_member, match_template
from gearsql.plan.stages import Scan

LOOK_BACK = 8
_SERVER_TYPES: dict[KeyType, bytes] = {"json": b"string"}


@dataclass(frozen=True)
class _Element:
    parts: dict[Part, bytes]
    fields: dict[bytes, bytes | None]

    def values(self, wanted: Sequence[Wanted]) -> list[bytes | None]:
        return [
            self.parts[want.part] if isinstance(want, ElementSource) else self.fields.get(want)
            for want in wanted
        ]


def element_pages(connection: ShardConnection, scan: Scan, wanted: Sequence[Wanted]) -> Iterator[Page]:
    """Yield a row for each element of every key that matches; each key is read once."""
    for found in new_keys(connection, scan_pattern(scan.keys)):
        yield from elements_of(connection, scan, _matching(scan, found), wanted)


def elements_of(connection: Asked, scan: Scan, keys: list[bytes], wanted: Sequence[Wanted]) -> Iterator[Page]:
    """Yield a row for each element of these keys."""
    page = Page()
    keys = _of_type(connection, keys, scan.type, page)
    for key, elements in _READERS[scan.type](connection, keys, scan, page):
        for element in elements:
            page.keys.append(key)
            page.values.append(element.values(wanted))
        if len(page.keys) >= COUNT:
            yield page
            page = Page()
    yield page


def _matching(scan: Scan, keys: list[bytes]) -> list[bytes]:
    if not isinstance(scan.keys, KeyTemplate):
        return keys
    matched = match_template(scan.keys, pa.array(keys, pa.binary())).matched.to_pylist()
    return [key for key, matches in zip(keys, matched, strict=True) if matches]


def _of_type(connection: Asked, keys: list[bytes], type: KeyType, page: Page) -> list[bytes]:
    """Leave out keys of another type, which the page counts, and those that are gone."""
    wanted = _SERVER_TYPES.get(type, type.encode())
    found = connection.ask_all([("TYPE", key) for key in keys]) if keys else []
    kept = []
    for key, name in zip(keys, found, strict=True):
        match name:
            case AccessDeniedError():
                page.withheld[key] = name
            case Error():
                raise name
            case _ if name == wanted:
                kept.append(key)
            case _:
                page.skipped += name != b"none"
    return kept


def _ask_all(connection: Asked, commands: Sequence[Sequence[Any]]) -> list[Any]:
    replies: list[Any] = connection.ask_all(commands) if commands else []
    for reply in replies:
        if isinstance(reply, Error) and not _is_other_type(reply):
            raise reply
    # A key that has changed its type since: it is gone.
    return [None if isinstance(reply, Error) else reply for reply in replies]


def _is_other_type(reply: Error) -> bool:
    return isinstance(reply, ShardError) and "WRONGTYPE" in reply.message


Found = Iterator[tuple[bytes, list[_Element]]]


def _strings(connection: Asked, keys: list[bytes], scan: Scan, _: Page) -> Found:
    if not any(isinstance(column.source, ElementSource) for column in scan.columns):
        yield from ((key, [_Element({"value": b""}, {})]) for key in keys)
        return
    for key, value in zip(keys, _ask_all(connection, [("GET", key) for key in keys]), strict=True):
        if value is not None:
            yield key, [_Element({"value": value}, {})]


def _objects(connection: Asked, keys: list[bytes], scan: Scan, page: Page) -> Found:
    members = [(c, c.source.field) for c in scan.columns if isinstance(c.source, FieldSource)]
    if not members:
        yield from ((key, [_Element({}, {})]) for key in keys)
        return
    for key, text in zip(keys, _ask_all(connection, [("GET", key) for key in keys]), strict=True):
        if text is None:
            continue
        try:
            fields = {field: json_member(text, field) for _, field in members}
        except ValueError:
            if scan.on_error == "error":
                raise misfit(key, members[0][0].name, text, "member of a JSON object") from None
            page.misfits += 1
            if scan.on_error == "skip":
                continue
            fields = {}
        yield key, [_Element({}, fields)]


def _members(command: str) -> Callable[[Asked, list[bytes], Scan, Page], Found]:
    """SSCAN or ZSCAN, which may give a member twice."""
    step = 2 if command == "ZSCAN" else 1

    def read(connection: Asked, keys: list[bytes], _: Scan, __: Page) -> Found:
        firsts = _ask_all(connection, [(command, key, 0, "COUNT", COUNT) for key in keys])
        for key, first in zip(keys, firsts, strict=True):
            reply, seen = first, set[bytes]()
            while reply is not None:
                cursor, found = reply
                rows = []
                for index in range(0, len(found), step):
                    if found[index] not in seen:
                        seen.add(found[index])
                        parts: dict[Part, bytes] = {"value": found[index]}
                        if step == 2:
                            parts["score"] = score_text(found[index + 1])
                        rows.append(_Element(parts, {}))
                yield key, rows
                (reply,) = (
                    (None,)
                    if cursor == b"0"
                    else _ask_all(connection, [(command, key, cursor, "COUNT", COUNT)])
                )

    return read


def score_text(written: bytes) -> bytes:
    """Return a score as module/read.c writes it, whatever the server's way."""
    score = float(written)
    if abs(score) < 1e17 and score.is_integer():
        return b"%.0f" % score
    for digits in (15, 16, 17):
        text = f"{score:.{digits}g}"
        if float(text) == score:
            break
    return text.encode()


def _lists(connection: Asked, keys: list[bytes], _: Scan, __: Page) -> Found:
    firsts = _ask_all(connection, [("LRANGE", key, 0, COUNT - 1) for key in keys])
    for key, first in zip(keys, firsts, strict=True):
        values, start = first or [], 0
        while values:
            yield (
                key,
                [
                    _Element({"index": b"%d" % (start + place), "value": value}, {})
                    for place, value in enumerate(values)
                ],
            )
            start += len(values)
            if len(values) < COUNT:
                break
            known = values[-LOOK_BACK:]
            (again,) = _ask_all(connection, [("LRANGE", key, start - LOOK_BACK, start + COUNT - 1)])
            if again is None or again[:LOOK_BACK] != known:
                raise KeyChangedError(
                    "a list's elements moved while it was read, which takes more than one turn"
                )
            values = again[LOOK_BACK:]


def _streams(connection: Asked, keys: list[bytes], _: Scan, __: Page) -> Found:
    lasts = _ask_all(connection, [("XREVRANGE", key, "+", "-", "COUNT", 1) for key in keys])
    for key, last in zip(keys, lasts, strict=True):
        start: Any = b"-"
        while last:
            (entries,) = _ask_all(connection, [("XRANGE", key, start, last[0][0], "COUNT", COUNT)])
            if not entries:
                break
            yield key, [_Element({"index": id_}, _fields(flat)) for id_, flat in entries]
            start = b"(" + entries[-1][0]


def _fields(flat: list[bytes]) -> dict[bytes, bytes | None]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


_READERS: dict[KeyType, Callable[[Asked, list[bytes], Scan, Page], Found]] = {
    "string": _strings,
    "json": _objects,
    "set": _members("SSCAN"),
    "zset": _members("ZSCAN"),
    "list": _lists,
    "stream": _streams,
}
