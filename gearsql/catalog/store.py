"""The catalog in the cluster itself, so that every client sees it: string keys, all in one slot.

    {gearsql}:table:<name>        a declared table or a view, as JSON
    {gearsql}:tables              the set of their names
    {gearsql}:inferred:<pattern>  what was inferred for an undeclared table, as JSON
    {gearsql}:version             counts the changes; each table carries the count of its own

Never a hash key: the catalog is no row of any table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Protocol

from gearsql.catalog.names import fold
from gearsql.catalog.stored import from_json, to_json
from gearsql.catalog.table import Glob, Table
from gearsql.catalog.view import View, ViewNamedError
from gearsql.errors import AccessDeniedError, Error, OperationalError, TableExistsError, UnknownTableError

TAG = b"{gearsql}"
VERSION_KEY = "{gearsql}:version"
NAMES_KEY = "{gearsql}:tables"
READ_HINT = "declared tables are in the catalog: ACL SETUSER <user> %R~{gearsql}:*"
TRIES = 20
MOST_SEEN = 256
"""Texts of the catalog whose tables are kept."""

Command = Sequence[Any]


class Commands(Protocol):
    """A connection to the server that owns the catalog's slot."""

    def ask(self, *words: Any) -> Any:
        """Send a command and return its reply."""
        ...

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their replies, errors among them."""
        ...


class Catalog:
    """Tables by name. Names compare without case, as DuckDB's do."""

    def __init__(self, owner: Callable[[], Commands]) -> None:
        """`owner` connects to the server that owns the slot of TAG."""
        self._owner = owner
        # For a user who may not write the catalog's keys.
        self._unstored: dict[bytes, Table] = {}
        self._seen: dict[bytes, tuple[bytes | None, Table | None]] = {}

    def create(self, table: Table | View, *, replace: bool = False, if_not_exists: bool = False) -> bool:
        """Add a declared table or a view and say whether it was added; of several at once one wins."""
        condition = [] if replace else ["NX"]
        if replace and self._is_other_kind(table):
            other = "table" if isinstance(table, View) else "view"
            raise TableExistsError(f"{table.name} is a {other}", hint=f"DROP {other.upper()} {table.name}")
        replies = self._change(_table_key(table.name), table, condition, ("SADD", NAMES_KEY, table.name))
        if replies[0] is None and not if_not_exists:
            kind = "view" if isinstance(table, View) else "table"
            raise TableExistsError(
                f"{kind} {table.name} exists", hint=f"CREATE OR REPLACE {kind.upper()}, or IF NOT EXISTS"
            )
        return replies[0] is not None

    def drop(self, name: str, *, if_exists: bool = False) -> None:
        """Remove a declared table; its rows are nobody's but the user's and stay."""
        table = self.find(name)
        if table is not None:
            commands = [("DEL", _table_key(name)), ("SREM", NAMES_KEY, table.name), ("INCR", VERSION_KEY)]
            if _transaction(self._owner(), commands)[0]:
                return
        if not if_exists:
            raise self.unknown(name)

    def find(self, name: str) -> Table | None:
        """Return a declared table, or raise ViewNamedError; None also if the user may not read it."""
        return self._read(_table_key(name))

    def drop_view(self, name: str, *, if_exists: bool = False) -> None:
        """Remove a view."""
        view = self.find_view(name)
        if view is None and self.find(name) is not None:
            raise UnknownTableError(f"{name} is a table, and no view", hint=f"DROP TABLE {name}")
        if view is not None:
            _transaction(
                self._owner(),
                [("DEL", _table_key(name)), ("SREM", NAMES_KEY, view.name), ("INCR", VERSION_KEY)],
            )
        elif not if_exists:
            error = self.unknown(name)
            raise UnknownTableError(
                f"no view {name}", candidates=error.candidates, hint=error.hint or "SHOW TABLES lists views"
            )

    def find_view(self, name: str) -> View | None:
        """Return a view; None if the name is none's."""
        try:
            self.find(name)
        except ViewNamedError as found:
            return found.view
        return None

    def _is_other_kind(self, table: Table | View) -> bool:
        try:
            found = self.find(table.name)
        except ViewNamedError:
            return not isinstance(table, View)
        return found is not None and isinstance(table, View)

    def inferred(self, pattern: str) -> Table | None:
        """Return what was inferred for a pattern before."""
        key = _inferred_key(pattern)
        return self._unstored.get(key.encode(errors="surrogateescape")) or self._read(key)

    def keep_inferred(self, table: Table, *, shared: bool = True) -> Table:
        """Store an inference for all clients; for this one if not `shared` or the user may not write."""
        key = _inferred_key(table.name)
        if shared:
            try:
                return replace(table, version=self._change(key, table, [])[-1])
            except AccessDeniedError:
                pass
        table = replace(table, version=table.version + 1)
        self._unstored[key.encode(errors="surrogateescape")] = table
        return table

    def evidence(self, name: str) -> list[tuple[bytes, bytes]] | None:
        """Return what has to be in the catalog for a name still to mean what find() and inferred() said last.

        Pairs of key and text, b'' for none; None if the catalog does not tell.
        """
        found = []
        for key in (_encoded(_table_key(name)), _encoded(_inferred_key(name))):
            if key in self._unstored or key not in self._seen:
                return None
            stored, table = self._seen[key]
            found.append((key, stored or b""))
            if table is not None:
                return found
        return None

    def names(self) -> list[str]:
        """Return the names of the declared tables, sorted."""
        return sorted(name.decode() for name in self._owner().ask("SMEMBERS", NAMES_KEY))

    def unknown(self, name: str) -> UnknownTableError:
        """Return the error for a name that is no table, with the near ones."""
        try:
            near = tuple(get_close_matches(name, self.names()))
        except AccessDeniedError:
            return UnknownTableError(f"no table {name} that this user may read", hint=READ_HINT)
        except Error:
            near = ()
        hint = f"did you mean {' or '.join(near)}?" if near else None
        return UnknownTableError(f"no table {name}", candidates=near, hint=hint)

    def _read(self, key: str) -> Table | None:
        name = _encoded(key)
        try:
            stored = self._owner().ask("GET", name)
        except AccessDeniedError:
            self._seen.pop(name, None)
            return None
        if name not in self._seen or self._seen[name][0] != stored:
            self._seen.pop(name, None)
            self._seen[name] = stored, None if stored is None else from_json(stored)
            if len(self._seen) > MOST_SEEN:
                del self._seen[next(iter(self._seen))]
        return self._seen[name][1]

    def _change(self, key: str, table: Table | View, condition: list[str], *more: Command) -> list[Any]:
        """Set a table and count the change in one transaction; SET's reply comes first, the version last."""
        owner = self._owner()
        for _ in range(TRIES):
            owner.ask("WATCH", VERSION_KEY)
            version = int(owner.ask("GET", VERSION_KEY) or 0) + 1
            setting = ("SET", _encoded(key), to_json(replace(table, version=version)), *condition)
            try:
                return _transaction(owner, [setting, *more, ("INCR", VERSION_KEY)])
            except _ChangedMeanwhileError:
                continue
        raise OperationalError("the catalog is changed by too many clients at once", hint="try again")


class _ChangedMeanwhileError(Exception):
    """Another client was faster."""


def _transaction(owner: Commands, commands: Sequence[Command]) -> list[Any]:
    replies = owner.ask_all([("MULTI",), *commands, ("EXEC",)])
    for reply in replies:
        if isinstance(reply, Error):
            raise reply
    if replies[-1] is None:
        raise _ChangedMeanwhileError
    return list(replies[-1])


def undeclared(pattern: str) -> Table:
    """Return the table of a pattern whose keys are not known yet: no columns but `_key`."""
    return Table(pattern, Glob(pattern.encode(errors="surrogateescape")), (), declared=False, version=0)


def _table_key(name: str) -> str:
    return f"{{gearsql}}:table:{fold(name)}"


def _inferred_key(pattern: str) -> str:
    return f"{{gearsql}}:inferred:{pattern}"


def _encoded(key: str) -> bytes:
    return key.encode(errors="surrogateescape")
