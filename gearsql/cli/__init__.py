"""The command line: a thin shell over the library. Exit codes: see exits.py."""

from gearsql.cli.main import main

__all__ = ["main"]
