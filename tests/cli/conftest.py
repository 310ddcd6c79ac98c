"""Runs the command line in a process of its own."""

import subprocess
import sys
from collections.abc import Callable

import pytest

Run = subprocess.CompletedProcess[str]
Gearsql = Callable[..., Run]

ENTRY = [sys.executable, "-c", "from gearsql.cli import main; main()"]


@pytest.fixture(scope="session")
def gearsql() -> Gearsql:
    """Call with the command line's words; `stdin` is what it reads."""

    def run(*words: str, stdin: str = "") -> Run:
        return subprocess.run([*ENTRY, *words], input=stdin, capture_output=True, text=True, timeout=60)

    return run
