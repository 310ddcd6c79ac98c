"""The 22 queries of TPC-H over hashes: answers are DuckDB's, on one server and on three shards.

GEARSQL_TPCH_SF sets the scale (default 0.01: 86,600 hashes).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.oracle.cases import Case, read_cases
from tests.oracle.judge import Oracle, judge
from tests.oracle.tables import filled

SCALE = os.environ.get("GEARSQL_TPCH_SF", "0.01")
CASES = read_cases(Path(__file__).with_name("tpch.sql"))
TEMPLATES = {
    "region": "region:{r_regionkey}",
    "nation": "nation:{n_nationkey}",
    "supplier": "supplier:{s_suppkey}",
    "part": "part:{p_partkey}",
    "partsupp": "partsupp:{ps_partkey}:{ps_suppkey}",
    "customer": "customer:{c_custkey}",
    "orders": "orders:{o_orderkey}",
    "lineitem": "lineitem:{l_orderkey}:{l_linenumber}",
}

pytestmark = pytest.mark.timeout(120 if SCALE == "0.01" else 3600)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The eight tables as tpchgen writes them."""
    folder = tmp_path_factory.mktemp("tpch")
    (generator,) = (file.locate() for file in files("tpchgen-cli") or () if file.name == "tpchgen-cli")
    subprocess.run([generator, "parquet", "-s", SCALE, f"--output-dir={folder}"], check=True)
    with duckdb.connect(config={"threads": 2}) as connection:
        for name in TEMPLATES:
            connection.execute(f"CREATE TABLE {name} AS FROM read_parquet('{folder / name}.parquet')")
        yield Oracle(connection)


@pytest.fixture(scope="module", params=[1, 3], ids=["one", "three"])
def connection(request: pytest.FixtureRequest, native: Oracle) -> Iterator[gearsql.Connection]:
    """Servers of their own: others would scan these keys, too."""
    with Cluster(request.param) as cluster, filled(cluster.url, native, TEMPLATES) as connection:
        yield connection


@pytest.mark.parametrize("case", CASES, ids=[f"Q{number}" for number in range(1, 23)])
def test_answers_are_duckdbs(connection: gearsql.Connection, native: Oracle, case: Case) -> None:
    judge(connection, native, case)
