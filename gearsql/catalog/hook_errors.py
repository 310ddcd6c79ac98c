"""What a session tells about a failed hook (the JSON of mailbox.h's ERROR) → our named errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gearsql.errors import Error, FunctionDefinitionError, HookDiedError, HookError, InternalError

MISSING_HINT = "install the package where that server's module finds its Python: `gearsql module` says where"
MEMORY_HINT = "the module's argument HOOK_MEMORY sets the bound, in MB"


def hook_error(told: Mapping[str, Any], shard: str | None = None) -> Error:
    """Return the error of a function that failed on `shard`, or in this client."""
    name = str(told.get("function") or "a function")
    where = "(in this client)" if shard is None else f"(shard {shard})"
    said = ": ".join(part for part in (told.get("type"), told.get("message")) if part)
    match told.get("kind"):
        case "definition":
            return _definition_error(told, f"{name}: {said.removeprefix('SourceError: ')} {where}")
        case "memory":
            message = f"{name}() took more memory than it may {where}"
            return HookDiedError(message, shard=shard, hint=MEMORY_HINT)
        case "internal":
            return InternalError(f"{name}: {said} {where}")
    error = HookError(
        f"{name}() failed: {said} {where}",
        function=name,
        traceback=str(told.get("traceback") or ""),
        arguments=tuple((str(name), str(value)) for name, value in told.get("arguments") or ()),
        row=told.get("row"),
        shard=shard,
        hint=told.get("hint"),
    )
    error.values = told.get("values")
    return error


def _definition_error(told: Mapping[str, Any], message: str) -> FunctionDefinitionError:
    missing = told.get("type") == "ModuleNotFoundError"
    error = FunctionDefinitionError(message, hint=told.get("hint") or (MISSING_HINT if missing else None))
    error.source_line, error.source_column = told.get("line"), told.get("column")
    return error
