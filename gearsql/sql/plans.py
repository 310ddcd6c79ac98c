"""DuckDB's bound plan of a text: what decides whether two texts mean the same, and which columns are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from gearsql.sql.syntax import Node, children

# What a plan carries for people: where a node stood, and what it was called.
_UNIMPORTANT = {"alias", "query_location", "query_location_length"}


@dataclass(frozen=True)
class Plan:
    """An unoptimised plan. `refusal` is DuckDB's error, `nodes` is None if the plan cannot be told."""

    nodes: list[Node] | None
    refusal: Node | None = None

    def means(self, other: Plan) -> bool:
        """Whether both plans are known and equal."""
        return self.nodes is not None and other.nodes is not None and _bare(self.nodes) == _bare(other.nodes)

    def reads(self) -> set[str] | None:
        """The table's columns that the plan reads, None if that is not known."""
        if self.nodes is None:
            return None
        return {name for get in _gets(self.nodes) for name in _read_by(get)}


def plan_of(connection: duckdb.DuckDBPyConnection, text: str) -> Plan:
    """Bind a SELECT and return its plan; nothing runs."""
    try:
        row = connection.execute("SELECT json_serialize_plan(?, optimize := false)", [text]).fetchone()
    except duckdb.Error:
        return Plan(None)
    assert row is not None
    answer = json.loads(row[0])
    return Plan(None, answer) if answer["error"] else Plan(answer["plans"])


def _gets(node: Any) -> Iterator[Node]:
    for child in children(node):
        if child.get("type") == "LOGICAL_GET":
            yield child
        yield from _gets(child)


def _read_by(get: Node) -> Iterator[str]:
    for column in get["column_indexes"]:
        if column["index"] < len(get["names"]):  # beyond are rowid and the empty column of count(*)
            yield get["names"][column["index"]]


def _bare(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key not in _UNIMPORTANT}
    return [_bare(value) for value in node] if isinstance(node, list) else node
