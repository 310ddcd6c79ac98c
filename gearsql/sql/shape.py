"""The query shapes that are supported: closed lists. What is on no list is refused at its place.

The tree is DuckDB's own reading of the text (syntax.py), so nothing can hide from the lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from gearsql.errors import NotSupportedError, Position, ProgrammingError
from gearsql.sql.functions import known_functions
from gearsql.sql.sources import base_of, explodes
from gearsql.sql.syntax import Node, Syntax, children
from gearsql.sql.tokens import first_word, keyword

_SELECT_PARTS = {
    "type", "modifiers", "select_list", "from_table", "where_clause", "group_expressions", "group_sets",
    "aggregate_handling", "having",
}  # fmt: skip
_TABLE_PARTS = {"type", "alias", "query_location", "query_location_length", "table_name", "qualified_name"}
_OPERATORS = {
    "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL",
    "OPERATOR_COALESCE", "OPERATOR_NULLIF", "OPERATOR_TRY", "ARRAY_EXTRACT", "ARRAY_SLICE",
    "ARRAY_CONSTRUCTOR", "STRUCT_EXTRACT",
}  # fmt: skip
_SOURCES = {
    "JOIN": "a join",
    "SUBQUERY": "a subquery in FROM",
    "TABLE_FUNCTION": "a table function",
    "EXPRESSION_LIST": "VALUES",
    "PIVOT": "PIVOT",
    "SHOW_REF": "DESCRIBE of a query",
    "EMPTY": "a query without FROM",
}
_PARTS = {"qualify": ("QUALIFY", "QUALIFY"), "sample": ("USING", "a sample"), "cte_map": ("WITH", "WITH")}


def check_shape(syntax: Syntax) -> None:
    """Refuse, at its place, everything that is not on the lists of this module."""
    node = syntax.select
    if node["type"] != "SELECT_NODE":
        _refuse(syntax, _set_operation(node), keyword(syntax.text, ("UNION", "INTERSECT", "EXCEPT")))
    for part, value in node.items():
        if part not in _SELECT_PARTS and value and value != {"map": []}:
            word, what = _PARTS.get(part, ("SELECT", part))
            _refuse(syntax, what, keyword(syntax.text, (word,)))
    _check_source(syntax, node["from_table"])
    _check_groups(syntax, node)
    for item in node["select_list"]:
        _check(syntax, item, star=True)
    for clause in (node["where_clause"], *node["group_expressions"], node["having"]):
        if clause is not None:
            _check(syntax, clause)
    for modifier in node["modifiers"]:
        _MODIFIERS.get(modifier["type"], _unknown_modifier)(syntax, modifier)


def source(syntax: Syntax) -> tuple[str | None, Position]:
    """The table's name in FROM and its place; no name if a function stands there alone."""
    table = base_of(syntax.select)
    place = syntax.position(table) or first_word(syntax.text).position
    if table["type"] != "BASE_TABLE":
        return None, place
    return table["table_name"], _name_only(syntax.text, place)


def _name_only(text: str, place: Position) -> Position:
    """Cut the alias off: the span of a table is `name AS alias`."""
    end = place.start + 1
    if text[place.start] == '"':
        end = text.index('"', end)
        while text[end : end + 2] == '""':
            end = text.index('"', end + 2)
        return Position(place.start, end + 1)
    while end < place.end and not text[end].isspace():
        end += 1
    return Position(place.start, end)


def _check_source(syntax: Syntax, table: Node) -> None:
    if table["type"] == "JOIN" and explodes(table["right"]):
        _check_join(syntax, table)
        _check_rows(syntax, table["right"])
        _check_source(syntax, table["left"])
    elif explodes(table):
        _check_rows(syntax, table)
    else:
        _check_table(syntax, table)


def _check_join(syntax: Syntax, join: Node) -> None:
    """A table function follows a comma, CROSS JOIN, or JOIN … ON true."""
    condition, place = join["condition"], syntax.position(join["right"])
    true = condition is not None and condition.get("literal") == {"kind": "BOOLEAN", "text": "true"}
    if join["join_type"] not in ("INNER", "LEFT") or join["ref_type"] not in ("CROSS", "REGULAR"):
        _refuse(syntax, "this kind of join with a table function", place)
    if join["using_columns"] or (condition is not None and not true):
        _refuse(syntax, "a condition of a join with a table function", place, "write ON true, and WHERE")


def _check_rows(syntax: Syntax, reference: Node) -> None:
    if reference["with_ordinality"] != "WITHOUT_ORDINALITY":
        _refuse(syntax, "WITH ORDINALITY", syntax.position(reference))
    if reference["sample"]:
        _refuse(syntax, "TABLESAMPLE", syntax.position(reference))
    _check_function(syntax, {**reference["function"], **_place_of(reference)})
    for argument in _expressions(reference["function"]):
        _check(syntax, argument)


def _place_of(reference: Node) -> Node:
    return {key: reference[key] for key in ("query_location", "query_location_length")}


def _check_table(syntax: Syntax, table: Node) -> None:
    kind = table["type"]
    # Of a join, the second table is the one too many.
    place = syntax.position(table.get("right", table)) or first_word(syntax.text).position
    if kind != "BASE_TABLE":
        _refuse(syntax, _SOURCES.get(kind, f"{kind} in FROM"), place)
    if syntax.text[place.start] == "'":
        name = table["table_name"]
        raise ProgrammingError(
            "a table's name is not a string",
            position=place,
            text=syntax.text,
            hint=f'use double quotes: "{name}"',
        )
    for part, value in table.items():
        if part not in _TABLE_PARTS and value:
            _refuse(syntax, _TABLE_REFUSALS.get(part, part), place)


_TABLE_REFUSALS = {
    "sample": "TABLESAMPLE",
    "at_clause": "AT",
    "column_name_alias": "an alias with column names",
    "schema_name": "a schema's name",
    "catalog_name": "a catalog's name",
}


def _check_groups(syntax: Syntax, node: Node) -> None:
    plain = [list(range(len(node["group_expressions"])))]
    if node["group_sets"] and (node["group_sets"] != plain or plain == [[]]):
        place = keyword(syntax.text, ("GROUPING", "ROLLUP", "CUBE")) or keyword(syntax.text, ("GROUP",))
        _refuse(syntax, "grouping by several sets", place)


def _set_operation(node: Node) -> str:
    return str(node.get("setop_type", node["type"]))


def _check_order(syntax: Syntax, modifier: Node) -> None:
    for order in modifier["orders"]:
        expression = order["expression"]
        if not is_order_by_all(expression):
            _check(syntax, expression)


def is_order_by_all(expression: Node) -> bool:
    """ORDER BY ALL is a star that stands nowhere in the text."""
    return expression["class"] == "STAR" and "columns" in expression and not placed(expression)


def placed(node: Node) -> bool:
    """Whether a node has a place in the text."""
    return bool(node.get("query_location_length"))


def _check_limit(syntax: Syntax, modifier: Node) -> None:
    if modifier["limit_type"] != "ROW_COUNT":
        _refuse(syntax, "LIMIT with a percentage", syntax.position(modifier))
    for part in (modifier["limit"], modifier["offset"]):
        if part is not None and part["class"] not in ("CONSTANT", "PARAMETER"):
            _refuse(syntax, "LIMIT or OFFSET by an expression", syntax.position(part))


def _check_distinct(syntax: Syntax, modifier: Node) -> None:
    if modifier["distinct_on_targets"]:
        _refuse(syntax, "DISTINCT ON", syntax.position(modifier))


def _unknown_modifier(syntax: Syntax, modifier: Node) -> None:
    _refuse(syntax, modifier["type"], syntax.position(modifier))


_MODIFIERS: dict[str, Callable[[Syntax, Node], None]] = {
    "ORDER_MODIFIER": _check_order,
    "LIMIT_MODIFIER": _check_limit,
    "DISTINCT_MODIFIER": _check_distinct,
}


def _check(syntax: Syntax, node: Node, star: bool = False) -> None:
    """An expression and everything under it. `star`: a plain star may stand here."""
    match node["class"]:
        case "COLUMN_REF" | "CONSTANT" | "PARAMETER" | "LAMBDA" | "CASE" | "BETWEEN" | "COLLATE":
            pass
        case "COMPARISON" | "CONJUNCTION" | "CAST" | "TYPE":
            pass
        case "FUNCTION":
            _check_function(syntax, node)
        case "OPERATOR":
            if node["type"] not in _OPERATORS:
                _refuse(syntax, node["type"].replace("_", " "), syntax.position(node))
        case "STAR":
            _check_star(syntax, node, star)
        case "WINDOW":
            _refuse(syntax, "a window function", syntax.position(node))
        case "SUBQUERY":
            _refuse(syntax, "a subquery", syntax.position(node))
        case other:
            _refuse(syntax, other.replace("_", " ").lower(), syntax.position(node))
    for child in _expressions(node):
        _check(syntax, child)


def _expressions(node: Any) -> list[Node]:
    found: list[Node] = []
    for child in children(node):
        found.extend([child] if "class" in child else _expressions(child))
    return found


def _check_star(syntax: Syntax, node: Node, allowed: bool) -> None:
    place = syntax.position(node)
    if node.get("columns"):
        _refuse(syntax, "COLUMNS(…)", place)
    if not allowed:
        _refuse(syntax, "a star inside an expression", place)
    if node.get("rename_list") or node.get("unpacked"):
        _refuse(syntax, "* RENAME or an unpacked star", place)


def _check_function(syntax: Syntax, node: Node) -> None:
    name, functions = node["function_name"].lower(), known_functions()
    place = syntax.position(node)
    if len(node["qualified_name"]["path"]) != 1:
        _refuse(syntax, "a function's name with dots", place)
    if node["export_state"]:
        _refuse(syntax, "EXPORT_STATE", place)
    if name == "unnest":
        _refuse(syntax, "unnest()", place)
    if name == "age" and len(node["arguments"]) == 1:
        _refuse(syntax, "age() of one value", place, "it reads the clock")
    # A name that DuckDB does not know at all is left to its binder, which tells the near ones.
    if name in functions.refused:
        _refuse(syntax, f"{name}()", place, functions.refused[name])


def _refuse(syntax: Syntax, what: str, place: Position | None, why: str | None = None) -> NoReturn:
    message = f"{what} is not supported" + (f": {why}" if why else "")
    raise NotSupportedError(message, position=place, text=syntax.text)
