"""Functions by hand: GEARSQL.DEFINE and EXECUTE with HOOKS as any client can send them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import redis

from gearsql.catalog.function import Function
from tests.module.raw import Answer, Scan, Word, execute_words, stats_of

_versions = itertools.count(1)


def definition_words(function: Function, version: int = 1) -> list[Word]:
    """What stands behind CHECK or SET."""
    types = [type for _, type in function.parameters]
    kind = "AGGREGATE" if function.kind == "aggregate" else "SCALAR"
    stability = "VOLATILE" if function.volatile else "IMMUTABLE"
    words: list[Word] = [version, function.hash, function.name, kind, function.isolation.upper(), stability]
    words += ["PARAMS", len(types), *types, "RETURNS", function.returns, "DEFINITION", function.definition()]
    return words


class Hook:
    """A function that is defined on one server, for stages there."""

    def __init__(self, client: redis.Redis, function: Function) -> None:
        """Define it, as a later version than all that this process has defined."""
        self.function = function
        known = [int(told["version"]) for told in functions(client)]
        version = max([*known, next(_versions)]) + 1
        client.execute_command("GEARSQL.DEFINE", "SET", *definition_words(function, version))
        (told,) = [told for told in functions(client) if told["name"] == function.name.encode()]
        self.call = told["call"].decode()
        assert told["hash"].decode() == function.hash

    @property
    def words(self) -> tuple[Word, Word]:
        """Name and hash, as HOOKS wants them."""
        return self.function.name, self.function.hash


def functions(client: redis.Redis) -> list[dict[str, Any]]:
    """What GEARSQL.FUNCTIONS tells."""
    replies = client.execute_command("GEARSQL.FUNCTIONS")
    return [{flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)} for flat in replies]


def scalar(
    client: redis.Redis, name: str, parameters: str, returns: str, source: str, **options: Any
) -> Hook:
    """Define f(a0, a1, …), its parameters' types parted by '; '."""
    typed = tuple((f"a{i}", type) for i, type in enumerate(filter(None, parameters.split("; "))))
    return Hook(client, Function(name, "scalar", typed, returns, source, **options))


def aggregate(
    client: redis.Redis, name: str, parameters: str, returns: str, source: str, **options: Any
) -> Hook:
    """Define an aggregate in the same way; the source is a class."""
    typed = tuple((f"a{i}", type) for i, type in enumerate(parameters.split("; ")))
    return Hook(client, Function(name, "aggregate", typed, returns, source, **options))


def hook_words(
    sql: str, hooks: Sequence[Hook | tuple[Word, Word]], *scans: Scan, session: str = "", stage: str = "q"
) -> list[Word]:
    """The whole command."""
    words = execute_words(sql, *(scans or (Scan(),)), stage=stage)
    pairs = [hook.words if isinstance(hook, Hook) else hook for hook in hooks]
    named = ["HOOKS", session, len(pairs), *(word for pair in pairs for word in pair)]
    return [*words[:-2], *named, *words[-2:]]


def run_hooks(
    client: redis.Redis, sql: str, hooks: Sequence[Hook], *scans: Scan, session: str = "", stage: str = "q"
) -> Answer:
    """Execute and fetch to the end. In the SQL, `h0(` calls hook 0, and `s0(` its partial state."""
    names: dict[str, str] = {}
    for i, hook in enumerate(hooks):
        if hook.function.kind == "aggregate":
            names[f"h{i}"] = f"{hook.call}_{i}({i}, "
            names[f"s{i}"] = f"{hook.call}_{i}_state({i}, "
        else:
            names[f"h{i}"] = f"{hook.call}({i}, " if hook.function.parameters else f"{hook.call}({i}"
    for name, call in names.items():
        sql = sql.replace(f"{name}(", call)
    frame, more, stats = client.execute_command(*hook_words(sql, hooks, *scans, session=session, stage=stage))
    frames = [frame]
    while more:
        frame, more, stats = client.execute_command("GEARSQL.FETCH", stage)
        frames.append(frame)
    table = pa.ipc.open_stream(io.BytesIO(b"".join(frames))).read_all()
    return Answer(table, frames, stats_of(stats))
