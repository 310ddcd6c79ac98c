"""A reader who types everything that a document shows.

The documents speak of servers on the ports 7000 to 7002; the reader uses free ones instead.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gearsql.cli.formats import table
from gearsql.cli.query import run_and_print
from gearsql.cli.script import statements
from gearsql.dbapi import connect
from gearsql.errors import Error
from tests.docs.blocks import Block, commands, fits

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRY = f"""#!/bin/sh
export PYTHONPATH={REPOSITORY}
exec {sys.executable} -c 'from gearsql.cli import main; main(prog_name="gearsql")' "$@"
"""
SECONDS = 60
FIRST_PORT, SHARDS = 7000, 3
PORTS = re.compile(r"\b700([0-2])\b")
EXPORT = re.compile(r"export (\w+)='?([^']*)'?")


@dataclass(frozen=True)
class Exchange:
    """What was typed, what should be printed and what is."""

    typed: str
    expected: str
    printed: str

    @property
    def good(self) -> bool:
        """Whether the document is right."""
        return fits(self.expected, self.printed)


class Reader:
    """Types into one shell and one Python, in a directory with the checkout's docs/."""

    def __init__(self, home: Path) -> None:
        """`home` is an empty directory."""
        self._home = home
        (home / "docs").symlink_to(REPOSITORY / "docs")
        (home / "bin").mkdir()
        (home / "bin" / "gearsql").write_text(ENTRY)
        (home / "bin" / "gearsql").chmod(0o755)
        self._first_port = _free_ports_in_a_row()
        self._environment = dict(os.environ, PATH=f"{home / 'bin'}:{os.environ['PATH']}", COLUMNS="100")
        self._environment.pop("GEARSQL_URL", None)
        self._script = home / "document.py"
        module = types.ModuleType("document")
        module.__file__ = str(self._script)
        sys.modules["document"] = module
        self._names: dict[str, Any] = vars(module)
        self._background: list[subprocess.Popen[str]] = []

    def follow(self, block: Block) -> list[Exchange]:
        """Run a block; a block that shows no output is expected to print no error."""
        match block.language:
            case "console":
                return [self._exchange(c.text, c.expected, self._type(c.text)) for c in commands(block.text)]
            case "sql":
                printed = self._query(self._ours(block.text))
            case _:
                printed = self._execute(self._ours(block.text), block.line)
        expected = block.expected
        if expected is None:
            expected = "…" if "error: " not in printed else ""
        return [self._exchange(block.text, expected, printed)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._background:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=SECONDS)

    def _exchange(self, typed: str, expected: str, printed: str) -> Exchange:
        return Exchange(typed, expected, self._theirs(printed))

    def _ours(self, text: str) -> str:
        return PORTS.sub(lambda found: str(self._first_port + int(found[1])), text)

    def _theirs(self, text: str) -> str:
        for number in range(SHARDS):
            text = text.replace(str(self._first_port + number), str(FIRST_PORT + number))
        return text

    def _type(self, command: str) -> str:
        text = self._ours(command)
        if export := EXPORT.fullmatch(text):
            self._environment[export[1]] = export[2]
            return ""
        if text.endswith(" &"):
            return self._start(text.removesuffix(" &"))
        run = subprocess.run(
            ["bash", "-c", text],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        return run.stdout

    def _start(self, text: str) -> str:
        """What runs in the background is there when it has printed a line."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {text}"],
            cwd=self._home,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._background.append(process)
        assert process.stdout is not None
        return process.stdout.readline()

    def _query(self, script: str) -> str:
        """As `gearsql -c` prints it."""
        printed = io.StringIO()
        with (
            connect(self._environment["GEARSQL_URL"]) as connection,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            for statement in statements(script):
                with connection.cursor() as cursor:
                    try:
                        run_and_print(cursor, statement, table)
                    except Error as error:
                        print(f"error: {error.pretty()}")
        return printed.getvalue()

    def _execute(self, source: str, line: int) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self._home):
            os.environ.pop("GEARSQL_URL", None)
            exec(compile(self._saved(source, line), str(self._script), "exec"), self._names)
        return printed.getvalue()

    def _saved(self, source: str, line: int) -> str:
        """Keep a block in a file, at its line of the document: create_function reads a function's source."""
        placed = "\n" * line + source
        self._script.write_text(placed)
        return placed


def _free_ports_in_a_row() -> int:
    """Return the first of them; a cluster's servers also listen on theirs plus 10,000.

    All lie below the ports that outgoing connections get, any of which may be taken for a moment.
    """
    for first in range(12_000 + os.getpid() % 1000 * 10, 22_700, SHARDS):
        if all(_is_free(first + number + bus) for number in range(SHARDS) for bus in (0, 10_000)):
            return first
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
