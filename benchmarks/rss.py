"""Resident memory of server processes, as Linux counts it: the servers' own figures leave modules out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def status_kb(pid: int, name: str) -> int:
    """Return a field of the process's status (VmRSS, VmHWM) in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"process {pid} has no {name}")


def resident_mb(pids: Iterable[int]) -> float:
    """Return the sum of the processes' resident memory in MB."""
    return sum(status_kb(pid, "VmRSS") for pid in pids) / 1024
