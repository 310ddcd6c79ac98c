"""CTEs of a tree: which a SELECT needs, and those that are used once, written where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.syntax import Node, children, read_query, write_query

Ctes = Sequence[Node]


def is_recursive(entry: Node) -> bool:
    kind: str = entry["value"]["query_node"]["type"]
    return kind == "RECURSIVE_CTE_NODE"


def rewritten(node: Any, rewrite: Callable[[Node, Ctes], Node], visible: Ctes = ()) -> Any:
    """Rewrite the SELECTs of a tree, inner ones first; each comes with the CTEs around it.

    What reads its own rows again and again stays as it is.
    """
    if isinstance(node, list):
        return [rewritten(child, rewrite, visible) for child in node]
    if not isinstance(node, dict):
        return node
    own: list[Node] = []
    for entry in node["cte_map"]["map"] if "cte_map" in node else ():
        own.append(entry if is_recursive(entry) else rewritten(entry, rewrite, [*visible, *own]))
    inner = [*visible, *own]
    walked = {key: rewritten(value, rewrite, inner) for key, value in node.items() if key != "cte_map"}
    if "cte_map" in node:
        walked["cte_map"] = {"map": own}
    return rewrite(walked, visible) if node.get("type") == "SELECT_NODE" else walked


def names_in(node: Any) -> Iterator[str]:
    """What is named in FROM anywhere under a node."""
    if node.get("type") == "BASE_TABLE":
        yield node["table_name"]
    for child in children(node):
        yield from names_in(child)


def used(ctes: Ctes, select: Node) -> Ctes:
    """Those CTEs that a query names, and that these name; a later one hides an earlier of its name."""
    wanted = {fold(name) for name in names_in({**select, "cte_map": {"map": []}})}
    found: list[Node] = []
    for entry in reversed(ctes):
        if fold(entry["key"]) in wanted:
            wanted |= {fold(name) for name in names_in(entry)}
            found.insert(0, entry)
    return found


def with_text(ctes: Ctes) -> str:
    """WITH …, a blank behind it; nothing without a CTE."""
    select = read_query("SELECT 1").select
    select["cte_map"] = {"map": list(ctes)}
    return write_query(select).removesuffix("SELECT 1")


def put_in_place(tree: Node, may_move: Callable[[Node], bool], binds: Callable[[str], bool]) -> None:
    """Write CTEs that are used once as subqueries; edits the tree.

    What binds by itself means the same anywhere, as long as no other CTE has a name that it uses: names
    that two CTEs have are left alone.
    """
    keys = [fold(entry["key"]) for node in _with_ctes(tree) for entry in node["cte_map"]["map"]]
    if len(set(keys)) < len(keys):
        return
    for node in list(_with_ctes(tree)):
        for entry in list(node["cte_map"]["map"]):
            places = [place for place in _tables(tree) if fold(place["table_name"]) == fold(entry["key"])]
            if len(places) != 1 or is_recursive(entry) or not may_move(entry["value"]["query_node"]):
                continue
            ctes = used(node["cte_map"]["map"], entry["value"]["query_node"])
            if binds(with_text(ctes) + write_query(entry["value"]["query_node"])) and _put(places[0], entry):
                node["cte_map"]["map"].remove(entry)


def _put(place: Node, entry: Node) -> bool:
    own, here = entry["value"]["aliases"], place["column_name_alias"]
    if (own and here) or place["schema_name"]:
        return False
    source = read_query("FROM (SELECT 1)").select["from_table"]
    source["subquery"]["node"] = entry["value"]["query_node"]
    named = {"alias": place["alias"] or place["table_name"], "column_name_alias": own or here}
    kept = {name: place[name] for name in ("sample", "query_location", "query_location_length")}
    place.clear()
    place.update({**source, **named, **kept})
    return True


def _with_ctes(node: Any) -> Iterator[Node]:
    if "cte_map" in node:
        yield node
    for child in children(node):
        yield from _with_ctes(child)


def _tables(node: Any) -> Iterator[Node]:
    if node.get("type") == "BASE_TABLE":
        yield node
    for child in children(node):
        yield from _tables(child)
