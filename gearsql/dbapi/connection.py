"""A connection: the shards, the catalog, and perhaps a server of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from gearsql import errors
from gearsql.cluster.presence import Wanted
from gearsql.dbapi.cursor import Cursor
from gearsql.dbapi.functions import function_of, located
from gearsql.embedded import Cluster
from gearsql.engine import Engine
from gearsql.errors import FunctionDefinitionError, FunctionExistsError, InterfaceError, NotSupportedError
from gearsql.plan.stages import AclMode, ReadFrom, ScanMode

Subject = TypeVar("Subject", bound=Callable[..., Any])


def connect(
    url: str | None = None,
    *,
    reader: Wanted = "auto",
    timeout: float | None = None,
    session: str = "",
    scan: ScanMode = "sliced",
    acl: AclMode = "error",
    files: bool = False,
    limits: Mapping[str, int] | None = None,
    read_from: ReadFrom = "primary",
    **options: Any,
) -> Connection:
    """Connect to a server or cluster by redis://, rediss:// or unix:// URL.

    Without `url`: $GEARSQL_URL, or else a server of this connection's own, which ends with it. `reader` says
    who reads the keys: 'module' (in the servers), 'portable' (this client, slower), or 'auto'. `timeout`
    bounds each statement in seconds, unless execute() says otherwise. `session` names the session that
    functions in Python run in on each server; else connections of one user share theirs. `scan` says how each
    server is read: 'sliced', in turns between other clients' commands, or 'snapshot', as of one moment. `acl`
    says what a query does when the user may not read some of a table's keys: 'error', it fails, or 'skip', it
    answers over the others and a note says how many were left out. `read_from` is 'primary',
    'replica' (of a cluster, where one has caught up with its primary; else the primary, and a note says so),
    or 'replica-only'. `limits` bounds what a query does on each shard: rows, shipped_rows, shipped_bytes,
    frame_bytes, and memory (bytes, which also holds for its merge here). `files` allows COPY, which reads
    and writes files of this machine. Further options are redis-py's.
    """
    url = url or os.environ.get("GEARSQL_URL")
    server = Cluster(1) if url is None else None
    try:
        engine = Engine(
            url or _url_of(server),
            options,
            reader=reader,
            timeout=timeout,
            session=session,
            scan=scan,
            acl=acl,
            files=files,
            limits=limits,
            read_from=read_from,
        )
        return Connection(engine, server)
    except BaseException:
        if server is not None:
            server.stop()
        raise


def _url_of(server: Cluster | None) -> str:
    assert server is not None
    return server.url


class Connection:
    """PEP 249 connection. There are no transactions: each query reads what is there."""

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, engine: Engine, server: Cluster | None = None) -> None:
        """Use connect(); `server` is stopped by close()."""
        self._engine: Engine | None = engine
        self._server = server

    @property
    def engine(self) -> Engine:
        """What runs the statements; raises InterfaceError when the connection is closed."""
        if self._engine is None:
            raise InterfaceError("the connection is closed")
        return self._engine

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        _ = self.engine
        return Cursor(self)

    def execute(
        self,
        operation: str,
        parameters: Any = None,
        *,
        scan: ScanMode | None = None,
        timeout: float | None = None,
    ) -> Cursor:
        """Return a new cursor that has executed the statement; options as in Cursor.execute()."""
        return self.cursor().execute(operation, parameters, scan=scan, timeout=timeout)

    def create_function(
        self, function: Callable[..., Any], name: str | None = None, *, replace: bool = False, **options: Any
    ) -> None:
        """Define a function of SQL on all shards from a Python def or class, which is shipped as its source.

        Types come from annotations, or `parameters` and `returns`. A class with accumulate, merge and finish
        is an aggregate, a generator a table function. Further options: vectorised, called_on_null, volatile,
        isolation, on_error, requires; see docs/hooks.md.
        """
        definition = function_of(function, name, **options)
        try:
            self.engine.functions.define(definition, replace=replace)
        except FunctionExistsError as error:
            error.hint = "replace=True"
            raise
        except FunctionDefinitionError as error:
            raise located(error, definition) from None

    @overload
    def function(self, function: Subject, /) -> Subject: ...

    @overload
    def function(self, /, **options: Any) -> Callable[[Subject], Subject]: ...

    def function(self, function: Subject | None = None, /, **options: Any) -> Any:
        """Decorate with create_function: `@conn.function` or `@conn.function(volatile=True)`.

        The Python function stays what it is, and can be called.
        """

        def decorate(subject: Subject) -> Subject:
            self.create_function(subject, **options)
            return subject

        return decorate if function is None else decorate(function)

    def commit(self) -> None:
        """Do nothing: there is nothing to commit."""
        _ = self.engine

    def rollback(self) -> None:
        """Raise: there is nothing to take back."""
        _ = self.engine
        raise NotSupportedError("there are no transactions")

    def close(self) -> None:
        """Disconnect, and end the connection's own server; again is an error, as PEP 249 wants."""
        self.engine.close()
        self._engine = None
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self.close()
