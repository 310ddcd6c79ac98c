"""All flights out of New York in 2013, declared and undeclared, on one server and on three shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import gearsql
from gearsql.cli.demo import flights
from gearsql.cli.load import load_file
from gearsql.embedded import Cluster
from tests.oracle.cases import read_cases
from tests.oracle.judge import Oracle, ask, judge

CASES = read_cases(Path(__file__).with_name("flights.sql"))
ROWS = 336_776

TEXTS = ("carrier", "tailnum", "origin", "dest", "time_hour")
NUMBERS = (
    *(
        "year",
        "month",
        "day",
        "dep_time",
        "sched_dep_time",
        "dep_delay",
        "arr_time",
        "sched_arr_time",
        "arr_delay",
    ),
    *("flight", "air_time", "distance", "hour", "minute"),
)
# Other types than inference gives, so that widths, unsigned numbers and decimals are summed, too.
# `id` is in the key.
DECLARED = (
    {"id": "BIGINT"}
    | dict.fromkeys(TEXTS, "VARCHAR")
    | dict.fromkeys(NUMBERS, "INTEGER")
    | {
        "month": "TINYINT",
        "day": "UTINYINT",
        "distance": "DECIMAL(9,2)",
        "dep_delay": "DOUBLE",
        "flight": "UBIGINT",
    }
)
UNDECLARED = '"flight:*"'


@dataclass(frozen=True)
class Flights:
    """Where the flights are, the native tables of the same schemas, and which to ask in turn."""

    connection: gearsql.Connection
    oracle: Oracle
    tables: tuple[str, str]


@pytest.fixture(scope="session")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="session")
def native(csv: Path) -> Iterator[Oracle]:
    """The flights as text, from which the typed tables are made."""
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(
            "CREATE TABLE texts AS SELECT *, 'flight:' || id AS _key"
            " FROM (SELECT row_number() OVER () AS id, *"
            " FROM read_csv($csv, all_varchar = true, nullstr = 'NA'))",
            {"csv": str(csv)},
        )
        _create_native(connection, "flights", DECLARED)
        _create_native(connection, UNDECLARED, _inferred(connection))
        yield Oracle(connection)


def _inferred(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Columns in the file's order."""
    fields = [column for column in connection.table("texts").columns if column not in ("id", "_key")]
    return {field: "VARCHAR" if field in TEXTS else "BIGINT" for field in fields}


def _create_native(connection: duckdb.DuckDBPyConnection, name: str, types: dict[str, str]) -> None:
    columns = ", ".join(f"{column}::{type_} AS {column}" for column, type_ in types.items())
    connection.execute(f"CREATE TABLE {name} AS SELECT {columns}, _key FROM texts")


@pytest.fixture(scope="session", params=["one", "three"])
def place(request: pytest.FixtureRequest, csv: Path, native: Oracle) -> Iterator[Flights]:
    """Servers of their own: others would scan these keys, too."""
    columns = ", ".join(f"{column} {type_}" for column, type_ in DECLARED.items())
    with (
        Cluster({"one": 1, "three": 3}[request.param]) as cluster,
        gearsql.connect(cluster.url) as connection,
    ):
        assert load_file(cluster.url, csv, "flight:{_row}", nulls=("NA",)).hashes == ROWS
        connection.execute(f"CREATE TABLE flights ({columns}) WITH (key = 'flight:{{id}}')")
        # Every query is asked of both tables, one here, the other there.
        tables = ("flights", UNDECLARED) if request.param == "one" else (UNDECLARED, "flights")
        yield Flights(connection, native, tables)


def test_every_field_is_inferred(place: Flights) -> None:
    found = ask(place.connection, f"DESCRIBE {UNDECLARED}").rows
    expected = place.oracle.ask(f"SELECT column_name, column_type FROM (DESCRIBE {UNDECLARED})").rows
    assert sorted(row[:2] for row in found) == sorted(expected)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_answers_are_duckdbs(place: Flights, number: int) -> None:
    case = CASES[number].over("flights", place.tables[number % 2])
    judge(place.connection, place.oracle, case)
