"""The loadmodule line: which files a server needs to embed this very Python and its DuckDB.

Used for embedded servers and printed by `gearsql module` for a server's own configuration.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gearsql.errors import InterfaceError


def module_arguments() -> list[str]:
    """Return the words after `loadmodule`: the module's file, then its arguments in pairs."""
    return [
        str(module_file()),
        *("PYTHON", sys.executable),
        *("LIBPYTHON", str(libpython_file())),
        *("DUCKDB", str(duckdb_file())),
    ]


def module_file() -> Path:
    """Return the shared library built from module/ for this Python."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    file = Path(__file__).resolve().parents[1] / "_module" / f"gearsql{suffix}"
    if not file.is_file():
        raise InterfaceError(
            "the server module is not built for this Python",
            hint=f"`make build` makes {file.name} in a checkout, `pip install .` in an environment",
        )
    return file


def libpython_file() -> Path:
    """Return this interpreter's shared library; a Python that was built without one cannot be embedded."""
    for file in _libpython_candidates():
        if file.is_file():
            return file.resolve()
    raise InterfaceError(
        f"this Python has no shared libpython, so no server can embed it: {sys.executable}",
        hint="use a Python built with --enable-shared (Debian: apt install libpython3-dev; pyenv: "
        "PYTHON_CONFIGURE_OPTS=--enable-shared)",
    )


def _libpython_candidates() -> Iterator[Path]:
    known = sysconfig.get_config_vars()
    names = [known.get("INSTSONAME"), known.get("LDLIBRARY")]
    folders = [
        known.get("LIBDIR"),
        f"{sys.base_prefix}/lib",
        f"{known.get('LIBDIR')}/{known.get('MULTIARCH')}",
    ]
    for folder in filter(None, folders):
        for name in filter(None, names):
            if not name.endswith(".a"):  # A static library cannot be opened by a server.
                yield Path(folder) / name


def duckdb_file() -> Path:
    """Return DuckDB's extension module, which exports its C API; found without importing it."""
    spec = importlib.util.find_spec("_duckdb")
    if spec is None or spec.origin is None:
        raise InterfaceError("DuckDB is not installed beside gearsql", hint="pip install 'duckdb==2.0.1'")
    return Path(spec.origin)
