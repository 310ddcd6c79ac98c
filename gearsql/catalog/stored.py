"""A table as the catalog stores it: JSON that a person can read with GET."""

from __future__ import annotations

import json
from typing import Any

from gearsql.catalog.table import (
    Column,
    ConstantSource,
    ElementSource,
    FieldSource,
    Glob,
    KeySource,
    KeyTemplate,
    PlaceholderSource,
    Source,
    Table,
)
from gearsql.catalog.view import View, ViewNamedError
from gearsql.errors import InternalError


def to_json(table: Table | View) -> str:
    """Write a table; bytes that are not UTF-8 become lone surrogates, so all bytes survive."""
    if isinstance(table, View):
        told = {"name": table.name, "view": table.text, "columns": table.columns, "version": table.version}
        return json.dumps(told)
    return json.dumps(
        {
            "name": table.name,
            "keys": _keys_out(table.keys),
            "columns": [[column.name, column.type, _source_out(column.source)] for column in table.columns],
            "declared": table.declared,
            "on_error": table.on_error,
            "null_values": [_text(value) for value in table.null_values],
            "version": table.version,
            "type": table.type,
            "cast": table.cast,
        }
    )


def from_json(stored: bytes) -> Table:
    """Read what to_json wrote; ViewNamedError if it is a view."""
    told: dict[str, Any] = json.loads(stored)
    if "view" in told:
        raise ViewNamedError(View(told["name"], told["view"], tuple(told["columns"]), told["version"]))
    return Table(
        told["name"],
        _keys_in(told["keys"]),
        tuple(Column(name, type_, _source_in(source)) for name, type_, source in told["columns"]),
        told["declared"],
        told["on_error"],
        tuple(_bytes(value) for value in told["null_values"]),
        told["version"],
        told.get("type", "hash"),
        told.get("cast", "strict"),
    )


def _keys_out(keys: KeyTemplate | Glob) -> dict[str, Any]:
    match keys:
        case Glob(pattern):
            return {"glob": _text(pattern)}
        case KeyTemplate(literals, placeholders):
            return {"literals": [_text(literal) for literal in literals], "placeholders": list(placeholders)}


def _keys_in(told: dict[str, Any]) -> KeyTemplate | Glob:
    if "glob" in told:
        return Glob(_bytes(told["glob"]))
    return KeyTemplate(tuple(_bytes(literal) for literal in told["literals"]), tuple(told["placeholders"]))


def _source_out(source: Source) -> dict[str, Any]:
    match source:
        case KeySource():
            return {"key": True}
        case PlaceholderSource(index):
            return {"placeholder": index}
        case FieldSource(field):
            return {"field": _text(field)}
        case ConstantSource():
            raise InternalError("only scans have columns of one text")
        case ElementSource(part):
            return {"part": part}


def _source_in(told: dict[str, Any]) -> Source:
    if "field" in told:
        return FieldSource(_bytes(told["field"]))
    if "part" in told:
        return ElementSource(told["part"])
    return PlaceholderSource(told["placeholder"]) if "placeholder" in told else KeySource()


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _bytes(value: str) -> bytes:
    return value.encode(errors="surrogateescape")
