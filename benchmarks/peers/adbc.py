"""adbc-driver-redis: SQL on tables of its own in RediSearch. A process of its own runs it: it needs
Python 3.12."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.ipc

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.servers import MissingError, Place

TABLE = "users"
NEEDS = "import adbc_driver_redis.dbapi, pyarrow"
NEWEST_FIRST = ("python3.14", "python3.13", "python3.12")


def find_interpreter(named: str | None) -> str:
    """Return a Python that can import the driver: the named one, or this one, or one on the PATH."""
    for candidate in [named] if named else _candidates():
        if subprocess.run([candidate, "-c", NEEDS], capture_output=True).returncode == 0:
            return candidate
    raise MissingError(
        f"{named or 'no Python here'} can not import adbc_driver_redis and pyarrow; "
        "name a Python ≥ 3.12 that can by --adbc-python"
    )


def _candidates() -> Iterator[str]:
    yield sys.executable
    yield from filter(None, map(shutil.which, NEWEST_FIRST))


class Adbc:
    """Copies the rows by adbc_ingest in prepare(); all columns indexed.

    `pushdown` is the driver's option: 'exact' (its default) sends to the index only what comes back exact,
    'all' accepts sums of 12 digits.
    """

    def __init__(self, python: str | None, pushdown: str = "exact") -> None:
        self.name = f"adbc-driver-redis ({'default' if pushdown == 'exact' else f'pushdown {pushdown}'})"
        self._python = python
        self._pushdown = pushdown
        self._worker: subprocess.Popen[str] | None = None
        self._version = ""

    def prepare(self, place: Place, rows: Rows) -> None:
        python = find_interpreter(self._python)
        worker = Path(__file__).with_name("adbc_worker.py")
        with tempfile.TemporaryDirectory(prefix="gearsql-bench-") as folder:
            file = Path(folder) / "rows.arrow"
            with pyarrow.ipc.new_stream(str(file), rows.typed.schema) as writer:
                writer.write_table(rows.typed)
            self._worker = subprocess.Popen(
                [python, str(worker), place.url, TABLE + "_" + self._pushdown, self._pushdown, str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._version = f"adbc-driver-redis {self._reply()}"

    def version(self) -> str:
        return self._version

    def can(self, query: Query) -> bool:
        return True

    def run(self, query: Query) -> Answer:
        assert self._worker is not None and self._worker.stdin is not None
        print(query.text(f"{TABLE}_{self._pushdown}"), file=self._worker.stdin, flush=True)
        return dict(self._reply())

    def _reply(self) -> Any:
        assert self._worker is not None and self._worker.stdout is not None
        line = self._worker.stdout.readline()
        if not line:
            raise RuntimeError("the driver's process ended")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["value"]

    def close(self) -> None:
        if self._worker is not None:
            # The end of its input is the end of its loop.
            self._worker.communicate()
