"""Type names are canonical as DuckDB makes them, and nothing more is readable than we say."""

import duckdb
import pytest

from gearsql.catalog.types import canonical_type, readable_types

WRITTEN = [
    "bool", "boolean", "logical", "tinyint", "int1", "smallint", "int2", "int16", "short", "int", "integer",
    "int4", "int32", "integral", "signed", "bigint", "int8", "int64", "long", "oid", "hugeint", "int128",
    "utinyint", "uint8", "usmallint", "uint16", "uinteger", "uint32", "ubigint", "uint64", "float", "float4",
    "real", "double", "float8", "double precision", "decimal", "numeric", "dec", "decimal(5)",
    "numeric ( 10 , 2 )", "decimal(38,38)", "varchar", "text", "string", "char", "bpchar", "nvarchar",
    "character varying", "varchar(10)", "char(3)", "blob", "bytea", "binary", "varbinary", "date", "time",
    "time without time zone", "timestamp", "datetime", "timestamp_us", "timestamp  without time zone", "uuid",
    "timestamp_s", "timestamp_ms", "Timestamp_NS", "guid", "timetz", "time with time  zone", "time_ns",
    "uhugeint", "uint128", "timestamptz", "timestamp with time  zone", "interval",
    "enum ('b','A' , 'it''s')", "ENUM('')",
]  # fmt: skip


def duckdbs(written: str) -> str:
    row = duckdb.connect().execute(f"SELECT typeof(NULL::{written})").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("written", WRITTEN)
def test_the_canonical_name_is_duckdbs(written: str) -> None:
    assert canonical_type(written) == duckdbs(written)


def test_every_name_of_duckdb_is_read_as_duckdb_reads_it_or_refused() -> None:
    names = duckdb.connect().execute("SELECT DISTINCT type_name FROM duckdb_types()").fetchall()
    for (name,) in names:
        ours = canonical_type(name)
        if ours is not None:
            assert ours == duckdbs(name)


@pytest.mark.parametrize(
    "written",
    [
        "timestamp with time",
        "interval(3)",
        "enum",
        "enum()",
        "enum('a', 'a')",
        "enum(a)",
        "int[]",
        "decimal(39)",
        "decimal(3,4)",
        "foo",
    ],
)
def test_other_types_are_not_readable(written: str) -> None:
    assert canonical_type(written) is None


def test_canonical_names_are_fixed_points() -> None:
    for name in set(readable_types()) - {"ENUM"}:
        assert (canonical_type(name) or "").startswith(name)
