"""Placeholders' texts → keys that the table's template reads back to the same texts."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from gearsql.catalog.table import KeyTemplate
from gearsql.cluster.replies import shown
from gearsql.cluster.write_text import BATCH, UnfitError
from gearsql.native import match_template


def keys_of(template: KeyTemplate, texts: Sequence[pa.ChunkedArray]) -> list[bytes]:
    """Return each row's key; `texts` are the placeholders' in the template's order.

    Raises UnfitError for a row whose key would not be read as it was given.
    """
    pieces: list[object] = []
    for literal, text in zip(template.literals, texts, strict=False):
        pieces += [pa.scalar(literal, pa.large_binary()), text]
    pieces.append(pa.scalar(template.literals[-1], pa.large_binary()))
    keys = pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    found: list[bytes] = []
    for start in range(0, len(keys), BATCH):
        part = _whole(keys.slice(start, BATCH))
        try:
            _check(template, part, [_whole(text.slice(start, BATCH)) for text in texts])
        except UnfitError as unfit:
            unfit.row += start
            raise
        found += part.to_pylist()
    return found


def _check(template: KeyTemplate, keys: pa.Array, texts: Sequence[pa.Array]) -> None:
    for name, text in zip(template.placeholders, texts, strict=True):
        row = pc.index(text.is_null(), True).as_py()
        if row >= 0:
            raise UnfitError(row, "NULL", f"{name} is part of the key and cannot be NULL")
    match = match_template(template, keys)
    for name, text, read in zip(template.placeholders, texts, match.captures, strict=True):
        same = pc.and_(match.matched, pc.equal(text, read.cast(pa.large_binary())))
        row = pc.index(same, False).as_py()
        if row >= 0:
            value = shown(text[row].as_py())
            raise UnfitError(row, value, f"{name} = {value} would not be read back from {_key(keys, row)}")


def _key(keys: pa.Array, row: int) -> str:
    return f"the key {shown(keys[row].as_py())}"


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
