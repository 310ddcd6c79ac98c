"""DuckDB's bound plan of a text: what decides whether two texts mean the same, and which columns are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from gearsql.sql.functions import known_functions
from gearsql.sql.syntax import Node, children

# What a plan carries for people: where a node stood, what it was called, whether a call was an operator.
_UNIMPORTANT = {"alias", "query_location", "query_location_length", "is_operator"}


@dataclass(frozen=True)
class Plan:
    """An unoptimised plan, bare of what changes no answer: `nodes`, or DuckDB's `refusal`, or neither."""

    nodes: list[Node] | None
    refusal: Node | None = None

    def means(self, other: Plan) -> bool:
        """Whether both plans are known and equal."""
        return self.nodes is not None and self.nodes == other.nodes

    def reads(self) -> set[str] | None:
        """The table's columns that the plan reads, None if that is not known."""
        if self.nodes is None:
            return None
        return {name for node in self.nodes for get in _gets(node) for name in _read_by(get)}

    def reads_of(self) -> dict[str, set[str]] | None:
        """The columns that the plan reads of each table, None if that is not known."""
        if self.nodes is None:
            return None
        found: dict[str, set[str]] = {}
        for node in self.nodes:
            for get in _all_gets(node):
                found.setdefault(get["function_data"]["table"], set()).update(_read_by(get))
        return found


def _all_gets(node: Any) -> Iterator[Node]:
    """The scans of tables, in subqueries, too."""
    if node.get("type") == "LOGICAL_GET" and "table" in (node.get("function_data") or {}):
        yield node
    for child in children(node):
        yield from _all_gets(child)


def plan_of(connection: duckdb.DuckDBPyConnection, text: str, *, pruned: bool = False) -> Plan:
    """Bind a SELECT and return its plan; nothing runs. `pruned`: without columns that nothing needs."""
    try:
        plan = f"SELECT json_serialize_plan(?, optimize := {str(pruned).lower()})"
        row = connection.execute(plan, [text]).fetchall()[0]
    except duckdb.Error:
        return Plan(None)
    try:
        answer = json.loads(row[0], object_hook=_bare)
    except ValueError:  # DuckDB writes no JSON of a constant of bits
        return Plan(None)
    return Plan(None, answer) if answer["error"] else Plan(answer["plans"])


def _gets(node: Node) -> Iterator[Node]:
    if node["type"] == "LOGICAL_GET":
        yield node
    for child in node["children"]:
        yield from _gets(child)


def _read_by(get: Node) -> Iterator[str]:
    for column in get["column_indexes"]:
        if column["index"] < len(get["names"]):  # beyond are rowid and the empty column of count(*)
            yield get["names"][column["index"]]


def _bare(node: Node) -> Node:
    """Leave out what does not matter, and spell the same things alike. Called on each dict, from within."""
    for key in _UNIMPORTANT:
        node.pop(key, None)
    if "qname" in node:
        node["qname"] = _first_name(node["qname"]["path"][-1])
    if node.get("qname") == "string_agg" and node.get("function_data"):
        # The separator is in function_data; sqlglot writes the default one out.
        node["children"], node["arguments"] = node["children"][:1], node["arguments"][:1]
        node["positional_arguments"] = 1
    return _is_not_null(node)


def _first_name(function: str) -> str:
    return known_functions().aliases.get(function, function)


def _is_not_null(node: Node) -> Node:
    """NOT (x IS NULL) is x IS NOT NULL: sqlglot writes the one for the other."""
    if node.get("type") != "OPERATOR_NOT" or node["children"][0].get("type") != "OPERATOR_IS_NULL":
        return node
    return {**node["children"][0], "type": "OPERATOR_IS_NOT_NULL"}
