"""The fastest client in Python that we know: a bare socket, commands joined by hand, hiredis parses."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import hiredis

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.resp import pack
from benchmarks.servers import Place


class HiredisRaw:
    """One round trip for each thousand keys: their HMGETs and the next SCAN; the fold overlaps."""

    name = "hiredis raw pipeline"

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()

    def prepare(self, place: Place, rows: Rows) -> None:
        self._socket = socket.create_connection(("127.0.0.1", place.ports[0]))

    def version(self) -> str:
        return f"hiredis {version('hiredis')}"

    def can(self, query: Query) -> bool:
        return True

    def run(self, query: Query) -> Answer:
        return {city.decode(): value for city, value in query.fold(self._batches(query.fields)).items()}

    def _batches(self, fields: Sequence[str]) -> Iterator[Sequence[Sequence[bytes]]]:
        head = b"*%d\r\n$5\r\nHMGET\r\n$" % (len(fields) + 2)
        tail = b"\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(name), name.encode()) for name in fields)
        self._send(_scan(b"0"))
        cursor, keys = self._replies(1)[0]
        pending: Sequence[Sequence[bytes]] = ()
        while True:
            commands = [b"%s%d\r\n%s%s" % (head, len(key), key, tail) for key in keys]
            more = [_scan(cursor)] if cursor != b"0" else []
            self._send(b"".join(commands + more))
            # The fold of the batch before runs now, while the server works on this one.
            yield pending
            pending = self._replies(len(commands) + len(more))
            if not more:
                yield pending
                return
            *pending, (cursor, keys) = pending

    def _send(self, commands: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(commands)

    def _replies(self, count: int) -> list[Any]:
        assert self._socket is not None
        replies: list[Any] = []
        while len(replies) < count:
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(1 << 18))
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _scan(cursor: bytes) -> bytes:
    return pack("SCAN", cursor, "MATCH", "user:*", "COUNT", "1000")
