"""Names in FROM → tables: declared ones from the catalog, key patterns by inference over all shards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.infer import Hash, infer, infer_type
from gearsql.catalog.names import fold, is_pattern
from gearsql.catalog.sample import sample, sample_readable
from gearsql.catalog.store import TAG, Catalog, undeclared
from gearsql.catalog.table import Column, KeyTemplate, PlaceholderSource, Table
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.gather import gather
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import Shard


class Tables:
    """The catalog, and what can be inferred about the rest."""

    def __init__(self, shards: Shards) -> None:
        """Nothing is asked yet."""
        self._shards = shards
        self.catalog = Catalog(lambda: shards.owner(TAG))
        self._notes: list[str] = []
        # What is inferred from a part of the keys is for this client only.
        self._partial = shards.acl == "skip"

    def said(self) -> tuple[str, ...]:
        """Return what the inferences since the last call have to say."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def find(self, name: str) -> Table:
        """Return a declared table, or the inferred one of a key pattern; else UnknownTableError."""
        declared = self.catalog.find(name)
        if declared is not None:
            return declared
        if not is_pattern(name):
            error = self.catalog.unknown(name)
            error.hint = error.hint or f'an undeclared table is a key pattern in double quotes: "{name}:*"'
            raise error
        return self.catalog.inferred(name) or self.infer(undeclared(name))

    def infer(self, table: Table) -> Table:
        """Infer the columns of an undeclared table (anew) and keep them, unless no key matches."""
        inferred = infer(self._samples(scan_pattern(table.keys)))
        self._notes += inferred.notes
        table = replace(table, columns=inferred.columns)
        return self.catalog.keep_inferred(table, shared=not self._partial) if inferred.columns else table

    def columns_of(self, keys: KeyTemplate) -> tuple[Column, ...]:
        """Infer the columns of a table that is declared by its key template alone; placeholders first."""
        template = _expression(keys)
        samples = self._samples(scan_pattern(keys))
        matches = [(found.groups(), hash) for hash in samples if (found := template.fullmatch(hash[0]))]
        inferred = infer(hash for _, hash in matches)
        self._notes += inferred.notes
        placeholders = tuple(
            Column(name, infer_type([found[index] for found, _ in matches]), PlaceholderSource(index))
            for index, name in enumerate(keys.placeholders)
        )
        names = {fold(name) for name in keys.placeholders}
        return (*placeholders, *(c for c in inferred.columns if fold(c.name) not in names))

    def _samples(self, pattern: bytes) -> list[Hash]:
        def read(_: Shard, connection: ShardConnection) -> Iterator[list[Hash]]:
            find = sample_readable if self._partial else sample
            yield find(connection, pattern)

        return [hash for hashes in gather(self._shards, read) for hash in hashes]


def _expression(keys: KeyTemplate) -> re.Pattern[bytes]:
    # Only for samples: it may cut a key otherwise than the readers do, and the readers are strict.
    return re.compile(b"(.+?)".join(map(re.escape, keys.literals)), re.DOTALL)
