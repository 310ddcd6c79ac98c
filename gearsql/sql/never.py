"""Conditions that no row can meet: what stands in FROM under them gives no rows, so nobody reads their keys.

`… FROM a JOIN b USING (id) WHERE 1 = 0` asks for no row of a or b. Their tables become blocks that say so
themselves, and the plan finds that these have no keys (plan/fold.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gearsql.catalog.hook_types import quoted
from gearsql.sql.blocks import is_block
from gearsql.sql.evaluate import MUCH_OF_LITTLE, evaluate
from gearsql.sql.filters import SINKS, conjuncts
from gearsql.sql.functions import VOLATILE, known_functions
from gearsql.sql.slots import has_marker
from gearsql.sql.syntax import Node, children, read_query, write_expression
from gearsql.sql.walks import nodes, sources_in

_CONSTANT = {
    "CONSTANT", "CASE", "BETWEEN", "COMPARISON", "CONJUNCTION", "CAST", "TYPE", "FUNCTION", "OPERATOR",
}  # fmt: skip


def empty_what_never_counts(node: Any, tables: Mapping[str, Sequence[str]]) -> None:
    """Let tables give no rows where none can count; edits the tree. `tables` are ours, with their columns."""
    if node.get("type") == "SELECT_NODE" and not is_block(node):
        source = node["from_table"]
        for leaf in sources_in(source) if _never(node["where_clause"]) else _unmet(source):
            _empty(leaf, tables)
    for child in children(node):
        empty_what_never_counts(child, tables)


def _unmet(source: Node) -> Iterator[Node]:
    """What no row of a FROM takes from, since no ON is met."""
    if source["type"] != "JOIN":
        return
    if source["ref_type"] == "REGULAR" and _never(source["condition"]):
        for side, kinds in zip(("left", "right"), SINKS.get(source["join_type"], ((), ())), strict=True):
            yield from sources_in(source[side]) if "on" in kinds else ()
    yield from _unmet(source["left"])
    yield from _unmet(source["right"])


def _never(condition: Node | None) -> bool:
    return any(_is_constant(one) and _is_not_true(one) for one in conjuncts(condition))


def _is_constant(condition: Node) -> bool:
    inside = [node for node in nodes(condition) if "class" in node]
    may_not = VOLATILE | MUCH_OF_LITTLE | known_functions().aggregates
    called = {node["function_name"].lower() for node in inside if node["class"] == "FUNCTION"}
    plain = all(node["class"] in _CONSTANT for node in inside)
    return plain and called <= known_functions().allowed - may_not


def _is_not_true(condition: Node) -> bool:
    text = write_expression(condition)
    values = None if has_marker(text) else evaluate((f"CAST({text} AS BOOLEAN)",))
    return values is not None and values[0].text != "true"


def _empty(source: Node, tables: Mapping[str, Sequence[str]]) -> None:
    if source["type"] == "SUBQUERY":
        for select in _selects(source["subquery"]["node"]):
            select["where_clause"] = read_query("FROM t WHERE false").select["where_clause"]
    elif source["type"] == "BASE_TABLE" and source["table_name"] in tables and not source["sample"]:
        items = ", ".join(map(quoted, tables[source["table_name"]]))
        text = f"FROM (SELECT {items} FROM {quoted(source['table_name'])} WHERE false)"
        kept = {name: source[name] for name in ("alias", "column_name_alias")}
        source.clear()
        source.update({**read_query(text).select["from_table"], **kept})


def _selects(query: Node) -> Iterator[Node]:
    """The SELECTs whose rows a query is made of."""
    if query["type"] == "SELECT_NODE":
        yield query
    for arm in filter(None, (query.get("left"), query.get("right"), *query.get("children", ()))):
        yield from _selects(arm)
