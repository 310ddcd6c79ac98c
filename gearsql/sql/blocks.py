"""Blocks: SELECTs over one table in a form that normalise() and the split rules know. Closed lists.

A query that is a block is taken apart for the shards as a whole. Of any other query, the blocks inside of it
are, and what is around them runs once, over their answers (wide.py).
"""

from __future__ import annotations

from typing import Any

from gearsql.sql.functions import VOLATILE
from gearsql.sql.hooks import explodes
from gearsql.sql.syntax import Node, children

_SELECT_PARTS = {
    "type", "modifiers", "select_list", "from_table", "where_clause", "group_expressions", "group_sets",
    "aggregate_handling", "having",
}  # fmt: skip
_TABLE_PARTS = {"type", "alias", "query_location", "query_location_length", "table_name", "qualified_name"}
_CLASSES = {
    "COLUMN_REF", "CONSTANT", "PARAMETER", "LAMBDA", "CASE", "BETWEEN", "COLLATE", "COMPARISON",
    "CONJUNCTION", "CAST", "TYPE", "FUNCTION", "OPERATOR",
}  # fmt: skip
_OPERATORS = {
    "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL",
    "OPERATOR_COALESCE", "OPERATOR_NULLIF", "OPERATOR_TRY", "ARRAY_EXTRACT", "ARRAY_SLICE",
    "ARRAY_CONSTRUCTOR", "STRUCT_EXTRACT",
}  # fmt: skip
_NOT_IN_BLOCKS = VOLATILE | {"unnest"}


def is_block(node: Node) -> bool:
    """Whether a query's node is a block; its functions were checked before (shape.py)."""
    if node["type"] != "SELECT_NODE" or not _has_only(node, _SELECT_PARTS):
        return False
    plain = [list(range(len(node["group_expressions"])))]
    if node["group_sets"] and (node["group_sets"] != plain or plain == [[]]):
        return False
    clauses = [node["where_clause"], *node["group_expressions"], node["having"]]
    return (
        _is_source(node["from_table"])
        and all(_is_item(item) for item in node["select_list"])
        and all(_is_expression(clause) for clause in clauses if clause is not None)
        and all(_is_modifier(modifier) for modifier in node["modifiers"])
    )


def is_order_by_all(expression: Node) -> bool:
    """ORDER BY ALL is a star that stands nowhere in the text."""
    return expression["class"] == "STAR" and "columns" in expression and not placed(expression)


def placed(node: Node) -> bool:
    """Whether a node has a place in the text."""
    return bool(node.get("query_location_length"))


def expressions(node: Any) -> list[Node]:
    """The nearest expressions under a node."""
    found: list[Node] = []
    for child in children(node):
        found.extend([child] if "class" in child else expressions(child))
    return found


def _has_only(node: Node, parts: set[str]) -> bool:
    return all(part in parts or not value or value == {"map": []} for part, value in node.items())


def _is_source(source: Node) -> bool:
    """A table, and users' table functions behind it, or one of these alone."""
    match source["type"]:
        case "BASE_TABLE":
            return _has_only(source, _TABLE_PARTS)
        case "JOIN":
            return _is_rows_join(source) and _is_rows(source["right"]) and _is_source(source["left"])
        case _:
            return _is_rows(source)


def _is_rows_join(join: Node) -> bool:
    """A table function follows a comma, CROSS JOIN, or JOIN … ON true."""
    condition = join["condition"]
    true = condition is None or condition.get("literal") == {"kind": "BOOLEAN", "text": "true"}
    kind = join["join_type"] in ("INNER", "LEFT") and join["ref_type"] in ("CROSS", "REGULAR")
    return kind and true and not join["using_columns"]


def _is_rows(source: Node) -> bool:
    return (
        source["type"] == "TABLE_FUNCTION"
        and explodes(source)
        and source["with_ordinality"] == "WITHOUT_ORDINALITY"
        and all(_is_expression(argument) for argument in expressions(source["function"]))
    )


def _is_item(item: Node) -> bool:
    if item["class"] != "STAR":
        return _is_expression(item)
    parts = ("columns", "rename_list", "unpacked", "qualified_exclude_list")
    return not any(item.get(part) for part in parts) and all(map(_is_expression, expressions(item)))


def _is_expression(node: Node) -> bool:
    if node["class"] not in _CLASSES or (node["class"] == "OPERATOR" and node["type"] not in _OPERATORS):
        return False
    if node["class"] == "FUNCTION" and node["function_name"].lower() in _NOT_IN_BLOCKS:
        return False
    return all(map(_is_expression, expressions(node)))


def _is_modifier(modifier: Node) -> bool:
    match modifier["type"]:
        case "ORDER_MODIFIER":
            keys = [order["expression"] for order in modifier["orders"]]
            return all(is_order_by_all(key) or _is_expression(key) for key in keys)
        case "LIMIT_MODIFIER":
            parts = [part for part in (modifier["limit"], modifier["offset"]) if part is not None]
            plain = all(part["class"] in ("CONSTANT", "PARAMETER") for part in parts)
            return modifier["limit_type"] == "ROW_COUNT" and plain
        case "DISTINCT_MODIFIER":
            return not modifier["distinct_on_targets"]
        case _:
            return False
