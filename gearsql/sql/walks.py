"""Walks over DuckDB's trees: what names a table, what stands in a FROM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.syntax import Node, children


def nodes(node: Any) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from nodes(child)


def references(node: Any) -> Iterator[Node]:
    """Yield what names a table in FROM anywhere under a node: not the names of CTEs."""
    yield from (table for table, _ in scoped_references(node))


def scoped_references(
    node: Any, hidden: frozenset[str] = frozenset()
) -> Iterator[tuple[Node, frozenset[str]]]:
    """As references, each with the names of CTEs that hide a table's there, folded."""
    if node.get("type") == "BASE_TABLE":
        if fold(node["table_name"]) not in hidden and not node["schema_name"]:
            yield node, hidden
        return
    for entry in node["cte_map"]["map"] if "cte_map" in node else ():
        name, query = fold(entry["key"]), entry["value"]["query_node"]
        recursive = query["type"] == "RECURSIVE_CTE_NODE"
        yield from scoped_references(entry["value"], hidden | {name} if recursive else hidden)
        hidden |= {name}
    for child in children({part: value for part, value in node.items() if part != "cte_map"}):
        yield from scoped_references(child, hidden)


def sources_in(source: Node) -> Iterator[Node]:
    """What stands in one FROM, without the joins that hold it together."""
    if source["type"] == "JOIN":
        yield from sources_in(source["left"])
        yield from sources_in(source["right"])
    else:
        yield source


def samples(node: Any) -> bool:
    """Whether rows are drawn by lot anywhere under a node."""
    return bool(node.get("sample")) or any(map(samples, children(node)))
