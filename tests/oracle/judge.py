"""Asks the same question twice: gearsql over hashes, and DuckDB over a native table with the same rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import duckdb

import gearsql
from tests.oracle.cases import Case
from tests.oracle.compare import Answer, assert_same

Key = tuple[str, str]


@dataclass
class Oracle:
    """DuckDB with native tables; each question is answered once."""

    connection: duckdb.DuckDBPyConnection
    _known: dict[Key, Answer] = field(default_factory=dict)

    def ask(self, text: str, parameters: Any = None) -> Answer:
        """Return DuckDB's own answer."""
        key = (text, repr(parameters))
        if key not in self._known:
            relation = self.connection.sql(text, params=parameters)
            types = [str(type_) for type_ in relation.types]
            self._known[key] = Answer(relation.columns, types, relation.fetchall())
        return self._known[key]


def ask(connection: gearsql.Connection, text: str, parameters: Any = None) -> Answer:
    """Return gearsql's answer."""
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        assert cursor.description is not None
        names, types = (
            [column[0] for column in cursor.description],
            [column[1] for column in cursor.description],
        )
        rows = cursor.fetchall()
        assert cursor.rowcount == len(rows)
        return Answer(names, types, rows)


def judge(connection: gearsql.Connection, oracle: Oracle, case: Case) -> None:
    """Assert that gearsql answers as DuckDB does."""
    found = ask(connection, case.text, case.parameters)
    expected = oracle.ask(case.native or case.text, case.parameters)
    if case.among is None:
        assert_same(found, expected, ordered=case.ordered, within=case.within)
        return
    assert (found.names, found.types, len(found.rows)) == (expected.names, expected.types, len(expected.rows))
    assert Counter(found.rows) <= Counter(oracle.ask(case.among, case.parameters).rows)
