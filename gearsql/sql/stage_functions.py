"""Which functions a stage's SQL may call on a shard: those of queries, and what only our generator writes.

The shards check every stage against these names (module/check.c). `python -m gearsql.sql.stage_functions`
writes them to module/check_names.h; DuckDB is pinned, so they change with it only.
"""

from __future__ import annotations

import sys

import duckdb

from gearsql.sql.functions import CLOCK, VOLATILE, known_functions

GENERATED = frozenset({"combine", "combine_aggr", "finalize", "unnest"})
"""No query may call these; the split rules write them."""


def stage_functions() -> list[str]:
    """Return the names, sorted as C's strcmp sorts."""
    return sorted((known_functions().allowed | _window_functions() | GENERATED) - CLOCK.keys() - VOLATILE)


def header() -> str:
    """Return the text of module/check_names.h."""
    lines = "".join(f'    "{name}",\n' for name in stage_functions())
    return (
        f"/* The functions of a stage, sorted, of DuckDB {duckdb.__version__}; from `make names`. */\n"
        "#ifndef GEARS_CHECK_NAMES_H\n#define GEARS_CHECK_NAMES_H\n\n"
        "/* clang-format off */\n"
        f"static const char *const gears_check_names[] = {{\n{lines}}};\n"
        "/* clang-format on */\n\n#endif\n"
    )


def _window_functions() -> frozenset[str]:
    rows = (
        duckdb.connect()
        .execute("SELECT lower(function_name) FROM duckdb_functions() WHERE function_type = 'window'")
        .fetchall()
    )
    return frozenset(name for (name,) in rows)


if __name__ == "__main__":
    sys.stdout.write(header())
