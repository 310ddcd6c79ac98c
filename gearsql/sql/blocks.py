"""Blocks: SELECTs over one table in a form that normalise() and the split rules know. Closed lists.

A query that is a block is taken apart for the shards as a whole. Of any other query, the blocks inside of it
are, and what is around them runs once, over their answers (wide.py).
"""

from __future__ import annotations

from collections.abc import Iterator
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


CLAUSES = {
    "select_list": "SELECT", "where_clause": "WHERE", "group_expressions": "GROUP BY", "having": "HAVING",
    "qualify": "QUALIFY", "modifiers": "ORDER BY",
}  # fmt: skip
"""Where expressions stand in a SELECT."""
_WRITTEN_ONCE = {
    "columns": "COLUMNS()", "unpacked": "*COLUMNS()", "rename_list": "RENAME",
    "qualified_exclude_list": "EXCLUDE of a table's column",
}  # fmt: skip


def is_block(node: Node) -> bool:
    """Whether a query's node is a block; its functions were checked before (shape.py)."""
    return next(whys_no_block(node), None) is None


def whys_no_block(node: Node) -> Iterator[str]:
    """Tell what keeps a query's node from being a block, as reasons to ship rows; of a block nothing."""
    if node["type"] != "SELECT_NODE":
        yield "it is no SELECT"
        return
    for part, place in CLAUSES.items():
        clause = node.get(part) or []
        for child in [clause] if isinstance(clause, dict) else clause:
            yield from _item_whys(child, place) if "class" in child else _modifier_whys(child)
    if node["qualify"]:
        yield "QUALIFY chooses among all rows"
    if node["sample"]:
        yield SAMPLE
    plain = [list(range(len(node["group_expressions"])))]
    if node["group_sets"] and plain == [[]]:
        yield "GROUP BY () makes a group without rows, too"
    elif node["group_sets"] and node["group_sets"] != plain:
        yield "GROUPING SETS (ROLLUP, CUBE) count a row in several groups"
    yield from _source_whys(node["from_table"])
    if node["cte_map"]["map"]:
        yield "WITH stands before the SELECT"
    if not _has_only(node, {*_SELECT_PARTS, "qualify", "sample", "cte_map"}):
        yield "the SELECT has a part of its own"


SAMPLE = "a sample is drawn of all rows"


def volatile(function: str) -> str:
    """Why a function is called where the query runs once."""
    return f"{function}() gives another answer at each call"


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


def _source_whys(source: Node) -> Iterator[str]:
    """A block is over a table, and users' table functions behind it, or over one of these alone."""
    match source["type"]:
        case "BASE_TABLE" if source["sample"]:
            yield SAMPLE
        case "BASE_TABLE" if not _has_only(source, _TABLE_PARTS):
            yield f"{source['alias'] or source['table_name']}(…) gives columns other names"
        case "BASE_TABLE":
            pass
        case "JOIN" if _is_rows_join(source) and _is_rows(source["right"]):
            yield from _source_whys(source["left"])
        case "JOIN":
            yield f"{_join_word(source)} needs the rows of both sides in one place"
        case "TABLE_FUNCTION" if _is_rows(source):
            pass
        case "TABLE_FUNCTION":
            yield f"{source['function']['function_name']}() in FROM runs once"
        case "SUBQUERY":
            yield "the SELECT is over a subquery, not over a table"
        case "PIVOT":
            yield f"{'UNPIVOT' if source['unpivot_names'] else 'PIVOT'} runs once, over all rows"
        case _:
            yield "the SELECT is over no table"


def _join_word(join: Node) -> str:
    kind = join["join_type"] if join["ref_type"] == "REGULAR" else join["ref_type"]
    return "JOIN" if kind == "INNER" or join["is_implicit"] else f"{kind} JOIN"


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


def _item_whys(item: Node, place: str) -> Iterator[str]:
    """An expression of a clause's list; a star may be written out before the query is taken apart."""
    if item["class"] != "STAR" or place != "SELECT":
        yield from _whys(item, place)
        return
    yield from (f"{words} is written out once" for part, words in _WRITTEN_ONCE.items() if item.get(part))
    for child in expressions(item):
        yield from _whys(child, place)


def _whys(node: Node, place: str) -> Iterator[str]:
    """An expression, and what is in it."""
    kind = node["class"]
    if kind not in _CLASSES or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
        yield _once(node, place)
    elif kind == "FUNCTION" and (name := node["function_name"].lower()) in _NOT_IN_BLOCKS:
        yield "unnest() makes several rows of one" if name == "unnest" else volatile(name)
    for child in expressions(node):
        yield from _whys(child, place)


def _once(node: Node, place: str) -> str:
    """Why an expression is computed where the query runs once."""
    match node["type"]:
        case "GROUPING_FUNCTION":
            return "GROUPING() tells groups of several sets apart"
        case "OPERATOR_UNPACK":
            return "*COLUMNS() is written out once"
        case "POSITIONAL_REFERENCE":
            return "#n names a column by its place"
        case "STAR":
            return "COLUMNS() is written out once"
        case "SUBQUERY":
            return f"a subquery in {place} is wanted whole"
        case kind if node["class"] == "WINDOW":
            return f"{node['function_name']}() OVER needs all rows in one place"
        case kind:
            return f"{str(kind).replace('_', ' ')} runs once"


def _is_expression(node: Node) -> bool:
    return next(_whys(node, ""), None) is None


def _modifier_whys(modifier: Node) -> Iterator[str]:
    match modifier["type"]:
        case "ORDER_MODIFIER":
            for order in modifier["orders"]:
                if not is_order_by_all(order["expression"]):
                    yield from _whys(order["expression"], "ORDER BY")
        case "LIMIT_MODIFIER":
            parts = [part for part in (modifier["limit"], modifier["offset"]) if part is not None]
            if modifier["limit_type"] != "ROW_COUNT":
                yield "LIMIT n% counts all rows"
            elif not all(part["class"] in ("CONSTANT", "PARAMETER") for part in parts):
                yield "LIMIT and OFFSET are computed once"
        case "DISTINCT_MODIFIER":
            if modifier["distinct_on_targets"]:
                yield "DISTINCT ON chooses among all rows of a group"
        case _:
            yield f"{str(modifier['type']).replace('_', ' ')} runs once"
