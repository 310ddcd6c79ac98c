"""Slots and repeated keys, in C alone: check_facets.c, under the sanitizers of the fuzzers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import native

# All of the module is compiled for it.
pytestmark = pytest.mark.timeout(900)


def test_the_account_of_slots_and_of_repeated_keys() -> None:
    program = native.link(Path(__file__).with_name("check_facets.c"))
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
