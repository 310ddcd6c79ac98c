"""Ends the servers when their parent dies without a word (SIGKILL): a shell that waits on a pipe.

PR_SET_PDEATHSIG would end a server as soon as the *thread* that started it ends, so it is not used.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

# Each line is the whole list of live servers; the pipe's end is the parent's end.
SCRIPT = """
trap '' INT TERM HUP
while read -r line; do pids=$line; done
[ -n "$pids" ] && kill -9 $pids 2>/dev/null
[ -n "$1" ] && { sleep 0.1; rm -rf -- "$1"; }
"""


class Watchdog:
    """A process in a session of its own that outlives us just long enough to clean up."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`, if given, is removed at the end."""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "gearsql-watchdog", str(directory or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def watch(self, pids: Iterable[int]) -> None:
        """Replace the list of processes to end."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, pids)) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Let it do its work now and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
