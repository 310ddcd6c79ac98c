"""The merge's DuckDB: in memory, locked down, with Arrow types that lose nothing."""

from __future__ import annotations

import os

import duckdb

MOST_THREADS = 4


def open_database(memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database that reaches neither files, network nor Python objects by name.

    `memory_limit` is DuckDB's ('2GB'); its default is 80 % of the machine's memory. Nothing spills to disk.
    """
    connection = duckdb.connect(":memory:")
    for name, value in _settings(memory_limit).items():
        connection.execute(f"SET {name} = '{value}'")
    return connection


def _settings(memory_limit: str | None) -> dict[str, str | int]:
    return {
        "temp_directory": "",  # first: without external access it cannot be set
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "TimeZone": "UTC",
        "arrow_lossless_conversion": "true",
        "preserve_insertion_order": "false",
        "threads": min(MOST_THREADS, os.cpu_count() or 1),
        **({"memory_limit": memory_limit} if memory_limit else {}),
        "lock_configuration": "true",
    }
