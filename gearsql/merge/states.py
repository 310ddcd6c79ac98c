"""Exported states get their types back: Arrow carries them as structs and lists.

An empty table made by the shards' own SQL has the types; united with it, what arrives takes them on, uncopied.
"""

from __future__ import annotations

import duckdb

from gearsql.plan.stages import MergeStage, Scan, ShardStage
from gearsql.plan.text import quote

_TYPED = "typed"


def typed_by_stage(
    cursor: duckdb.DuckDBPyConnection, shard: ShardStage, merge: MergeStage, arriving: str
) -> str:
    """Return the merge's SQL over the relation `arriving`, typed as the shard stage's SQL; makes temporary tables."""
    for index, scan in enumerate(shard.scans):
        cursor.execute(f"CREATE TEMP TABLE scan_{index} ({_columns(scan)})")
    cursor.execute(f"CREATE TEMP TABLE {_TYPED} AS SELECT * FROM ({shard.sql}) LIMIT 0")
    return f"WITH {quote(merge.relation)} AS (FROM {_TYPED} UNION ALL FROM {arriving}) {merge.sql}"


def _columns(scan: Scan) -> str:
    return ", ".join(f"{quote(column.name)} {column.type}" for column in scan.columns) or "counted BOOLEAN"
