"""Which shards have the module, and in which versions: decides who reads the keys, module or client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import duckdb

from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.gather import gather
from gearsql.cluster.replies import version_mismatch
from gearsql.cluster.shards import Shards
from gearsql.cluster.status import Status, parse_status
from gearsql.cluster.topology import Shard
from gearsql.errors import AccessDeniedError, Error, InterfaceError, ModuleMissingError
from gearsql.plan.stages import Reader
from gearsql.version import VERSION

Wanted = Literal["auto", "module", "portable"]
Presence = tuple[str, Status | ModuleMissingError | None]


def choose_reader(shards: Shards, wanted: Wanted) -> Reader:
    """Ask every shard for the module; 'auto' is the module if all have it, the portable reader if none has.

    Raises ModuleMissingError when only some have it, VersionMismatchError when one runs another version.
    """
    if wanted == "portable":
        return "portable"
    if wanted not in ("auto", "module"):
        raise InterfaceError(f"reader is 'auto', 'module' or 'portable', not {wanted!r}")
    answers = dict(gather(shards, _ask))
    without = sorted(name for name, answer in answers.items() if isinstance(answer, ModuleMissingError))
    if len(without) == len(answers) and wanted == "auto":
        return "portable"
    if without:
        raise _missing(without, len(answers))
    for name, answer in answers.items():
        _require_our_versions(name, answer)
    return "module"


def _ask(_: Shard, connection: ShardConnection) -> Iterator[Presence]:
    match connection.ask_all([("GEARSQL.STATUS",)])[0]:
        case AccessDeniedError():
            # Only a command that exists can be denied; the stage itself checks the versions again.
            yield connection.name, None
        case ModuleMissingError() as missing:
            yield connection.name, missing
        case Error() as error:
            raise error
        case reply:
            yield connection.name, parse_status(reply)


def _missing(without: list[str], count: int) -> ModuleMissingError:
    message = f"the gearsql module is missing on {len(without)} of {count} shards: {', '.join(without)}"
    hint = "load it there (`gearsql module` prints the line), or connect with reader='portable'"
    return ModuleMissingError(message, shard=without[0], hint=hint)


def _require_our_versions(name: str, status: Status | ModuleMissingError | None) -> None:
    if not isinstance(status, Status):
        return
    if status.module_version != VERSION:
        raise version_mismatch(name, "gearsql", VERSION, status.module_version)
    if status.duckdb_version != duckdb.__version__:
        raise version_mismatch(name, "duckdb", duckdb.__version__, status.duckdb_version)
