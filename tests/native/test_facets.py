"""Parts of the module in C alone, under the sanitizers of the fuzzers; each facets_*.c says which."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import native

# All of the module is compiled for it.
pytestmark = pytest.mark.timeout(900)


FACETS = [
    "calls",
    "keys",
    "pages",
    "reads",
    "replies",
    "scans",
    "sessions",
    "snapshots",
    "stages",
    "texts",
    "turns",
]


@pytest.mark.parametrize("facets", FACETS)
def test_the_facets_hold_without_a_server(facets: str) -> None:
    program = native.link(Path(__file__).with_name(f"facets_{facets}.c"))
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
