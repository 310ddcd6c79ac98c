"""The leaf sources of the module (no server, no Python, no DuckDB in them) as one library, checked for undefined behaviour."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "module"
FLAGS = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-fPIC", "-shared"]
SANITIZE = ["-fsanitize=undefined", "-fno-sanitize-recover"]


@pytest.fixture(scope="session")
def leaf_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leafs, compiled; every function visible, also those that ctypes does not call in production."""
    library = tmp_path_factory.mktemp("leafs") / "leafs.so"
    sources = sorted(str(path) for stem in ("cast", "pattern", "arrow") for path in MODULE.glob(f"{stem}*.c"))
    subprocess.run(["gcc", *FLAGS, *SANITIZE, "-o", str(library), *sources], check=True)
    return library


@pytest.fixture(scope="session")
def leafs(leaf_library: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(leaf_library))
