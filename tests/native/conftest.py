"""The leaf sources of the module (no server, Python or DuckDB in them) as one library of their own.

It checks itself for undefined behaviour, and gearsql.native is led to it.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gearsql import native

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

MODULE = Path(__file__).parents[2] / "module"
FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-fPIC", "-shared"]
SANITIZE = ["-fsanitize=undefined", "-fno-sanitize-recover"]
LEAFS = ("cast", "pattern", "arrow", "hook_type", "json_text")


@pytest.fixture(scope="session")
def leaf_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leafs, compiled; every function visible, also those that ctypes does not call in production."""
    library = tmp_path_factory.mktemp("leafs") / "leafs.so"
    sources = sorted(str(path) for stem in LEAFS for path in MODULE.glob(f"{stem}*.c"))
    subprocess.run(["gcc", *FLAGS, *SANITIZE, "-o", str(library), *sources, "-lm"], check=True)
    return library


@pytest.fixture(scope="session")
def leafs(leaf_library: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(leaf_library))


@pytest.fixture(scope="module", autouse=True)
def native_calls_the_leafs(leaf_library: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEARSQL_MODULE", str(leaf_library))
        native._library.cache_clear()
        yield
    native._library.cache_clear()
