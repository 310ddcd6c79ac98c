"""Exported states get their types back: Arrow carries them as structs and lists.

An empty table made by the shards' own SQL has the types; what arrives takes them on, uncopied if it can.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from gearsql.plan.stages import MergeStage, Scan, ShardStage
from gearsql.plan.text import quote
from gearsql.sql.hooks import bindable


def type_states(
    cursor: duckdb.DuckDBPyConnection, shard: ShardStage, merge: MergeStage, reader: pa.RecordBatchReader
) -> str:
    """Return the merge's SQL over what arrives, typed by the shard stage's SQL; makes temporary tables."""
    for index, scan in enumerate(shard.scans):
        cursor.execute(f"CREATE TEMP TABLE scan_{index} ({_columns(scan)})")
    cursor.execute(f"CREATE TEMP TABLE typed AS SELECT * FROM ({bindable(shard.sql, shard.hooks)}) LIMIT 0")
    cursor.register("arriving", reader)
    source = "FROM typed UNION ALL FROM arriving"
    if any(pa.types.is_list(field.type) for field in reader.schema):
        # DuckDB unites no lists with their states; it does insert them.
        cursor.execute("INSERT INTO typed FROM arriving")
        source = "FROM typed"
    return f"WITH {quote(merge.relation)} AS ({source}) {bindable(merge.sql, merge.hooks)}"


def _columns(scan: Scan) -> str:
    return ", ".join(f"{quote(column.name)} {column.type}" for column in scan.columns) or "counted BOOLEAN"
