"""Writes references out: aliases, ordinals, GROUP BY ALL and ORDER BY ALL become what they stand for.

Works on DuckDB's tree and follows its precedence between columns and aliases. Nobody has to trust this
module: its result counts only if DuckDB binds it to the same plan as the user's text (bind.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.blocks import is_order_by_all
from gearsql.sql.functions import AGGREGATE_MACROS
from gearsql.sql.macros import expanded
from gearsql.sql.names import lambda_names
from gearsql.sql.sources import Relation, base_of, lateral
from gearsql.sql.syntax import Node, children, write_expression


class UnwritableError(Exception):
    """A reference cannot be written out; the query has no normalised tree."""


def normalise(select: Node, found: Sequence[Relation], aggregates: frozenset[str]) -> tuple[Node, str]:
    """Return a copy of a SELECT_NODE in which every name is an unqualified, unique column.

    Items lose their aliases, and the table loses its own. The table functions in FROM are left out: they are
    the second value, as SQL that follows the table.
    """
    if calls(select, AGGREGATE_MACROS):
        select = expanded(select)
    return _Normaliser(select, found, aggregates).run()


def calls(node: Any, names: frozenset[str]) -> bool:
    """Whether one of some functions is called under a node."""
    if node.get("class") == "FUNCTION" and node["function_name"].lower() in names:
        return True
    return any(calls(child, names) for child in children(node))


class _Normaliser:
    def __init__(self, select: Node, found: Sequence[Relation], aggregates: frozenset[str]) -> None:
        self.select = {**select, "modifiers": [dict(modifier) for modifier in select["modifiers"]]}
        self.found, self.aggregates = found, aggregates
        columns = [(fold(own), unique) for relation in found for own, unique in relation.columns]
        self.columns = dict(reversed(columns))
        self.aliases: dict[str, Node] = {}
        self.grouped: set[str] = set()

    def run(self) -> tuple[Node, str]:
        exploded = "".join(self._exploded(index, relation) for index, relation in enumerate(self.found))
        select = self.select
        names = [fold(item["alias"]) for item in select["select_list"]]
        select["select_list"] = [
            self._item(name, item) for name, item in zip(names, select["select_list"], strict=True)
        ]
        if select["where_clause"] is not None:
            select["where_clause"] = self._write(select["where_clause"])
        self._groups()
        if select["having"] is not None:
            select["having"] = self._having(select["having"])
        for modifier in select["modifiers"]:
            if modifier["type"] == "ORDER_MODIFIER":
                modifier["orders"] = [o for order in modifier["orders"] for o in self._order(order)]
        select["from_table"] = {**base_of(select), "alias": ""}
        return select, exploded

    def _exploded(self, index: int, relation: Relation) -> str:
        if relation.call is None:
            return ""
        call = self._write(relation.call["function"])
        return lateral(write_expression(call), relation, f"rows_{index}")

    def _item(self, name: str, item: Node) -> Node:
        written: Node = self._write({**item, "alias": ""})
        if name:
            self.aliases.setdefault(name, written)
        return written

    def _groups(self) -> None:
        select = self.select
        if select["aggregate_handling"] == "FORCE_AGGREGATES":
            groups = [item for item in select["select_list"] if self._groups_by_itself(item)]
            select["aggregate_handling"] = "STANDARD_HANDLING"
        else:
            groups = [self._ordinal(group) or self._write(group) for group in select["group_expressions"]]
        select["group_expressions"] = groups
        select["group_sets"] = [list(range(len(groups)))] if groups else []
        self.grouped = {fold(g["column_names"][0]) for g in groups if g["class"] == "COLUMN_REF"}

    def _groups_by_itself(self, item: Node) -> bool:
        return item["class"] != "CONSTANT" and not calls(item, self.aggregates)

    def _order(self, order: Node) -> list[Node]:
        expression = order["expression"]
        if is_order_by_all(expression):
            written = [_no_constant(item) for item in self.select["select_list"]]
        else:
            written = [self._ordinal(expression) or self._alias(expression) or self._write(expression)]
        return [{**order, "expression": item} for item in written]

    def _ordinal(self, node: Node) -> Node | None:
        if node["class"] != "CONSTANT" or node["literal"]["kind"] != "INTEGER":
            return None
        return _no_constant(self.select["select_list"][int(node["literal"]["text"]) - 1])

    def _alias(self, node: Node) -> Node | None:
        if node["class"] != "COLUMN_REF" or len(node["column_names"]) != 1:
            return None
        found = self.aliases.get(fold(node["column_names"][0]))
        return _no_constant(found) if found is not None else None

    def _having(self, node: Any) -> Any:
        """In HAVING a column counts first only if it is grouped by, or inside an aggregate."""
        if isinstance(node, list):
            return [self._having(child) for child in node]
        if not isinstance(node, dict):
            return node
        if node.get("class") == "FUNCTION" and calls({**node, "arguments": []}, self.aggregates):
            return self._write(node)
        if node.get("class") == "COLUMN_REF" and fold(node["column_names"][0]) not in self.grouped:
            return self._alias(node) or self._write(node)
        return {key: self._having(value) for key, value in node.items()}

    def _write(self, node: Any, bound: frozenset[str] = frozenset()) -> Any:
        """Copy an expression; columns come first, then aliases; lambda parameters in `bound` stay."""
        if isinstance(node, list):
            return [self._write(child, bound) for child in node]
        if not isinstance(node, dict):
            return node
        if node.get("class") == "COLUMN_REF":
            return self._reference(node, bound)
        if node.get("class") == "LAMBDA":
            bound |= lambda_names(node)
        return {key: self._write(value, bound) for key, value in node.items()}

    def _reference(self, node: Node, bound: frozenset[str]) -> Node:
        first, *rest = node["column_names"]
        if fold(first) in bound:
            return node
        for relation in self.found:
            if rest and fold(first) == relation.name and (unique := relation.unique(fold(rest[0]))):
                return {**node, "column_names": [unique, *rest[1:]]}
        if fold(first) in self.columns:
            return {**node, "column_names": [self.columns[fold(first)], *rest]}
        alias = self.aliases.get(fold(first))
        if alias is None or rest:
            raise UnwritableError(f"{first} is no column")
        return alias


def _no_constant(item: Node) -> Node:
    if item["class"] == "CONSTANT":
        raise UnwritableError("a constant in ORDER BY or GROUP BY would be read as an ordinal")
    return item
