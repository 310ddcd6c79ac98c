"""What arrives gets the types back that Arrow does not carry: those of exported states, and ENUMs.

An empty table made by the shards' own SQL has the types; what arrives takes them on, uncopied if it can.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from gearsql.catalog.types import has_enum
from gearsql.plan.stages import MergeStage, Scan, ShardStage
from gearsql.plan.text import quote
from gearsql.sql.hooks import bindable


def loses_types(merge: MergeStage, schema: pa.Schema) -> bool:
    """Whether something arrives in another type than the shards gave it."""
    return merge.states or any(_holds_enum(field.type) for field in schema)


def type_arriving(
    cursor: duckdb.DuckDBPyConnection, shard: ShardStage, merge: MergeStage, reader: pa.RecordBatchReader
) -> str:
    """Return the merge's SQL over what arrives, typed by the shard stage's SQL; makes temporary tables."""
    for index, scan in enumerate(shard.scans):
        cursor.execute(f"CREATE TEMP TABLE scan_{index} ({_columns(scan)})")
    for index, columns in enumerate(shard.given):
        items = ", ".join(f"c{number} {column.type}" for number, column in enumerate(columns))
        cursor.execute(f"CREATE TEMP TABLE given_{index} ({items})")
    cursor.execute(f"CREATE TEMP TABLE typed AS SELECT * FROM ({bindable(shard.sql, shard.hooks)}) LIMIT 0")
    typed = cursor.sql("FROM typed")
    types = [str(type_) for type_ in typed.types]
    register(cursor, "arriving", reader, typed.columns, types)
    source = "FROM typed UNION ALL FROM arriving"
    if any(pa.types.is_list(field.type) for field in reader.schema):
        # DuckDB unites no lists with their states; it does insert them.
        cursor.execute("INSERT INTO typed FROM arriving")
        source = "FROM typed"
    return f"WITH {quote(merge.relation)} AS ({source}) {bindable(merge.sql, merge.hooks)}"


def register(
    cursor: duckdb.DuckDBPyConnection,
    name: str,
    source: pa.Table | pa.RecordBatchReader,
    columns: Sequence[str],
    types: Sequence[str],
) -> None:
    """Make Arrow's columns a relation in which ENUMs are of their types again."""
    casts = [
        f"CAST({quote(column)} AS {type_}) AS {quote(column)}"
        for column, type_ in zip(columns, types, strict=True)
        if has_enum(type_)
    ]
    if not casts:
        cursor.register(name, source)
        return
    texts = f"{name} in texts"
    cursor.register(texts, source)
    cast = f"SELECT * REPLACE ({', '.join(casts)}) FROM {quote(texts)}"
    cursor.execute(f"CREATE TEMP VIEW {quote(name)} AS {cast}")


def _holds_enum(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return True
    return any(_holds_enum(type_.field(index).type) for index in range(type_.num_fields))


def _columns(scan: Scan) -> str:
    return ", ".join(f"{quote(column.name)} {column.type}" for column in scan.columns) or "counted BOOLEAN"
