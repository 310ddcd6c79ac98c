"""What a command's end means to the shell.

0  all went well
1  a statement failed, or the data or a file did
2  the command line is wrong
3  the servers cannot be reached, or refuse the login
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from gearsql.errors import Error, InterfaceError, OperationalError, ShardUnreachableError

FAILED, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


@contextmanager
def errors_to_exits() -> Iterator[None]:
    """Turn an error into words on stderr and an exit code."""
    try:
        yield
    except Error as error:
        click.echo(f"error: {error.pretty()}", err=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _forget_output()
        sys.exit(FAILED)


@contextmanager
def answers_written() -> Iterator[None]:
    """Turn what keeps an answer from standard output into an error; a reader that went is none."""
    if sys.stdout is None:
        raise OperationalError("the answer cannot be written: standard output is closed")
    try:
        yield
    except UnicodeEncodeError as error:
        hint = "PYTHONIOENCODING=utf-8 writes all texts"
        message = f"the answer cannot be written: {error.encoding} has no {error.object[error.start]!r}"
        raise OperationalError(message, hint=hint) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget_output()
        raise OperationalError(f"the answer cannot be written: {error.strerror}") from error


def _forget_output() -> None:
    """Let Python's own flush at exit not complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: Error) -> int:
    """Return the exit code for an error."""
    match error:
        case ShardUnreachableError():
            return UNREACHABLE
        case InterfaceError():
            return USAGE
        case _:
            return FAILED
