"""Locked-down in-memory DuckDB: it reaches no file, network or Python object, and its settings stay."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb


def open_sandbox() -> duckdb.DuckDBPyConnection:
    """Open a connection that only ever parses and binds. All it optimises is which columns are read."""
    connection = duckdb.connect(":memory:")
    names = [name for (name,) in connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()]
    connection.close()
    off = ",".join(name for name in names if name != "unused_columns")
    return open_locked({"memory_limit": "256MB", "threads": 1, "disabled_optimizers": off})


def open_locked(settings: Mapping[str, str | int]) -> duckdb.DuckDBPyConnection:
    """Open a connection with settings that cannot be changed afterwards; its cursors have them, too."""
    connection = duckdb.connect(":memory:")
    locks = {
        "temp_directory": "",  # first: without external access it cannot be set
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "TimeZone": "UTC",
        **settings,
        "lock_configuration": "true",  # last
    }
    for name, value in locks.items():
        connection.execute(f"SET GLOBAL {name} = '{value}'")
    return connection
