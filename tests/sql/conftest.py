"""A flights-like table, and the front end as one call."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.sql.bind import Binder
from gearsql.sql.bound import BoundQuery, WideBound
from gearsql.sql.parameters import Parameters
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query, WideQuery

COLUMNS = {
    "carrier": "VARCHAR",
    "dest": "VARCHAR",
    "origin": "VARCHAR",
    "tail": "VARCHAR",
    "distance": "BIGINT",
    "flight": "INTEGER",
    "dep_delay": "DOUBLE",
    "price": "DECIMAL(10,2)",
    "day": "DATE",
    "ts": "TIMESTAMP",
    "cancelled": "BOOLEAN",
    "raw": "BLOB",
    "u": "UTINYINT",
    "id": "UUID",
}
Front = Callable[..., Any]


@pytest.fixture(scope="session")
def flights() -> Table:
    columns = tuple(Column(name, type_, FieldSource(name.encode())) for name, type_ in COLUMNS.items())
    return Table("flights", Glob(b"flight:*"), columns, declared=True)


@pytest.fixture(scope="session")
def binder() -> Iterator[Binder]:
    with Binder() as binder:
        yield binder


@pytest.fixture(scope="session")
def front(binder: Binder, flights: Table) -> Front:
    """text, parameters → BoundQuery, or WideBound if the query is no block."""

    def run(text: str, parameters: Parameters = None) -> BoundQuery | WideBound:
        query = parse(text)
        if isinstance(query, WideQuery):
            return binder.bind_wide(query, {source.name: flights for source in query.sources}, parameters)
        assert isinstance(query, Query)
        return binder.bind(query, flights, parameters)

    return run
