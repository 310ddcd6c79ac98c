"""Subqueries in FROM, CTEs and views that only filter, compute or group: one SELECT with what is around.

`SELECT dept, count(*) FROM (SELECT * FROM emp WHERE ok) GROUP BY dept` is a block then, and groups on the
shards. Nobody has to trust this module: a SELECT is flattened only if DuckDB binds the result to the same
rows (meaning.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.blocks import is_block
from gearsql.sql.ctes import Ctes, put_in_place, rewritten, used, with_text
from gearsql.sql.filters import conjunction, conjuncts
from gearsql.sql.normalise import UnwritableError, calls
from gearsql.sql.outputs import Outputs, outputs_of
from gearsql.sql.syntax import Node, read_query, write_query
from gearsql.sql.walks import samples

MOST_GROWTH = 2
"""How much longer a text may become: each level of subqueries may write an expression twice."""


@dataclass(frozen=True)
class Texts:
    """What DuckDB says of texts: `columns` their names and types, `same` whether two give the same rows."""

    columns: Callable[[str], Sequence[tuple[str, str]] | None]
    same: Callable[[str, str], bool]

    def names(self, text: str) -> list[str]:
        columns = self.columns(text)
        if columns is None:
            raise UnwritableError("not bound by itself")
        return [name for name, _ in columns]


@dataclass
class Flattening:
    """Flattens trees. What calls `volatile` functions stays where it is; `aggregates` make groups."""

    texts: Texts
    aggregates: frozenset[str]
    volatile: frozenset[str]
    _most: int = 0

    def flat(self, tree: Node) -> Node:
        """Return the tree with fewer subqueries; the one that is given is changed, too."""
        put_in_place(tree, self._is_steady, lambda text: self.texts.columns(text) is not None)
        self._most = MOST_GROWTH * len(write_query(tree))
        flat: Node = rewritten(tree, self._merged)
        return flat

    def _is_steady(self, node: Node) -> bool:
        return not calls(node, self.volatile) and not samples(node)

    def _merged(self, select: Node, visible: Ctes) -> Node:
        """The SELECT without the subquery that is all of its FROM, or as it is."""
        source = select["from_table"]
        if source["type"] != "SUBQUERY" or source["sample"] or not self._is_steady(select):
            return select
        inner = source["subquery"]["node"]
        clauses = ("modifiers", "qualify", "sample")
        if inner["type"] != "SELECT_NODE" or inner["cte_map"]["map"] or any(inner[name] for name in clauses):
            return select
        given = with_text(used([*visible, *select["cte_map"]["map"]], select))
        try:
            merged = self._written({**select, "cte_map": {"map": []}}, inner, given)
        except UnwritableError:
            return select
        return {**merged, "cte_map": select["cte_map"]}

    def _written(self, select: Node, inner: Node, given: str) -> Node:
        """The SELECT over what is in its subquery's FROM; `given` are the CTEs that it may name."""

        def names(query: Node) -> list[str]:
            return self.texts.names(given + write_query(query))

        outputs = outputs_of(select["from_table"], inner, names(inner), names)
        grouped = inner["group_expressions"] or inner["having"] or self._aggregates(inner)
        merge = self._over_groups if grouped else self._over_rows
        merged = merge(select, inner, outputs, names(select))
        if _is_shape(inner) and not _is_shape(merged):
            raise UnwritableError("shards know what to do with the subquery, and not with the whole")
        text, flat = given + write_query(select), given + write_query(merged)
        if len(flat) > self._most or not self.texts.same(text, flat):
            raise UnwritableError("other rows")
        return merged

    def _over_rows(self, select: Node, inner: Node, outputs: Outputs, names: Sequence[str]) -> Node:
        where = [*conjuncts(inner["where_clause"]), *conjuncts(outputs.written(select["where_clause"]))]
        written = {part: outputs.written(select[part]) for part in ("group_expressions", "having", "qualify")}
        return {
            **select,
            **written,
            "select_list": outputs.list_of(select["select_list"], names),
            "from_table": inner["from_table"],
            "where_clause": conjunction(where),
            "modifiers": _modifiers(select, outputs, names),
        }

    def _over_groups(self, select: Node, inner: Node, outputs: Outputs, names: Sequence[str]) -> Node:
        """Filters, expressions, order and LIMIT over groups."""
        if self._aggregates(select) or any(
            select[part] for part in ("group_expressions", "having", "qualify")
        ):
            raise UnwritableError("groups of groups")
        above = conjuncts(outputs.written(select["where_clause"]))
        rows = [part for part in above if not calls(part, self.aggregates)]
        groups = [part for part in above if calls(part, self.aggregates)]
        where = [*conjuncts(inner["where_clause"]), *rows]
        having = [*conjuncts(inner["having"]), *groups]
        return {
            **inner,
            **self._groups(inner),
            "select_list": outputs.list_of(select["select_list"], names),
            "where_clause": conjunction(where),
            "having": conjunction(having),
            "modifiers": _modifiers(select, outputs, names),
        }

    def _groups(self, select: Node) -> dict[str, Any]:
        """GROUP BY without reference to the SELECT list, which becomes another one."""
        items = select["select_list"]
        if select["aggregate_handling"] == "FORCE_AGGREGATES":
            groups = [{**item, "alias": ""} for item in items if not calls(item, self.aggregates)]
            sets = [list(range(len(groups)))] if groups else []
            handling = "STANDARD_HANDLING"
            return {"group_expressions": groups, "group_sets": sets, "aggregate_handling": handling}
        return {"group_expressions": [_written_out(group, items) for group in select["group_expressions"]]}

    def _aggregates(self, select: Node) -> bool:
        forced = select["aggregate_handling"] == "FORCE_AGGREGATES"
        return forced or any(calls(item, self.aggregates) for item in select["select_list"])


def _is_shape(select: Node) -> bool:
    """Whether a SELECT would be a block if a table stood in its FROM."""
    return is_block({**select, "from_table": read_query("FROM t").select["from_table"]})


def _written_out(group: Node, items: Sequence[Node]) -> Node:
    """What an ordinal or an alias in GROUP BY stands for."""
    if group["class"] == "CONSTANT" and group["literal"]["kind"] == "INTEGER":
        place = int(group["literal"]["text"])
        return {**items[place - 1], "alias": ""} if 0 < place <= len(items) else group
    if group["class"] == "COLUMN_REF" and len(group["column_names"]) == 1:
        named = [item for item in items if fold(item["alias"]) == fold(group["column_names"][0])]
        return {**named[0], "alias": ""} if named else group
    return group


def _modifiers(select: Node, outputs: Outputs, names: Sequence[str]) -> list[Node]:
    """ORDER BY, LIMIT and DISTINCT; in ORDER BY the SELECT list's names come first."""
    first = {fold(name) for name in names}
    return [outputs.written(modifier, first) for modifier in select["modifiers"]]
