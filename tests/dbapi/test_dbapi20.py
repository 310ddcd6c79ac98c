"""The public compliance suite of PEP 249. There is no INSERT: what it inserts becomes hashes by redis-py."""

from collections.abc import Iterator
from typing import Any, Self

import dbapi20
import pytest
import sqlglot
from redis import Redis
from sqlglot import exp

import gearsql
from gearsql.dbapi import Connection, Cursor
from gearsql.embedded import Cluster
from gearsql.engine import Engine

COLUMNS = {"suite_booze": ("name",), "suite_barflys": ("name", "drink")}


class InsertingCursor(Cursor):
    """A cursor that knows the suite's INSERTs and writes their rows as hashes."""

    server: Redis
    inserted = 0

    def execute(self, operation: str, parameters: Any = None) -> Self:
        statement = sqlglot.parse_one(operation) if operation.startswith("insert") else None
        if statement is not None:
            self._insert(statement, iter(parameters or ()))
            return super().execute("DROP TABLE IF EXISTS no_rows")
        return super().execute(operation, parameters)

    def _insert(self, statement: exp.Expression, parameters: Iterator[Any]) -> None:
        InsertingCursor.inserted += 1
        table = statement.find(exp.Table).name
        given = [
            next(parameters) if isinstance(v, exp.Placeholder) else v.this for v in statement.find(exp.Tuple)
        ]
        fields = {name: value for name, value in zip(COLUMNS[table], given, strict=True) if value is not None}
        # A hash has at least one field.
        self.server.hset(f"{table}:{self.inserted}", mapping=fields or {"none": ""})


class InsertingConnection(Connection):
    def cursor(self) -> InsertingCursor:
        return InsertingCursor(self)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with Cluster(1, module=False) as cluster, cluster.client() as client:
        TestCompliance.url = cluster.url
        InsertingCursor.server = client
        yield


class TestCompliance(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    driver = gearsql
    url = ""
    table_prefix = "suite_"
    ddl1 = "create table suite_booze (name varchar(20)) with (key = 'suite_booze:{n}')"
    ddl2 = "create table suite_barflys (name varchar(20), drink varchar(30)) with (key = 'suite_barflys:{n}')"

    def _connect(self) -> Connection:
        return InsertingConnection(Engine(self.url))

    def tearDown(self) -> None:
        super().tearDown()
        InsertingCursor.server.flushdb()

    def _populate(self) -> list[str]:
        return [f"insert into {self.table_prefix}booze values ('{name}')" for name in self.samples]

    def test_executemany(self) -> None:
        with gearsql.connect(self.url) as connection, pytest.raises(gearsql.NotSupportedError):
            connection.cursor().executemany("SELECT ?", [(1,)])

    def test_rollback(self) -> None:
        with gearsql.connect(self.url) as connection, pytest.raises(gearsql.NotSupportedError):
            connection.rollback()

    def test_nextset(self) -> None:
        """No statement has several answers, so there is no nextset (PEP 249: optional)."""
        assert not hasattr(Cursor, "nextset")

    def test_setoutputsize(self) -> None:
        with gearsql.connect(self.url) as connection:
            connection.cursor().setoutputsize(1000)
