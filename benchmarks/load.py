"""Loads the rows as hashes in raw pipelines, each into the shard that owns its slot."""

from __future__ import annotations

import binascii
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence

import hiredis

from benchmarks.data import FIELDS, Rows
from benchmarks.resp import pack

SLOTS = 16_384
PIPELINE = 2_000


def load(rows: Rows, ports: Sequence[int]) -> None:
    """HSET every row; `ports` are in slot order, the slots spread evenly."""
    shards: defaultdict[int, list[bytes]] = defaultdict(list)
    for key, values in rows.hashes():
        shards[_shard(key, len(ports))].append(_hset(key, values))
    for shard, commands in shards.items():
        _send(ports[shard], commands)


def _shard(key: str, shards: int) -> int:
    slot = binascii.crc_hqx(key.encode(), 0) % SLOTS
    # Shard i begins with slot SLOTS * i // shards.
    return max(i for i in range(shards) if SLOTS * i // shards <= slot)


def _hset(key: str, values: Sequence[str]) -> bytes:
    pairs = (word for pair in zip(FIELDS, values, strict=True) for word in pair)
    return pack("HSET", key, *pairs)


def _send(port: int, commands: list[bytes]) -> None:
    reader = hiredis.Reader()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for batch in _batches(commands):
            connection.sendall(b"".join(batch))
            _await(connection, reader, len(batch))


def _await(connection: socket.socket, reader: hiredis.Reader, replies: int) -> None:
    while replies:
        reply = reader.gets()
        if reply is False:
            reader.feed(connection.recv(1 << 16))
        elif isinstance(reply, Exception):
            raise reply
        else:
            replies -= 1


def _batches(commands: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(commands), PIPELINE):
        yield commands[start : start + PIPELINE]
