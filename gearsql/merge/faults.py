"""DuckDB's errors while a stage runs → ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from gearsql.errors import DataError, InternalError, MemoryLimitError
from gearsql.sql.said import said


@contextmanager
def named_faults() -> Iterator[None]:
    """Name DuckDB's errors: a value is at fault, memory ended, or we are."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise MemoryLimitError(f"the merge needs more memory: {error}") from error
    except (duckdb.DataError, duckdb.InvalidInputException) as error:
        raise DataError(said(error)) from error
    except duckdb.Error as error:
        if type(error) is duckdb.Error:
            # Of no kind that its client knows, as list_reduce's about an empty list: about values, too.
            raise DataError(said(error)) from error
        # What follows shows a text that the user did not write.
        raise InternalError(str(error).partition("\n\n")[0]) from error
