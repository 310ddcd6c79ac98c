"""Builds the server module (module/*.c) and the sessions' extension (hooks/*.c); else see pyproject.toml.

The module has no PyInit: a Redis or Valkey server loads it, and the client calls its casts through ctypes.
It is compiled against Python.h but not linked with libpython, which the module opens itself.
"""

import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

FLAGS = ["-std=c17", "-O2", "-g", "-Wall", "-Wextra", "-fvisibility=hidden"]


def version() -> str:
    found = re.search(r'VERSION = "(.+)"', Path("gearsql/version.py").read_text())
    assert found, "gearsql/version.py holds the version"
    return found[1]


def module() -> list[Extension]:
    sources = sorted(map(str, Path("module").glob("*.c")))
    headers = sorted(map(str, Path("module").glob("*.h")))
    if not sources:
        return []
    # -std=c17 alone hides POSIX and dladdr.
    macros: list[tuple[str, str | None]] = [("GEARS_VERSION", f'"{version()}"'), ("_GNU_SOURCE", "1")]
    return [
        Extension(
            "gearsql._module.gearsql",
            sources,
            depends=headers,
            define_macros=macros,
            extra_compile_args=FLAGS,
            libraries=["dl", "pthread", "m"],
        )
    ]


def sessions() -> list[Extension]:
    sources = sorted(map(str, Path("hooks").glob("*.c")))
    headers = [*map(str, Path("hooks").glob("*.h")), "module/mailbox.h"]
    if sys.platform != "linux":  # memfd, futex; a client there refuses what needs them
        return []
    return [
        Extension(
            "gearsql.shard._mailbox",
            sources,
            depends=headers,
            include_dirs=["module"],
            define_macros=[("_GNU_SOURCE", "1")],
            extra_compile_args=FLAGS,
            libraries=["pthread"],
        )
    ]


# grammar/ stands beside the package in the repository and inside it when installed.
setup(
    ext_modules=[*module(), *sessions()], packages=[*find_packages(include=["gearsql*"]), "gearsql.grammar"]
)
