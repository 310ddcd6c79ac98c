"""`column.*` of a struct is its members, as in DuckDB; a relation of that name comes first."""

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import UnknownColumnError, UnknownTableError

COLUMNS = 'id BIGINT, addr STRUCT(city VARCHAR, n INTEGER, "in" STRUCT(x INTEGER)), n BIGINT'
ROWS = (
    "(1, {'city': 'x', 'n': 1, 'in': {'x': 7}}, 5), (2, {'city': 'y', 'n': 2, 'in': NULL}, 6), (3, NULL, 7)"
)
QUERIES = [
    "SELECT addr.* FROM s",
    "SELECT id, ADDR.*, n + 1 FROM s WHERE id > 1",
    "SELECT addr.* EXCLUDE (city), id FROM s x",
    "SELECT addr.* REPLACE (n * 2 AS n) FROM s",
    "SELECT addr.* RENAME (city AS town) FROM s",
    "SELECT addr.*, count(*) FROM s GROUP BY ALL",
    "SELECT DISTINCT addr.*, s.* FROM s",
    "SELECT addr.* FROM s addr",
    "SELECT count(addr.*), max(COLUMNS(addr.*)) FROM s",
    "SELECT addr.* FROM s JOIN (SELECT 1 AS k) j ON s.id = j.k",
    'WITH w AS (SELECT addr.* FROM s) SELECT w.*, "in".* FROM w',
]


@pytest.mark.parametrize("name", ["one_server", "three_shards", "plain_shards"])
def test_stars_of_structs(request: pytest.FixtureRequest, name: str) -> None:
    cluster: Cluster = request.getfixturevalue(name)
    with gearsql.connect(cluster.url) as ours, duckdb.connect() as native:
        ours.execute(f"CREATE OR REPLACE TABLE s ({COLUMNS}) WITH (key = 'struct-star:{{id}}')")
        native.execute(f"CREATE TABLE s ({COLUMNS})")
        for connection in (ours, native):
            connection.execute(f"INSERT INTO s VALUES {ROWS}")
        for query in QUERIES:
            found, wanted = ours.execute(query), native.execute(query)
            assert found.description and wanted.description
            assert [one[0] for one in found.description] == [one[0] for one in wanted.description], query
            assert sorted(map(repr, found.fetchall())) == sorted(map(repr, wanted.fetchall())), query
        with pytest.raises(UnknownColumnError, match="no column nn in addr"):
            ours.execute("SELECT addr.* EXCLUDE (nn) FROM s")
        with pytest.raises(UnknownTableError):
            ours.execute("SELECT id.* FROM s")
        ours.execute("DELETE FROM s")
        ours.execute("DROP TABLE s")
