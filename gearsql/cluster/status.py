"""GEARSQL.STATUS as data: versions, and the stages that run now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunningStage:
    """How far a stage has come on its shard; `keys_total` is the shard's number of keys."""

    id: str
    rows_scanned: int
    keys_seen: int
    keys_total: int

    @property
    def query_id(self) -> str:
        """Of the query that it is a stage of."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Status:
    """What a shard says about its module."""

    module_version: str
    duckdb_version: str
    stages: tuple[RunningStage, ...]


def parse_status(reply: Sequence[Any]) -> Status:
    """Read the flat list of names and values."""
    told = flat(reply)
    stages = [flat(stage) for stage in told.get("stages", [])]
    return Status(
        text(told.get("module_version", b"?")),
        text(told.get("duckdb_version", b"?")),
        tuple(
            RunningStage(
                text(stage["id"]),
                int(stage["rows_scanned"]),
                int(stage["keys_seen"]),
                int(stage["keys_total"]),
            )
            for stage in stages
        ),
    )


def flat(pairs: Sequence[Any]) -> dict[str, Any]:
    """Return [name, value, name, value, …] as a dict with text names."""
    return {text(name): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


def text(value: bytes | str | int) -> str:
    """Return a reply's value as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
