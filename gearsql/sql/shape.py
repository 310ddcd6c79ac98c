"""What a query may consist of: closed lists. What is on no list is refused at its place.

The tree is DuckDB's own reading of the text (syntax.py), so nothing can hide from the lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from gearsql.errors import NotSupportedError, Position, ProgrammingError
from gearsql.sql.functions import TABLE_FUNCTIONS, known_functions
from gearsql.sql.syntax import Node, Syntax, children
from gearsql.sql.tokens import first_word, keyword

_MODIFIERS = {"ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER"}
# What else a query's nodes and what stands in FROM may have, by their types.
_QUERIES = {
    "SELECT_NODE": {
        "modifiers", "cte_map", "select_list", "from_table", "where_clause", "group_expressions",
        "group_sets", "aggregate_handling", "having", "qualify", "sample",
    },
    "SET_OPERATION_NODE": {"modifiers", "cte_map", "setop_type", "setop_all", "left", "right", "children"},
    "RECURSIVE_CTE_NODE": {
        "modifiers", "cte_map", "cte_name", "union_all", "left", "right", "aliases", "key_targets",
        "payload_aggregates",
    },
}  # fmt: skip
_SOURCES = {
    "BASE_TABLE": {"table_name", "qualified_name", "column_name_alias"},
    "JOIN": {
        "left", "right", "condition", "join_type", "ref_type", "using_columns", "delim_flipped",
        "duplicate_eliminated_columns", "is_implicit", "nearest_count", "nearest_order_type",
    },
    "SUBQUERY": {"subquery", "column_name_alias"},
    "TABLE_FUNCTION": {"function", "column_name_alias", "with_ordinality"},
    "EXPRESSION_LIST": {"expected_names", "expected_types", "values", "column_name_alias"},
    "EMPTY": set(),
    "PIVOT": {
        "source", "aggregates", "unpivot_names", "pivots", "groups", "column_name_alias", "include_nulls",
    },
}  # fmt: skip
_EVERYWHERE = {"type", "alias", "query_location", "query_location_length", "sample"}
_NAMES = {"at_clause": "AT", "SHOW_REF": "DESCRIBE, SHOW and SUMMARIZE of a query"}
_CLASSES = {
    "COLUMN_REF", "CONSTANT", "PARAMETER", "LAMBDA", "CASE", "BETWEEN", "COLLATE", "COMPARISON",
    "CONJUNCTION", "CAST", "TYPE", "FUNCTION", "OPERATOR", "STAR", "WINDOW", "SUBQUERY",
    "POSITIONAL_REFERENCE",
}  # fmt: skip
_OPERATORS = {
    "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL",
    "OPERATOR_COALESCE", "OPERATOR_NULLIF", "OPERATOR_TRY", "ARRAY_EXTRACT", "ARRAY_SLICE",
    "ARRAY_CONSTRUCTOR", "STRUCT_EXTRACT", "OPERATOR_UNPACK", "GROUPING_FUNCTION",
}  # fmt: skip


def check_shape(syntax: Syntax) -> None:
    """Refuse, at its place, everything that is not on the lists of this module."""
    _Shape(syntax).check(syntax.select)


class _Shape:
    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax

    def check(self, node: Any) -> None:
        """A node and everything under it."""
        if "class" in node:
            self._expression(node)
        elif "modifiers" in node:
            self._parts(node, _QUERIES)
        elif "sample" in node:
            self._source(node)
        elif "limit_type" in node or "distinct_on_targets" in node or "orders" in node:
            self._modifier(node)
        for child in children(node):
            self.check(child)

    def _modifier(self, node: Node) -> None:
        if node["type"] not in _MODIFIERS:
            self._refuse(node["type"], self._place(node))

    def _source(self, source: Node) -> None:
        """What stands in FROM."""
        if source["type"] == "BASE_TABLE":
            self._table(source)
        self._parts({**source, "schema_name": ""}, _SOURCES)
        if source["type"] == "TABLE_FUNCTION":
            name = source["function"]["function_name"].lower()
            if name in known_functions().tables and name not in TABLE_FUNCTIONS:
                self._refuse(f"{name}() in FROM", self._place(source))

    def _parts(self, node: Node, kinds: Mapping[str, set[str]]) -> None:
        kind, place = node["type"], self._place(node)
        if kind not in kinds:
            self._refuse(_NAMES.get(kind, str(kind)), place)
        if (node.get("sample") or {}).get("repeatable"):
            words = (("REPEATABLE",), ("SAMPLE", "TABLESAMPLE"))
            found = [keyword(self.syntax.text, some) for some in words]
            self._refuse("REPEATABLE", found[0] or found[1], "rows come in another order each time")
        for part, value in node.items():
            if part not in kinds[kind] | _EVERYWHERE and value and value != {"map": []}:
                self._refuse(_NAMES.get(part, part), place)

    def _place(self, node: Node) -> Position:
        return self.syntax.position(node) or first_word(self.syntax.text).position

    def _table(self, table: Node) -> None:
        place = self._place(table)
        if self.syntax.text[place.start] == "'":
            name = table["table_name"]
            raise ProgrammingError(
                "a table's name is not a string",
                position=place,
                text=self.syntax.text,
                hint=f'use double quotes: "{name}"',
            )
        if (table["schema_name"] and table["schema_name"] != "recurring") or table["catalog_name"]:
            self._refuse("a table's name with dots", place)

    def _expression(self, node: Node) -> None:
        kind = node["class"]
        if kind not in _CLASSES:
            self._refuse(kind.replace("_", " ").lower(), self.syntax.position(node))
        if kind == "OPERATOR" and node["type"] not in _OPERATORS:
            self._refuse(node["type"].replace("_", " "), self.syntax.position(node))
        if kind in ("FUNCTION", "WINDOW"):
            self._function(node)

    def _function(self, node: Node) -> None:
        name, functions = node["function_name"].lower(), known_functions()
        place = self.syntax.position(node)
        if len(node["qualified_name"]["path"]) > 1:
            self._refuse("a function's name with dots", place)
        if node.get("export_state"):
            self._refuse("EXPORT_STATE", place)
        if name == "age" and len(node["arguments"]) == 1:
            self._refuse("age() of one value", place, "it reads the clock")
        # A name that DuckDB does not know at all is left to its binder, which tells the near ones.
        if name in functions.refused:
            self._refuse(f"{name}()", place, functions.refused[name])

    def _refuse(self, what: str, place: Position | None, why: str | None = None) -> NoReturn:
        message = f"{what} is not supported" + (f": {why}" if why else "")
        raise NotSupportedError(message, position=place, text=self.syntax.text)
