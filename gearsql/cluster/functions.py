"""The functions that users defined, as the servers know them; defining and dropping them on every shard.

Each shard has all of them. A version counts all changes, and dropped functions leave one: the later wins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from gearsql.catalog.function import Function, Known
from gearsql.catalog.names import fold
from gearsql.cluster.connection import ShardConnection, Word
from gearsql.cluster.gather import gather
from gearsql.cluster.shards import Shards
from gearsql.cluster.status import flat, text
from gearsql.cluster.topology import Shard
from gearsql.errors import (
    AccessDeniedError,
    Error,
    FunctionChangedError,
    FunctionExistsError,
    ModuleMissingError,
    NotSupportedError,
    OperationalError,
    UnknownFunctionError,
)

TRIES = 20
# Clients that change functions at the same moment come back at different ones.
PAUSE_SECONDS = 0.1
RIGHTS_HINT = "defining and dropping functions takes: ACL SETUSER <user> +gearsql.define +gearsql.undefine"

__all__ = ["Functions", "Known"]


class Functions:
    """The functions of a cluster, and a cache of what a query needs of them."""

    def __init__(self, shards: Shards) -> None:
        """Nothing is asked yet."""
        self._shards = shards
        self._known: dict[str, Known] = {}

    def find(self, names: Collection[str]) -> dict[str, Known]:
        """Return those of some names that are functions; asks the servers if one is not in the cache."""
        wanted = {fold(name) for name in names}
        if not wanted <= self._known.keys():
            try:
                self._known = _living(self._listing())
            except ModuleMissingError:
                return {}
        return {name: self._known[name] for name in wanted & self._known.keys()}

    def refresh(self) -> None:
        """Forget: a shard knows another version."""
        self._known = {}

    def all(self) -> list[Known]:
        """Return all functions by name, asked now."""
        self._known = _living(self._listing_now())
        return [self._known[name] for name in sorted(self._known)]

    def near(self, name: str) -> tuple[str, ...]:
        """Return the names like one that is none, without asking."""
        return tuple(get_close_matches(fold(name), self._known))

    def define(self, function: Function, *, replace: bool = False, if_not_exists: bool = False) -> bool:
        """Define a function on all shards or none: every shard loads it before any has it.

        False: it was there, and is left as it is.
        """

        checked = False

        def change(listed: dict[str, _Listed]) -> bool:
            nonlocal checked
            if not _may_define(function, listed, replace, if_not_exists):
                return False
            if not checked:
                words = _definition_words(function, _next_version(listed))
                self._ask_all(("GEARSQL.DEFINE", "CHECK", *words))
                # That took its time: others may have been here meanwhile.
                checked, listed = True, self._listing()
                if not _may_define(function, listed, replace, if_not_exists):
                    return False
            words = _definition_words(function, _next_version(listed))
            self._store(function.name, "defined", ("GEARSQL.DEFINE", "SET", *words))
            return True

        return self._change(change)

    def drop(self, name: str, *, if_exists: bool = False) -> None:
        """Drop a function on all shards."""

        def change(listed: dict[str, _Listed]) -> bool:
            if fold(name) not in _living(listed):
                if if_exists:
                    return False
                raise self.unknown(name)
            words = ("GEARSQL.UNDEFINE", _next_version(listed), fold(name))
            self._store(fold(name), "dropped", words)
            return True

        self._change(change)

    def get(self, name: str) -> Known:
        """Return one function; raise UnknownFunctionError with the near ones."""
        found = {known.function.name: known for known in self.all()}
        if fold(name) not in found:
            raise self.unknown(name)
        return found[fold(name)]

    def unknown(self, name: str) -> UnknownFunctionError:
        """Return the error for a name that is no function."""
        near = self.near(name)
        hint = f"did you mean {' or '.join(near)}?" if near else None
        return UnknownFunctionError(f"no function {name}", candidates=near, hint=hint)

    def _change(self, change: Callable[[dict[str, _Listed]], bool]) -> bool:
        """Change on the grounds of what is there; again if another client was faster."""
        for tries_left in reversed(range(TRIES)):
            listed = self._listing_now()
            self._known = _living(listed)
            try:
                return change(listed)
            except AccessDeniedError as error:
                error.hint = RIGHTS_HINT
                raise
            except FunctionChangedError as error:
                if not tries_left:
                    raise OperationalError(
                        "functions are changed by too many clients at once", hint="try again"
                    ) from error
                time.sleep(random.uniform(0, PAUSE_SECONDS))
            finally:
                self.refresh()
        raise AssertionError

    def _store(self, name: str, done: str, words: tuple[Word, ...]) -> None:
        """Ask all shards and account for each: a change that some have made spreads to the rest by itself."""
        replies = dict(gather(self._shards, lambda _, connection: _reply(connection, words)))
        failed = {shard: error for shard, error in replies.items() if error is not None}
        if not failed:
            return
        shard, error = next(iter(failed.items()))
        if len(failed) == len(replies) or isinstance(error, FunctionChangedError):
            raise error
        stored = ", ".join(sorted(replies.keys() - failed.keys()))
        raise OperationalError(
            f"{name} is {done} on {stored}, and {shard} failed: {error.message}",
            hint=f"{', '.join(sorted(failed))} will get it from the others by the cluster bus",
        ) from error

    def _ask_all(self, words: tuple[Word, ...]) -> None:
        """Ask all shards; the first error is raised."""

        def ask(_: Shard, connection: ShardConnection) -> Iterator[None]:
            connection.send(words)
            connection.read()  # A session that compiles and imports takes its time.
            yield None

        list(gather(self._shards, ask))

    def _listing(self) -> dict[str, _Listed]:
        """What the shards know together, dropped ones among it."""

        def ask(_: Shard, connection: ShardConnection) -> Iterator[list[_Listed]]:
            yield [_listed(function) for function in connection.ask("GEARSQL.FUNCTIONS")]

        latest: dict[str, _Listed] = {}
        for listed in (function for functions in gather(self._shards, ask) for function in functions):
            if listed.name not in latest or latest[listed.name].age < listed.age:
                latest[listed.name] = listed
        return latest

    def _listing_now(self) -> dict[str, _Listed]:
        """The listing of the shards that are there now: a primary may have been replaced meanwhile."""
        self._shards.refresh()
        try:
            return self._listing()
        except ModuleMissingError as missing:
            raise NotSupportedError(
                f"functions live in the gearsql module, and {missing.shard} has not loaded it",
                hint="load it there: `gearsql module` prints the line",
            ) from missing


@dataclass(frozen=True)
class _Listed:
    """What a shard says about a function; `known` is None for one that was dropped."""

    name: str
    age: tuple[int, bytes]
    known: Known | None


def _listed(pairs: list[Any]) -> _Listed:
    told = flat(pairs)
    version = int(told["version"])
    age = version, bytes(told["hash"])
    if int(told["deleted"]):
        return _Listed(text(told["name"]), age, None)
    function = Function.from_definition(told["definition"], version)
    return _Listed(function.name, age, Known(function, text(told["call"])))


def _living(listed: dict[str, _Listed]) -> dict[str, Known]:
    return {name: function.known for name, function in listed.items() if function.known is not None}


def _may_define(function: Function, listed: dict[str, _Listed], replace: bool, if_not_exists: bool) -> bool:
    """Whether a definition goes on; FunctionExistsError if the name is taken and may not be."""
    if replace or function.name not in _living(listed):
        return True
    if if_not_exists:
        return False
    hint = "CREATE OR REPLACE FUNCTION, or IF NOT EXISTS"
    raise FunctionExistsError(f"function {function.name} exists", hint=hint)


def _next_version(listed: dict[str, _Listed]) -> int:
    return max((function.age[0] for function in listed.values()), default=0) + 1


def _definition_words(function: Function, version: int) -> tuple[Word, ...]:
    types = [type_ for _, type_ in function.parameters]
    return (
        version,
        function.hash,
        function.name,
        "AGGREGATE" if function.kind == "aggregate" else "SCALAR",
        function.isolation.upper(),
        "VOLATILE" if function.volatile else "IMMUTABLE",
        "PARAMS",
        len(types),
        *types,
        "RETURNS",
        function.returns,
        "DEFINITION",
        function.definition(),
    )


def _reply(connection: ShardConnection, words: tuple[Word, ...]) -> Iterator[tuple[str, Error | None]]:
    """Yield a shard's name and its error, of whatever kind."""
    try:
        connection.ask(*words)
    except Error as error:
        yield connection.name, error
    else:
        yield connection.name, None
