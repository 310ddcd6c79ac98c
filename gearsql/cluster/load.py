"""Rows → hashes, as fast as the servers take them: DuckDB writes the protocol, we find the shard.

One HSET for each row; a NULL is no field, and a column that is in the key is none either. Each shard works
on one chunk of commands while the next one is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import duckdb
from redis.crc import key_slot

from gearsql.catalog.names import fold
from gearsql.catalog.table import KeyTemplate
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.shards import Shards
from gearsql.cluster.topology import SLOTS
from gearsql.cluster.write_text import nested_text
from gearsql.errors import DataError, Error, ProgrammingError, UnknownColumnError
from gearsql.sql.said import said

ROW = "_row"
"""A placeholder for the number of the row, from 1."""

ROW_HINT = f"{{{ROW}}} is the row's number"

KEY = '"(key)"'
"""Beside the columns of the file, of which none is likely to have this name."""

CHUNK = 1000
FETCHED = 20_000

Batch = list[tuple[bytes, bytes | None]]


@dataclass
class Loaded:
    """How many rows became hashes, and how many had nothing but NULLs to store."""

    hashes: int = 0
    empty: int = 0


def check_rows(rows: duckdb.DuckDBPyRelation, keys: KeyTemplate) -> int:
    """Read all rows and return their number; raise DataError unless each has a key, and no other has it."""
    if not keys.placeholders:
        raise ProgrammingError("the key has no placeholder: all rows would be one hash", hint=ROW_HINT)
    keyed = f"SELECT {_key(rows, keys)} AS {KEY}, * FROM file"
    # Counting a column reads it: else DuckDB looks for faults in the key's columns alone.
    counts = f"count(*), count({KEY}), count(DISTINCT {KEY}), count(COLUMNS(* EXCLUDE ({KEY})))"
    total, named, distinct, *_ = _query(rows, f"SELECT {counts} FROM ({keyed})")[0]
    if named < total:
        raise DataError("a placeholder of the key is NULL in a row, so the row has no key")
    if distinct < total:
        repeated = f"SELECT {KEY} FROM ({keyed}) GROUP BY {KEY} HAVING count(*) > 1 ORDER BY {KEY} LIMIT 1"
        ((example,),) = _query(rows, repeated)
        share = f"{total - distinct:,} of {total:,} rows"
        raise DataError(f"{share} have the key of an earlier row, such as {example!r}", hint=ROW_HINT)
    return int(total)


def load(
    shards: Shards,
    rows: duckdb.DuckDBPyRelation,
    keys: KeyTemplate,
    progress: Callable[[int], None] = lambda done: None,
) -> Loaded:
    """Write each row as the hash that `keys` names; existing hashes keep fields that the row has not.

    Values are stored as DuckDB casts them to text, BLOBs as they are, what has parts as JSON. The rows have
    passed check_rows().
    Raises on the first refused command, and says how many hashes were written by then.
    """
    loaded = Loaded()
    lanes = _lanes(shards)
    try:
        for batch in _batches(rows.project(commands(rows, keys))):
            _share_out(batch, lanes, loaded)
            progress(loaded.hashes + loaded.empty)
        for lane in set(lanes):
            lane.finish()
    except Error as error:
        written = sum(lane.settle() for lane in set(lanes))
        error.message += f" ({written:,} {'hash was' if written == 1 else 'hashes were'} written)"
        raise
    return loaded


def commands(rows: duckdb.DuckDBPyRelation, keys: KeyTemplate) -> str:
    """Return a projection of `rows` to the key and its HSET command, both BLOBs; NULL without values."""
    key = _key(rows, keys)
    in_key = {fold(name) for name in keys.placeholders}
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    fields = [name for name in rows.columns if fold(name) not in in_key]
    count = " + ".join(f"({_quoted(name)} IS NOT NULL)::INTEGER" for name in fields) or "0"
    head = f"'*' || (2 * ({count}) + 2)::VARCHAR || e'\\r\\n$4\\r\\nHSET\\r\\n' || {_bulk(key)}"
    texts = [_pair(name, types[name]) for name in fields if types[name] != "BLOB"]
    # concat() leaves a NULL out, and a pair with a NULL is one.
    command = f"encode(concat({', '.join([head, *texts])}))"
    blobs = "".join(f" || {_blob_pair(name)}" for name in fields if types[name] == "BLOB")
    return f"encode({key}) AS key, CASE WHEN {count} = 0 THEN NULL ELSE {command}{blobs} END AS command"


def _query(rows: duckdb.DuckDBPyRelation, text: str) -> list[tuple[Any, ...]]:
    answer = rows.query("file", text)
    assert answer is not None
    return answer.fetchall()


def _share_out(batch: Batch, lanes: Sequence[_Lane], loaded: Loaded) -> None:
    for key, command in batch:
        if command is None:
            loaded.empty += 1
        else:
            lanes[key_slot(key)].add(command)
            loaded.hashes += 1


def _key(rows: duckdb.DuckDBPyRelation, keys: KeyTemplate) -> str:
    columns = {fold(name): name for name in rows.columns}
    return " || ".join([_text(keys.literals[0]), *_key_parts(keys, columns)])


def _key_parts(keys: KeyTemplate, columns: dict[str, str]) -> Iterator[str]:
    for name, literal in zip(keys.placeholders, keys.literals[1:], strict=True):
        if fold(name) in columns:
            yield f"{_quoted(columns[fold(name)])}::VARCHAR"
        elif name == ROW:
            yield "(row_number() OVER ())::VARCHAR"
        else:
            near = tuple(get_close_matches(name, columns.values()))
            hint = f"columns are {', '.join(columns.values())}; {ROW_HINT}"
            raise UnknownColumnError(f"the file has no column {name}", candidates=near, hint=hint)
        yield _text(literal)


def _pair(name: str, type_: str) -> str:
    text = nested_text(type_, _quoted(name)) or f"{_quoted(name)}::VARCHAR"
    return f"{_bulk(_text(name.encode()))} || {_bulk(text)}"


def _blob_pair(name: str) -> str:
    head = f"{_bulk(_text(name.encode()))} || '$' || octet_length({_quoted(name)}) || e'\\r\\n'"
    return f"coalesce(encode({head}) || {_quoted(name)} || encode(e'\\r\\n'), ''::BLOB)"


def _bulk(value: str) -> str:
    """Return the protocol's form of a text; strlen counts bytes."""
    return f"'$' || strlen({value}) || e'\\r\\n' || {value} || e'\\r\\n'"


def _text(value: bytes) -> str:
    return "'" + value.decode().replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[Batch]:
    try:
        for batch in relation.to_arrow_reader(FETCHED):
            yield list(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
    except OSError as error:
        # What Arrow makes of DuckDB's errors.
        raise DataError(f"cannot read on: {said(error)}") from error


def _lanes(shards: Shards) -> list[_Lane]:
    """Return the lane of each slot."""
    lanes: dict[int, _Lane] = {}
    for shard in shards.all:
        lane = _Lane(shards.connection(shard))
        for first, last in shard.slots:
            lanes |= dict.fromkeys(range(first, last + 1), lane)
    return [lanes[slot] for slot in range(SLOTS)]


class _Lane:
    """The commands on their way to one shard."""

    def __init__(self, connection: ShardConnection) -> None:
        self._connection = connection
        self._chunk: list[bytes] = []
        self._sent = 0
        self._written = 0

    def add(self, command: bytes) -> None:
        self._chunk.append(command)
        if len(self._chunk) == CHUNK:
            self._send()

    def finish(self) -> None:
        self._send()
        self._read()

    def settle(self) -> int:
        """Send nothing more, and return how many hashes the shard has said it wrote."""
        with suppress(Error):
            self._read()
        return self._written

    def _send(self) -> None:
        self._read()
        self._connection.send_packed([b"".join(self._chunk)])
        self._sent, self._chunk = len(self._chunk), []

    def _read(self) -> None:
        sent, self._sent = self._sent, 0
        errors = [reply for reply in self._connection.read_all(sent) if isinstance(reply, Error)]
        self._written += sent - len(errors)
        if errors:
            raise errors[0]
