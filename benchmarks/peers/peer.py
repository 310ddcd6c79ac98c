"""What the run asks of a peer."""

from __future__ import annotations

from typing import Protocol

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.servers import Place


class Peer(Protocol):
    """A way to answer the queries over the hashes of one place."""

    name: str

    def prepare(self, place: Place, rows: Rows) -> None:
        """Do once what must be done before the first query: connect, build an index, copy the rows."""

    def version(self) -> str:
        """Return what answered; after prepare()."""

    def can(self, query: Query) -> bool:
        """Return whether the query can be said in this peer's language."""

    def run(self, query: Query) -> Answer:
        """Answer the query; this is what is timed."""

    def close(self) -> None:
        """Give back what prepare() took; also after a prepare() that failed."""
