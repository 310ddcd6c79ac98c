"""A server under valgrind's memcheck, asked all kinds of questions: `make valgrind`.

Redis 7.0. Exits with 1 if a byte is definitely lost, or misread, that the module's frames are to blame for:
the innermost frame that is not the C library's, DuckDB's or an allocator's. CPython's blocks are its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import xml.etree.ElementTree as Xml
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

import gearsql
from gearsql.embedded import Cluster, server
from gearsql.errors import CancelledError
from tests.health.build import ROOT, build_module, write_server
from tests.module.raw import Scan, execute_words

HERE = ROOT / "build" / "valgrind"
PATIENCE = 600.0
ROWS = 500
# Between a block and who asked for it; CPython's blocks come through interpreter.c's raw_*.
LIBRARIES = ("libc.so", "ld-linux", "libstdc++", "vgpreload", "_duckdb", "libpthread")
PYTHONS = ("raw_malloc", "raw_calloc", "raw_realloc", "arena_alloc")
# An endless one is cut off: its time is up, or somebody cancels it.
ENDLESS = 'SELECT sum(a.n + b.n + c.n) FROM "row:*" a, "row:*" b, "row:*" c'
TABLE = "CREATE OR REPLACE TABLE written (a INTEGER, b VARCHAR, c DOUBLE[]) WITH (key = 'written:{id}')"
QUERIES = (
    'SELECT count(*), sum(n), min(w) FROM "row:*"',
    'SELECT g, avg(n), stddev(n), count(DISTINCT w) FROM "row:*" GROUP BY g ORDER BY g',
    'SELECT w FROM "row:*" WHERE n % 100 = 7 ORDER BY n LIMIT 3',
    'SELECT sum(vg_double(n)) FROM "row:*"',
    'SELECT g, vg_longest(w) FROM "row:*" GROUP BY g',
    'SELECT vg_fails(n) FROM "row:*"',
    'SELECT sum(CAST(w AS BIGINT)) FROM "row:*"',
    'SELECT nme FROM "row:*"',
    'SELECT g FROM "nothing:*"',
)
# A snapshot each, or a wait for one: a server has one child at a time.
SNAPSHOTS = (
    'SELECT count(*), sum(n), min(w) FROM "row:*"',
    'SELECT w FROM "row:*" ORDER BY n LIMIT 3',
    'SELECT sum(CAST(w AS BIGINT)) FROM "row:*"',
    'SELECT count(*) FROM "row:*" a JOIN "row:*" b USING (n)',
)
WRITES = (
    'INSERT INTO written (id, a, b, c) SELECT n, n, w, [n, 0.5] FROM "row:*" WHERE n < 50',
    "INSERT INTO written (id, a) VALUES (1, 2) ON CONFLICT DO UPDATE SET a = excluded.a",
    "INSERT INTO written (id, a) VALUES (1, 2)",
    "UPDATE written SET b = b || '!', c = NULL WHERE a % 2 = 0",
    "SELECT id, a, b, c FROM written WHERE id = 7",
    "SELECT count(*), max(c[1]) FROM written",
    "DELETE FROM written WHERE a > 0",
    "DELETE FROM written",
)
FUNCTIONS = (
    "CREATE FUNCTION vg_double(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$ return x * 2 $$",
    "CREATE FUNCTION vg_fails(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$ return x // 0 $$",
    "CREATE FUNCTION vg_double(x BIGINT) RETURNS VARCHAR LANGUAGE python AS $$ this is none $$",
    """CREATE AGGREGATE FUNCTION vg_longest(x VARCHAR) RETURNS VARCHAR LANGUAGE python AS $$
class vg_longest:
    def __init__(self): self.found = ''
    def accumulate(self, x): self.found = max(self.found, x or '', key=len)
    def merge(self, other): self.found = max(self.found, other.found, key=len)
    def finish(self): return self.found
$$""",
)


@dataclass(frozen=True)
class Loss:
    """One of valgrind's findings."""

    kind: str
    bytes: int
    frames: tuple[tuple[str, str], ...]  # object, function

    @property
    def ours(self) -> bool:
        """Whether the module's code is to blame."""
        for object, function in self.frames:
            if function in PYTHONS:
                return False
            if not any(library in object for library in LIBRARIES):
                return object.endswith("/gearsql.so")
        return False


def findings(log: Path) -> Iterator[Loss]:
    """Read valgrind's XML."""
    for error in Xml.parse(log).getroot().iter("error"):
        kind = error.findtext("kind", "?")
        stack = error.find("stack")
        frames = stack.findall("frame") if stack is not None else []
        named = tuple((f.findtext("obj", "?"), f.findtext("fn", "?")) for f in frames)
        yield Loss(kind, int(error.findtext("xwhat/leakedbytes", "0")), named)


def ask(cluster: Cluster, rounds: int) -> None:
    """Queries that work, that fail, that are cut off; snapshots and writes."""
    with cluster.client() as client:
        for number in range(ROWS):
            client.hset(f"row:{number}", mapping={"n": number, "g": number % 5, "w": f"w{number}"})
    with gearsql.connect(cluster.url) as connection:
        _try(connection, *FUNCTIONS, TABLE)
        for number in range(rounds):
            came = _try(connection, *QUERIES, *WRITES)
            came += _try(connection, *SNAPSHOTS, scan="snapshot")
            came += _try(connection, ENDLESS, timeout=5.0)
            came += _try(connection, ENDLESS, scan="snapshot", timeout=5.0)
            came += _cancel(connection)
            print(f"round {number + 1} of {rounds}: {dict(came)}", flush=True)
    wide = execute_words("SELECT repeat(city, 20000) FROM scan_0", Scan("row:*", [("city", "VARCHAR", "fw")]))
    for words in (wide, wide[:-1], wide[:9], ["GEARSQL.STATUS"], ["GEARSQL.FUNCTIONS"], ["INFO", "gearsql"]):
        with cluster.client() as client, suppress(redis.ResponseError):
            client.execute_command(*words)


def _try(connection: gearsql.Connection, *statements: str, **options: Any) -> Counter[str]:
    came = Counter[str]()
    for statement in statements:
        cursor = connection.cursor()
        try:
            cursor.execute(statement, **options)
            if cursor.description is not None:
                cursor.fetchall()
            snapshot = "scan" in options and not cursor.messages
            came["of a snapshot" if snapshot else "answered"] += 1
        except gearsql.Error as error:
            came[type(error).__name__] += 1
    return came


def _cancel(connection: gearsql.Connection) -> Counter[str]:
    cursor = connection.cursor()
    cancelling = threading.Timer(2.0, cursor.cancel)
    cancelling.start()
    with suppress(CancelledError):
        cursor.execute(ENDLESS)
    cancelling.join()
    return Counter(cancelled=1)


def main() -> int:
    """Run the server and read what was found."""
    server.START_SECONDS = server.STOP_SECONDS = PATIENCE
    module = build_module(HERE / "gearsql.so", "-O1", "-fno-omit-frame-pointer")
    log = HERE / "found.xml"
    log.unlink(missing_ok=True)
    memcheck = [
        *("valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"),
        *(
            "--soname-synonyms=somalloc=*jemalloc*",
            "--num-callers=25",
            "--error-limit=no",
            "--child-silent-after-fork=yes",
        ),
        *("--xml=yes", f"--xml-file={log}", "--fair-sched=yes"),
    ]
    command = [*memcheck, shutil.which("redis-server") or "redis-server"]
    program = write_server(HERE / "redis-server", module, command, {}, errors=HERE / "stderr")
    with tempfile.TemporaryDirectory(prefix="gearsql-valgrind-"):
        options = {"HOOK_TIMEOUT_MS": 600_000}
        with Cluster(1, server=program, module_options=options) as cluster:
            ask(cluster, int(sys.argv[1]) if len(sys.argv) > 1 else 3)
            code = cluster.terminate(0)
    found = list(findings(log))
    ours = [loss for loss in found if loss.ours]
    for loss in ours:
        print(
            loss.kind,
            loss.bytes,
            *(f"{function} ({object})" for object, function in loss.frames),
            sep="\n    ",
        )
    lost = sum(loss.bytes for loss in ours)
    print(f"exit code {code}; {len(found)} findings, {len(ours)} of the module")
    print(f"{lost} bytes definitely lost in the module's own frames")
    return int(bool(ours) or code != 0)


if __name__ == "__main__":
    sys.exit(main())
