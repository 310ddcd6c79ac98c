"""The floor: benchmarks/floor.c, compiled here and loaded into the same server beside gearsql's module."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import redis

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.servers import Place

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "benchmarks" / "floor.c", ROOT / "module" / "server.c")
FLAGS = ("-std=c17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")


class Floor:
    """RM_Scan, HashGet and a hash map, without types, ACL, pauses or SQL."""

    name = "C module, scan and hash map only"

    def __init__(self) -> None:
        self._client: Any = None

    def prepare(self, place: Place, rows: Rows) -> None:
        self._client = redis.Redis.from_url(place.url, socket_timeout=None, retry=None)
        with tempfile.TemporaryDirectory(prefix="gearsql-bench-") as folder:
            module = Path(folder) / "floor.so"
            compiler = os.environ.get("CC", "cc")
            subprocess.run([compiler, *FLAGS, *map(str, SOURCES), "-o", str(module)], check=True)
            self._client.execute_command("MODULE", "LOAD", str(module))

    def version(self) -> str:
        return ""

    def can(self, query: Query) -> bool:
        return True

    def run(self, query: Query) -> Answer:
        reply = self._client.execute_command("BENCHFLOOR", query.key)
        number = int if query.exact else float
        return {city.decode(): number(value) for city, value in zip(reply[::2], reply[1::2], strict=True)}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
