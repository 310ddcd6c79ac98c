"""The merge's DuckDB: in memory, locked down, with Arrow types that lose nothing."""

from __future__ import annotations

import os

import duckdb

from gearsql.sql.sandbox import open_locked

MOST_THREADS = 4


def open_database(memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database for merging; nothing spills to disk.

    `memory_limit` is DuckDB's ('2GB'); its default is 80 % of the machine's memory.
    """
    return open_locked(
        {
            "arrow_lossless_conversion": "true",
            "preserve_insertion_order": "false",
            "threads": min(MOST_THREADS, os.cpu_count() or 1),
            **({"memory_limit": memory_limit} if memory_limit else {}),
        }
    )
