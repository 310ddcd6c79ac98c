"""SUMMARIZE gives DuckDB's columns, names and types; what is exact there is equal, std within rounding."""

import duckdb
import pytest

from gearsql.dbapi import Connection
from gearsql.errors import UnknownTableError

COLUMNS = (
    "i INTEGER, b VARCHAR, d DOUBLE, dt DATE, ts TIMESTAMP, dec DECIMAL(8,2), bo BOOLEAN, "
    "u UUID, ti TIME, h HUGEINT, nothing SMALLINT, uh UHUGEINT, tz TIMESTAMPTZ, iv INTERVAL"
)
ROWS = """SELECT range::INTEGER, 'x' || range, range / 4, DATE '2020-01-01' + range::INTEGER * 2,
    TIMESTAMP '2020-01-01 10:00:00' + INTERVAL (range * 2) HOUR, (range / 7)::DECIMAL(8,2),
    CASE WHEN range % 3 > 0 THEN range % 2 = 0 END,
    ('00000000-0000-0000-0000-0000000000' || (10 + range))::UUID, TIME '10:00:00', range::HUGEINT, NULL,
    range::UHUGEINT, TIMESTAMPTZ '2020-01-01 10:00:00+02' + INTERVAL (range * 2) HOUR, INTERVAL (range) DAY
    FROM range(9)"""
EXACT = ("column_name", "column_type", "min", "max", "avg", "count", "null_percentage")


def test_a_table_is_summarised_as_duckdb_does(connection: Connection) -> None:
    oracle = duckdb.connect()
    oracle.execute("SET TimeZone = 'UTC'")
    oracle.execute(f"CREATE TABLE s ({COLUMNS})")
    connection.execute(f"CREATE OR REPLACE TABLE s ({COLUMNS}) WITH (key = 'sum:{{i}}')")
    for rows in (f"INSERT INTO s {ROWS}", None):
        if rows is None:
            oracle.execute("DELETE FROM s")
            connection.execute("DELETE FROM s")
        else:
            oracle.execute(rows)
            connection.cursor().executemany(
                f"INSERT INTO s VALUES ({', '.join('?' * 14)})", oracle.execute("FROM s").fetchall()
            )
        theirs, ours = oracle.sql("SUMMARIZE s"), connection.execute("SUMMARIZE s")
        assert ours.description is not None
        assert [(c[0], c[1]) for c in ours.description] == list(
            zip(theirs.columns, map(str, theirs.types), strict=True)
        )
        exact = [theirs.columns.index(name) for name in EXACT]
        std = theirs.columns.index("std")
        found = ours.fetchall()
        for mine, right in zip(found, theirs.fetchall(), strict=True):
            assert [mine[at] for at in exact] == [right[at] for at in exact]
            # A deviation's last digits depend on the order of the rows, in DuckDB as here; it is text.
            assert right[std] is None or float(mine[std]) == pytest.approx(float(right[std]), rel=1e-12)
            assert [value is None for value in mine] == [value is None for value in right]


def test_an_unknown_table_is_named_at_its_place(connection: Connection) -> None:
    with pytest.raises(UnknownTableError) as raised:
        connection.execute("SUMMARIZE nix")
    assert (raised.value.text, raised.value.column) == ("SUMMARIZE nix", 11)
