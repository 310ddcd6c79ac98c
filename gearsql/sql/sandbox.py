"""A locked-down in-memory DuckDB: it parses and binds, and reaches no file, network or object."""

from __future__ import annotations

import duckdb

_LOCKS = (
    "SET temp_directory = ''",  # first: without external access it cannot be set
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET memory_limit = '256MB'",
    "SET threads = 1",
    "SET TimeZone = 'UTC'",
    "SET lock_configuration = true",
)


def open_sandbox() -> duckdb.DuckDBPyConnection:
    """Open a connection that only ever parses and binds."""
    connection = duckdb.connect(":memory:")
    for lock in _LOCKS:
        connection.execute(lock)
    return connection
