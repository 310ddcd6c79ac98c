"""What a user's function is: a hook's signature, options and source. Plain data; JSON in the servers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

# By name: a hook that patches json patches it for the session that reads definitions, too.
from json import dumps, loads
from typing import Any, Literal

from gearsql.catalog.hook_types import ListOf, StructOf, parse_hook_type

Kind = Literal["scalar", "aggregate", "table"]
Vectorised = Literal["lists", "numpy", "arrow"]
Isolation = Literal["session", "process", "main"]
OnHookError = Literal["fail", "null"]

# What a definition, and so its hash, holds. A field that comes later must be left out at its default.
_FIELDS = (
    *("name", "kind", "parameters", "returns", "source", "vectorised", "called_on_null", "volatile"),
    *("isolation", "on_error", "requires"),
)


@dataclass(frozen=True)
class Function:
    """`name` is folded; types are canonical (hook_types.py).

    `returns` of a table function is the list of its rows: STRUCT("a" T, …)[]. `source` is a function's body,
    or a module text that defines `name`. `version` counts the changes of all functions and is not hashed.
    """

    name: str
    kind: Kind
    parameters: tuple[tuple[str, str], ...]
    returns: str
    source: str
    vectorised: Vectorised | None = None
    called_on_null: bool = False
    volatile: bool = False
    isolation: Isolation = "session"
    on_error: OnHookError = "fail"
    requires: tuple[str, ...] = ()
    version: int = 0

    @cached_property
    def hash(self) -> str:
        """Name the definition: servers run a stage only with the function that it was planned with."""
        return hashlib.sha256(_written(self._told()).encode()).hexdigest()

    def definition(self) -> str:
        """Return the JSON of module/mailbox.h."""
        return _written({**self._told(), "hash": self.hash})

    @classmethod
    def from_definition(cls, definition: str | bytes, version: int = 0) -> Function:
        """Read what definition() wrote."""
        told: dict[str, Any] = loads(definition)
        known = {name: told[name] for name in _FIELDS}
        known["parameters"] = tuple((name, type_) for name, type_ in told["parameters"])
        known["requires"] = tuple(told["requires"])
        return cls(**known, version=version)

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Names and types of a table function's columns."""
        match parse_hook_type(self.returns):
            case ListOf(StructOf(members)) if self.kind == "table":
                return tuple((name, str(type_)) for name, type_ in members)
        return ()

    @property
    def signature(self) -> str:
        """Return 'domain(email VARCHAR) → VARCHAR'."""
        takes = ", ".join(f"{name} {type_}" for name, type_ in self.parameters)
        rows = ", ".join(f"{name} {type_}" for name, type_ in self.rows)
        return f"{self.name}({takes}) → {f'TABLE ({rows})' if self.rows else self.returns}"

    def _told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}


@dataclass(frozen=True)
class Known:
    """A function as the servers know it; `call` is what SQL on a shard calls functions of its signature."""

    function: Function
    call: str


def _written(told: dict[str, Any]) -> str:
    return dumps(told, separators=(",", ":"))
