"""The command line: a thin shell over the library. Exit codes: see exits.py."""

from __future__ import annotations

import sys
from typing import Any


def main(**options: Any) -> None:
    """Run a command line. Ctrl-C while the modules load (a second) ends it as quietly as later."""
    try:
        from gearsql.cli.group import gearsql
    except KeyboardInterrupt:
        sys.exit(130)
    gearsql(**options)


__all__ = ["main"]
