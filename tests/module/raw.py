"""Stages by hand: the module's commands as any client can send them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import redis

from gearsql.embedded import Cluster
from gearsql.version import VERSION

Word = str | bytes | int
Column = tuple[str, str, Word]

CITY: Column = ("city", "VARCHAR", "fcity")
AGE: Column = ("age", "BIGINT", "fage")
KEY: Column = ("_key", "VARCHAR", "k")


@dataclass
class Scan:
    """The words of one SCAN."""

    glob: Word = "user:*"
    columns: Sequence[Column] = (CITY, AGE, KEY)
    on_error: str = "error"
    nulls: Sequence[Word] = ()
    template: Sequence[Word] | None = None
    cast: str | None = None

    def words(self) -> list[Word]:
        keys: list[Word] = ["GLOB", self.glob]
        if self.template is not None:
            keys = ["TEMPLATE", len(self.template), *self.template]
        columns = [word for column in self.columns for word in column]
        return [
            *("SCAN", self.on_error, *(("CAST", self.cast) if self.cast else ()), *keys),
            *("NULLS", len(self.nulls), *self.nulls),
            *("COLUMNS", len(self.columns), *columns),
        ]


def execute_words(
    sql: str,
    *scans: Scan,
    stage: str = "q",
    version: str = VERSION,
    engine: str = duckdb.__version__,
    mode: str = "sliced",
    options: Sequence[Word] = (),
) -> list[Word]:
    """The whole command; `options` are LIMITS …, ONCE."""
    words = [word for scan in scans for word in scan.words()]
    head = ["GEARSQL.EXECUTE", stage, "VERSION", version, "DUCKDB", engine, "MODE", mode]
    return [*head, *options, *words, "SQL", sql]


@dataclass
class Answer:
    table: pa.Table
    frames: list[bytes]
    stats: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.table.to_pylist()]


def connect(cluster: Cluster, shard: int = 0, **options: Any) -> redis.Redis:
    """One connection: a stage belongs to the connection that started it."""
    return redis.Redis(port=cluster.ports[shard], single_connection_client=True, socket_timeout=30, **options)


def stats_of(flat: Sequence[Any]) -> dict[str, int]:
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def status(client: redis.Redis) -> dict[str, Any]:
    """GEARSQL.STATUS, whatever the protocol; stages are flat lists."""
    told = _pairs(client.execute_command("GEARSQL.STATUS"))
    told[b"stages"] = [[word for pair in _pairs(stage).items() for word in pair] for stage in told[b"stages"]]
    return {name.decode(): value for name, value in told.items()}


def _pairs(reply: Any) -> dict[Any, Any]:
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def run(client: redis.Redis, sql: str, *scans: Scan, stage: str = "q", mode: str = "sliced") -> Answer:
    """Execute and fetch to the end."""
    frame, more, stats = client.execute_command(
        *execute_words(sql, *(scans or (Scan(),)), stage=stage, mode=mode)
    )
    frames = [frame]
    while more:
        frame, more, stats = client.execute_command("GEARSQL.FETCH", stage)
        frames.append(frame)
    table = pa.ipc.open_stream(io.BytesIO(b"".join(frames))).read_all()
    return Answer(table, frames, stats_of(stats))
