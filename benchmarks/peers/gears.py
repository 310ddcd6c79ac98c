"""GearsSQL by its DB-API connection, the table undeclared."""

from __future__ import annotations

from typing import Any

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.servers import Place

TABLE = '"user:*"'


class Gears:
    """gearsql.connect(url, **options); the first statement infers the table's types, in prepare()."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self._options = options
        self._connection: Any = None

    def prepare(self, place: Place, rows: Rows) -> None:
        # Imported late: a broken build is this peer's failure, not the run's.
        import gearsql

        self._connection = gearsql.connect(place.url, **self._options)
        self._connection.cursor().execute(f"SELECT count(*) FROM {TABLE}").fetchall()

    def version(self) -> str:
        from gearsql.version import VERSION

        return f"gearsql {VERSION}"

    def can(self, query: Query) -> bool:
        return True

    def run(self, query: Query) -> Answer:
        cursor = self._connection.cursor()
        cursor.execute(query.text(TABLE))
        return dict(cursor.fetchall())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
