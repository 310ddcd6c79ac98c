"""Batches on their way into DuckDB, read once; keeps the error that ends them, which DuckDB would reword."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from gearsql.errors import InternalError


class Arrival:
    """The batches of all shards as one stream. Iterating goes on where the last reader stopped."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Wait for the first batch, which tells the schema."""
        self._batches = iter(batches)
        self._error: BaseException | None = None
        self._first: pa.RecordBatch | None = next(self._batches, None)
        if self._first is None:
            raise InternalError("no shard sent a batch")
        self.schema: pa.Schema = self._first.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        # Not `yield from`: DuckDB may close its reader early, which would close the batches, too.
        while (batch := next(self._batches, None)) is not None:
            yield batch

    def reader(self) -> pa.RecordBatchReader:
        """Return a reader for DuckDB, whose threads run it."""
        return pa.RecordBatchReader.from_batches(self.schema, self._watched())

    def drain(self) -> None:
        """Read to the end: only then is it known that every slot was counted once."""
        for _ in self:
            pass

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raise the batches' own error in place of what became of it."""
        try:
            yield
        except Exception as error:
            if self._error is not None:
                raise self._error from None
            raise error

    def close(self) -> None:
        """End the batches where they are."""
        if isinstance(self._batches, Generator):
            self._batches.close()

    def _watched(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self
        except BaseException as error:
            self._error = error
            raise


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch without rows; pyarrow's own from_pylist cannot for structs with a HUGEINT."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def unpacked(packed: pa.ChunkedArray) -> Iterator[pa.RecordBatch]:
    """Yield the rows that one column has as lists of STRUCTs (plan/shared.py), in at least one batch."""
    yield empty_batch(pa.schema(list(packed.type.value_type)))
    for chunk in packed.chunks:
        if len(chunk):
            # Not flatten(), which knows no HUGEINT: the lists that are NULL are empty.
            first, end = chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()
            yield pa.RecordBatch.from_struct_array(chunk.values.slice(first, end - first))
