"""A shard's error replies and broken connections → our named errors."""

from __future__ import annotations

import json
from urllib.parse import unquote_to_bytes

import redis

from gearsql.catalog.hook_errors import hook_error
from gearsql.catalog.sample import READ_KEYS
from gearsql.errors import (
    AccessDeniedError,
    ByteLimitError,
    CancelledError,
    DataError,
    DataReplacedError,
    Error,
    FunctionChangedError,
    HookDiedError,
    HookTimeoutError,
    InternalError,
    KeyChangedError,
    MemoryLimitError,
    MisfitError,
    ModuleMissingError,
    QueryTimeoutError,
    QueueFullError,
    ResourceLimitError,
    RowLimitError,
    ServerLoadingError,
    ShardError,
    ShardUnreachableError,
    SlotsMovedError,
    StageRefusedError,
    StageSentTwiceError,
    TableShrankError,
    VersionMismatchError,
)
from gearsql.sql.said import said

SHOWN = 80
KEYS_HINT = f"{READ_KEYS}; acl='skip' answers over the keys that may be read"
TIME_HINT = "the module's argument HOOK_TIMEOUT_MS sets the time"


def error_from_reply(shard: str, reply: redis.RedisError) -> Error:
    """Return the named error for an error reply of `shard`, or for the failure to get a reply at all."""
    match reply:
        case redis.AuthenticationError():
            message = f"{shard} refuses the user name or password: {reply}"
            refused = ShardUnreachableError(message, shard=shard)
            refused.refused = True
            return refused
        case redis.exceptions.NoPermissionError():
            return _access_denied(shard, str(reply))
        case redis.BusyLoadingError():
            return ServerLoadingError(
                f"{shard} is loading its data", shard=shard, hint="try again when it is done"
            )
        case redis.exceptions.AskError():  # MOVED is one, too.
            moved = SlotsMovedError(
                f"{shard} does not serve the slot {reply.slot_id} any more, as it did before"
            )
            if not isinstance(reply, redis.exceptions.MovedError):
                moved.asked = (reply.host, reply.port)
            return moved
        case redis.exceptions.ClusterDownError():
            return ShardUnreachableError(f"{shard} says that the cluster is down", shard=shard)
        case redis.ConnectionError() | redis.TimeoutError():
            return ShardUnreachableError(f"cannot reach {shard}: {reply}", shard=shard)
    code, _, text = str(reply).partition(" ")
    return _error_from_code(shard, code, text)


def _error_from_code(shard: str, code: str, text: str) -> Error:
    match code:
        case "GEARSMISFIT":
            return _misfit(text)
        case "GEARSVERSION":
            return _version_mismatch(shard, text)
        case "GEARSSQL":
            return _from_duckdb(shard, unescape(text))
        case "GEARSLIMIT":
            return ResourceLimitError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSROWS":
            return RowLimitError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSBYTES":
            return ByteLimitError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSMEMORY":
            return MemoryLimitError(f"{shard}: {unescape(text).partition(chr(10))[0]}", shard=shard)
        case "GEARSQUEUE":
            return QueueFullError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSTWICE":
            return StageSentTwiceError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSTIME":
            return QueryTimeoutError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSCANCELLED":
            return CancelledError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSHOOK":
            return _from_hook(shard, unescape(text))
        case "GEARSHOOKTIME":
            return HookTimeoutError(f"{unescape(text)} (shard {shard})", shard=shard, hint=TIME_HINT)
        case "GEARSHOOKDIED":
            return HookDiedError(f"{unescape(text)} (shard {shard})", shard=shard)
        case "GEARSFUNCTION":
            return FunctionChangedError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSMOVED":
            slots = unescape(text).replace("-", "–").replace(",", ", ")
            return SlotsMovedError(f"the slots {slots} moved at {shard} while it counted them")
        case (
            "GEARSREPLICA" | "UNBLOCKED"
        ):  # The server itself ends what waits on it when it becomes a replica.
            if "no replica" in text:
                return SlotsMovedError(f"{shard} is no replica any more")
            return SlotsMovedError(f"{shard} is a replica now, and counts no slots")
        case "GEARSSHRINK":
            return TableShrankError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSCHANGED":
            return KeyChangedError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSREPLACED":
            return DataReplacedError(f"{shard}: {unescape(text)}", shard=shard)
        case "GEARSSNAPSHOT":
            return ShardError(
                f"{shard}: {unescape(text)}", shard=shard, hint="scan='sliced' needs no process"
            )
        case "GEARSLOADING":
            return ServerLoadingError(
                f"{shard}: {unescape(text)}", shard=shard, hint="try again when it is done"
            )
        case "GEARSGONE":
            return ShardError(f"{shard} lost the stage: {unescape(text)}", shard=shard)
        case "GEARSREFUSED":
            return StageRefusedError(f"{shard} refuses the stage: {unescape(text)}")
        case "GEARSSTAGE":
            return InternalError(f"{shard} refuses the stage: {unescape(text)}")
    # redis-py has cut the code ERR off.
    if code == "unknown" and "GEARSQL." in text.upper():
        return ModuleMissingError(f"{shard} has not loaded the gearsql module", shard=shard)
    return ShardError(f"{shard}: {code} {text}".rstrip(), shard=shard)


def _from_duckdb(shard: str, message: str) -> Error:
    # What follows shows the stage's own text, which the user did not write, or advice on files and settings.
    words = message.partition("\n")[0]
    kind = words.partition(":")[0]
    match kind:
        case "Conversion Error" | "Out of Range Error" | "Invalid Input Error":
            return DataError(said(message))
        case "Parameter Not Allowed Error":  # of list_reduce, about an empty list
            return DataError(said(message))
        case "Out of Memory Error":
            return MemoryLimitError(f"{shard}: {words}", shard=shard)
        case "INTERRUPT Error" | "Interrupt Error":
            return CancelledError(f"{shard}: {words}", shard=shard)
        case "Binder Error" | "Catalog Error" | "Parser Error":
            return InternalError(f"{shard} cannot bind its stage: {words}")
        case _:
            return ShardError(f"{shard}: {words}", shard=shard)


def _from_hook(shard: str, message: str) -> Error:
    try:
        return hook_error(json.loads(message), shard)
    except (ValueError, TypeError, AttributeError):
        return HookDiedError(f"{shard}: a function's session said {message[:SHOWN]!r}", shard=shard)


def _access_denied(shard: str, text: str) -> AccessDeniedError:
    denied = AccessDeniedError(f"{shard} denies this user: {unescape(text)}")
    if "table's pattern" in text:
        denied.hint = KEYS_HINT
    return denied


def _misfit(text: str) -> MisfitError:
    told = {name: unquote_to_bytes(value) for name, value in _pairs(text)}
    column, type_name = (told.get(name, b"?").decode(errors="replace") for name in ("column", "type"))
    return misfit(told.get("key", b""), column, told.get("value", b""), type_name)


def misfit(key: bytes, column: str, value: bytes, type_name: str) -> MisfitError:
    """Return the error for a value that does not fit its column, whichever reader met it."""
    message = f"key {shown(key)}, column {column}: {shown(value)} is not a {type_name}"
    return MisfitError(message, key=key, field=column, value=value, type=type_name)


def _version_mismatch(shard: str, text: str) -> VersionMismatchError:
    told = {name: unescape(value) for name, value in _pairs(text)}
    return version_mismatch(
        shard, told.get("what", "gearsql"), told.get("expected", "?"), told.get("found", "?")
    )


def version_mismatch(shard: str, what: str, client: str, found: str) -> VersionMismatchError:
    """Return the error for a shard that runs another version of `what` than this client."""
    message = f"{shard} runs {what} {found}, this client {client}"
    return VersionMismatchError(message, shard=shard, hint="run the same gearsql everywhere")


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (word.partition("=") for word in text.split(" "))]


def unescape(text: str) -> str:
    """Return the text of a reply, in which the module has percent-escaped what is not plain ASCII."""
    return unquote_to_bytes(text).decode(errors="replace")


def shown(value: bytes) -> str:
    """Return bytes as a message shows them: quoted text where they are UTF-8, cut when long."""
    try:
        text = repr(value.decode())
    except UnicodeDecodeError:
        text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
