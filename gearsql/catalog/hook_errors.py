"""What a session tells about a failed hook (the JSON of mailbox.h's ERROR) → our named errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gearsql.errors import FunctionDefinitionError, HookError

# Of the message's "kind": the function was not called at all.
DEFINITION_KINDS = frozenset({"definition", "source", "import", "requires"})


def hook_error(told: Mapping[str, Any], shard: str | None = None) -> HookError | FunctionDefinitionError:
    """Return the error of a function that failed on `shard`, or in this client."""
    name = str(told.get("function") or "a function")
    where = f" ({_place(shard)})"
    type_, said = str(told.get("type") or ""), str(told.get("message") or "")
    what = ": ".join(part for part in (type_, said) if part)
    if told.get("kind") in DEFINITION_KINDS:
        error = FunctionDefinitionError(f"{name}: {what}{where}", hint=told.get("hint"))
        error.source_line = told.get("line")
        return error
    return HookError(
        f"{name}() failed: {what}{where}",
        function=name,
        traceback=str(told.get("traceback") or ""),
        arguments=tuple(_arguments(told.get("arguments"))),
        row=told.get("row"),
        shard=shard,
        hint=told.get("hint"),
    )


def _place(shard: str | None) -> str:
    return "in this client" if shard is None else f"shard {shard}"


def _arguments(told: Any) -> Iterator[tuple[str, str]]:
    match told:
        case Mapping():
            yield from ((str(name), str(value)) for name, value in told.items())
        case [*pairs]:
            for index, pair in enumerate(pairs, 1):
                match pair:
                    case [name, value]:
                        yield str(name), str(value)
                    case value:
                        yield f"argument {index}", str(value)
