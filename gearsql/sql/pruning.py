"""Columns of blocks that the query around them does not read: DuckDB prunes them, so nobody ships them.

`SELECT name FROM (SELECT * FROM emp)` asks the shards for names alone. Which columns of a part are read is in
DuckDB's plan of the text over the parts, as it prunes it. Nobody has to trust this module: a smaller part
counts only if DuckDB, pruning the part for the columns that are read, binds it to the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from sqlglot import exp

from gearsql.catalog.hook_types import quoted
from gearsql.errors import Error
from gearsql.sql.bound import BoundQuery, Part
from gearsql.sql.meaning import same_meaning
from gearsql.sql.plans import plan_of
from gearsql.sql.syntax import Node, children, read_query, write_query
from gearsql.sql.trees import write_from
from gearsql.sql.wide import Blocks

# What stands for the rows of a part of which nothing is read: one value for each, or for all rows if they are
# aggregated.
_COUNTED = ("true", "count(*)")


@dataclass(frozen=True)
class Pruning:
    """Prunes parts; the connection has empty tables of what they read, and of the parts themselves.

    `bindable` makes DuckDB's form of a text, with the users' functions that are known.
    """

    connection: duckdb.DuckDBPyConnection
    bind: Blocks
    bindable: Callable[[str], str]

    def pruned(self, merged: str, parts: tuple[Part, ...]) -> tuple[str, tuple[Part, ...]]:
        """Return the text over the parts that ship less, and these; their names stay."""
        if all(part.lean for part in parts):
            return merged, parts
        reads = plan_of(self.connection, self.bindable(merged), pruned=True).reads_of()
        if reads is None:
            return merged, parts
        tree, smaller = read_query(merged).select, []
        for part in parts:
            columns = range(len(part.bound.columns))
            kept = [index for index in columns if f"c{index}" in reads.get(part.name, ())]
            bound = self._bound(part.bound, kept) if len(kept) < len(columns) else None
            if bound is not None:
                _show(tree, part, kept)
            smaller.append(replace(part, bound=bound) if bound else part)
        return write_query(tree), tuple(smaller)

    def _bound(self, bound: BoundQuery, kept: Sequence[int]) -> BoundQuery | None:
        """The part with these columns only; None if it would be another one."""
        tree = bound.tree
        if tree is None or bound.exploded or tree.args.get("distinct"):
            return None
        if len(tree.expressions) != len(bound.columns):
            return None
        for items in [[tree.expressions[index] for index in kept]] if kept else _counted():
            smaller = tree.copy()
            smaller.set("expressions", [item.copy() for item in items])
            text = write_from(smaller, quoted(bound.table.name))
            try:
                made = self.bind(text, bound.table)
            except Error:
                continue
            if self._same(bound.text, kept, len(bound.columns), text):
                return made
        return None

    def _same(self, text: str, kept: Sequence[int], width: int, smaller: str) -> bool:
        """Whether DuckDB prunes a text of so many columns to the smaller one."""
        whole = _over(self.bindable(text), kept, width)
        pruned = _over(self.bindable(smaller), range(len(kept)), len(kept) or 1)
        plans = [plan_of(self.connection, query, pruned=True) for query in (whole, pruned)]
        return same_meaning(*plans)


def _counted() -> Iterator[list[exp.Expression]]:
    for item in _COUNTED:
        yield [exp.Alias(this=exp.Var(this=item), alias=exp.to_identifier("counted"))]


def _over(text: str, shown: Sequence[int], width: int) -> str:
    """The SELECT that reads some columns of a query alone."""
    items = ", ".join(f"c{index}" for index in shown) or "true"
    return f"SELECT {items} FROM ({text}) AS part({', '.join(f'c{index}' for index in range(width))})"


def _show(tree: Any, part: Part, kept: Sequence[int]) -> None:
    """Let what names a part's columns name those that are kept, and NULL for the others; edits the tree."""
    source = tree.get("from_table")
    if source and source.get("table_name") == part.name:
        tree["select_list"] = [_item(item, part, kept) for item in tree["select_list"]]
    for child in children(tree):
        _show(child, part, kept)


def _item(item: Node, part: Part, kept: Sequence[int]) -> Node:
    if item["class"] != "COLUMN_REF":
        return item
    index = int(item["column_names"][-1].removeprefix("c"))
    value = f"c{kept.index(index)}" if index in kept else f"CAST(NULL AS {part.bound.columns[index].type})"
    shown: Node = read_query(f"SELECT {value}").select["select_list"][0]
    return {**shown, "alias": item["alias"]}
