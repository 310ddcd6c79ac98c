"""Sampled hashes → columns. A type is inferred only if every sample survives the trip to it and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Column, FieldSource

Hash = tuple[bytes, Sequence[tuple[bytes, bytes]]]
"""A key and its fields in the order of the server."""

INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
JSON_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])?")
LONGEST_INTEGER = 20


@dataclass(frozen=True)
class Inference:
    """The columns, and what has to be said about fields that became none."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]


def infer(hashes: Iterable[Hash]) -> Inference:
    """Infer columns from samples; the same samples in any order give the same columns in the same order.

    Columns come in the order of the hash with the most fields, then of the next ones.
    """
    values: dict[bytes, list[bytes]] = {}
    for _, fields in sorted(hashes, key=lambda sample: (-len(sample[1]), sample[0])):
        for field, value in fields:
            values.setdefault(field, []).append(value)
    unreadable = [field for field in values if not _is_name(field)]
    columns: list[Column] = []
    for field, samples in values.items():
        if field not in unreadable:
            columns.append(
                Column(_free_name(field.decode(), columns), infer_type(samples), FieldSource(field))
            )
    return Inference(tuple(columns), tuple(_note(field) for field in sorted(unreadable)))


def infer_type(samples: Sequence[bytes]) -> str:
    """Return the narrowest type that all samples fit without loss; VARCHAR if there is no sample."""
    for name, fits in TESTS if samples else ():
        if all(map(fits, samples)):
            return name
    return "VARCHAR" if all(map(_is_text, samples)) else "BLOB"


def _is_bigint(value: bytes) -> bool:
    if len(value) > LONGEST_INTEGER or not INTEGER.fullmatch(value) or value == b"-0":
        return False
    return -(2**63) <= int(value) < 2**63


def _is_boolean(value: bytes) -> bool:
    return value in (b"true", b"false")


def _is_timestamp(value: bytes) -> bool:
    if not TIMESTAMP.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.decode().split(".")[0])
    except ValueError:
        return False
    return True


def _is_double(value: bytes) -> bool:
    """Integers among fractions have to be BIGINTs that are exact as DOUBLE: no two of them become one."""
    if not JSON_NUMBER.fullmatch(value):
        return False
    number = float(value)
    if number in (float("inf"), float("-inf")):
        return False
    return not INTEGER.fullmatch(value) or value == b"-0" or (_is_bigint(value) and int(number) == int(value))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


TESTS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("BIGINT", _is_bigint),
    ("BOOLEAN", _is_boolean),
    ("TIMESTAMP", _is_timestamp),
    ("DOUBLE", _is_double),
)


def _is_name(field: bytes) -> bool:
    return field != b"" and b"\0" not in field and _is_text(field)


def _note(field: bytes) -> str:
    return f"the field {field!r} is no column: its name is not UTF-8 text"


def _free_name(name: str, taken: Sequence[Column]) -> str:
    """Return `name`, or `name_1`, … when a column has it already; names compare without case."""
    names = {fold(column.name) for column in (*taken, KEY_COLUMN)}
    candidate, number = name, 0
    while fold(candidate) in names:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
