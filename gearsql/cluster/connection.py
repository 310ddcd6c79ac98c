"""Connections to shards: redis-py's transport, without its retries, with our timeouts and errors.

A stage may run for long and must run once: redis-py's client would end it after 5 s and send it again,
ten times. So this uses redis-py's Connection, which knows URLs, TLS, ACL logins and the protocol.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.connection import (
    Connection,
    ConnectionInterface,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from gearsql.cluster.replies import error_from_reply
from gearsql.errors import CancelledError, Error, InterfaceError

Word = str | bytes | int | float
Command = Sequence[Word]

CONNECT_SECONDS = 5.0
# For answers that take a server no time; a stopped server takes connections and answers nothing.
ANSWER_SECONDS = 10.0
CLIENT_NAME = "gearsql"
# A peer that vanished without a word is noticed after about a minute, however long a stage runs.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def _not_a_url(url: str, error: ValueError) -> InterfaceError:
    """Say what is wrong with a URL, and nothing of its password."""
    _, at, place = url.rpartition("@")
    if at:
        hint = "odd characters of a user or password are written as %2F, %40, …"
        return InterfaceError(f"not a server URL: …@{place}", hint=hint)
    return InterfaceError(f"not a server URL: {url!r} ({error})")


class Endpoint:
    """How to reach a server: a redis://, rediss:// or unix:// URL and redis-py's connection options."""

    def __init__(self, url: str, options: Mapping[str, Any], timeout: float | None = None) -> None:
        """Parse the URL; `options` go before what it says."""
        self._answer_seconds = ANSWER_SECONDS if timeout is None else min(timeout, ANSWER_SECONDS)
        try:
            settings: dict[str, Any] = {**parse_url(url), **options}
        except ValueError as e:
            raise _not_a_url(url, e) from None
        tls = settings.pop("ssl", False)
        default = SSLConnection if tls else Connection
        self._kind: type[ConnectionInterface] = settings.pop("connection_class", default)
        self._settings = self._transport(settings)

    def open(
        self, host: str | None = None, port: int | None = None, seconds: float | None = None
    ) -> ShardConnection:
        """Connect to the URL's own server, or to another one by the same rules.

        `seconds` is how long that and an answer may take at most; None: as everywhere.
        """
        settings = dict(self._settings)
        if host is not None:
            settings |= {"host": host, "port": port}
        if seconds is not None:
            limits = ("socket_timeout", "socket_connect_timeout")
            settings |= {limit: min(seconds, settings[limit]) for limit in limits}
        try:
            connection = self._kind(**settings)
        except (TypeError, ValueError) as e:
            raise InterfaceError(f"bad connection option: {e}") from e
        return ShardConnection(connection, self._name(settings))

    @property
    def name(self) -> str:
        """What connections to the URL's own server are called."""
        return self._name(self._settings)

    @property
    def host(self) -> str:
        """The host that the URL names."""
        return str(self._settings.get("host", "localhost"))

    def _transport(self, settings: dict[str, Any]) -> dict[str, Any]:
        ours: dict[str, Any] = {"socket_timeout": self._answer_seconds, "decode_responses": False}
        ours |= {"driver_info": None, "protocol": 2}
        defaults: dict[str, Any] = {"socket_connect_timeout": CONNECT_SECONDS}
        if self._kind is not UnixDomainSocketConnection:
            known = {
                getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)
            }
            defaults |= {"socket_keepalive": True, "socket_keepalive_options": known}
        return defaults | settings | ours

    @staticmethod
    def _name(settings: Mapping[str, Any]) -> str:
        return str(
            settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
        )


class ShardConnection:
    """One connection to one shard. It may be closed from another thread, which ends a read that waits."""

    def __init__(self, connection: ConnectionInterface, name: str) -> None:
        """Connect; the server does not learn of us more than a name."""
        self.name = name
        self._connection = connection
        self._closed = False
        self._do(connection.connect)
        self.ask_all([("CLIENT", "SETNAME", CLIENT_NAME)])

    def send(self, *commands: Command) -> None:
        """Send commands in one write; each has one reply to read."""
        self.send_packed(self._connection.pack_commands(commands))

    def send_packed(self, commands: list[bytes]) -> None:
        """Send commands that are in the protocol's form already."""
        # redis-py would connect anew by itself, and a stage's next frame is only on its own connection.
        self._refuse_if_closed()
        self._do(self._connection.send_packed_command, commands, check_health=False)

    def read(self) -> Any:
        """Return the next reply, however long it takes; raise our error for an error reply."""
        return self._do(self._connection.read_response, timeout=None)

    def ask(self, *words: Word) -> Any:
        """Send one command and return its reply, which takes the server no time."""
        self.send(words)
        return self._do(self._connection.read_response)

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one write and return all replies; an error reply is returned, not raised."""
        self.send(*commands)
        return self.read_all(len(commands))

    def read_all(self, count: int) -> list[Any]:
        """Return the next `count` replies; an error reply is returned, not raised."""
        return [self._read_or_error() for _ in range(count)]

    def is_idle(self) -> bool:
        """Tell whether the connection can be used again: open, and nothing left to read."""
        if self._closed:
            return False
        try:
            return not self._connection.can_read(timeout=0)
        except (redis.RedisError, OSError):
            return False

    @property
    def closed(self) -> bool:
        """Whether close() was called, or the server was lost."""
        return self._closed

    def close(self) -> None:
        """Disconnect; on the server this frees the connection's stage."""
        self._closed = True
        self._connection.disconnect()

    def _read_or_error(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as e:
            return error_from_reply(self.name, e)
        except (redis.RedisError, OSError) as e:
            raise self._failure(e) from e

    def _do(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except (redis.RedisError, OSError, ValueError) as e:
            raise self._failure(e) from e

    def _failure(self, error: Exception) -> Error:
        self._refuse_if_closed()
        if isinstance(error, redis.ResponseError):
            return error_from_reply(self.name, error)
        self.close()
        known = error if isinstance(error, redis.RedisError) else redis.ConnectionError(str(error))
        return error_from_reply(self.name, known)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise CancelledError(f"the connection to {self.name} was closed", shard=self.name)
