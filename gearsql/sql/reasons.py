"""Why the rows of a wide query's parts travel: what keeps the SELECT around them off the shards.

It reads the text that runs once, over the parts, with the rules that chose them (blocks.py). For EXPLAIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.blocks import CLAUSES, whys_no_block
from gearsql.sql.syntax import Node, children, read_query
from gearsql.sql.walks import nodes

_BOUND = "their subquery cannot be answered by itself"


def reasons(text: str, parts: Mapping[str, bool], why: str = "") -> dict[str, str]:
    """Tell for each part that a text is over why its rows travel; `parts` says which are tables, not blocks.

    `why` is what keeps the text's own SELECT from being split, if that is known.
    """
    found = _Reasons(parts)
    found.query(read_query(text).select, "", why, "WITH stands before the SELECT")
    return found.of


@dataclass(frozen=True)
class _Reasons:
    parts: Mapping[str, bool]
    of: dict[str, str] = field(default_factory=dict)

    def query(self, node: Node, around: str, first: str = "", last: str = _BOUND) -> None:
        """A query; `around` is the reason of what it stands in. Of its own, `first` and `last` come so."""
        if name := self._shown(node):
            self.of.setdefault(name, around)
            return
        for entry in node["cte_map"]["map"]:
            self.query(entry["value"]["query_node"], f"{entry['key']} is read where the query runs once")
        if node["type"] == "SELECT_NODE":
            self._select(node, first, last)
            return
        joined = [node.get("left"), node.get("right"), *node.get("children", ())]
        for child in filter(None, joined):
            self.query(child, _of_several(node))
        self._expressions(node["modifiers"], "ORDER BY")

    def _select(self, node: Node, first: str, last: str) -> None:
        bare = {**node, "from_table": self._table(node["from_table"])}
        self._source(node["from_table"], first or next(whys_no_block(bare), None) or _of_rows(bare) or last)
        for part, place in CLAUSES.items():
            self._expressions([node[part]], place)

    def _source(self, source: Node, why: str) -> None:
        if source["type"] == "SUBQUERY":
            self.query(source["subquery"]["node"], why)
        elif source["type"] in ("JOIN", "PIVOT"):
            inside = ("left", "right", "source")
            for side in inside:
                if side in source:
                    self._source(source[side], why)
            self._expressions({part: value for part, value in source.items() if part not in inside}, "FROM")
        else:
            self._expressions(source, "FROM")

    def _expressions(self, node: Any, place: str) -> None:
        for child in children(node):
            if child.get("class") == "SUBQUERY":
                self.query(child["subquery"]["node"], f"a subquery in {place} is wanted whole")
                child = {**child, "subquery": {}}
            self._expressions(child, place)

    def _shown(self, select: Node) -> str | None:
        """The part whose columns a SELECT of ours shows."""
        name = select.get("from_table", {}).get("table_name")
        return name if name in self.parts else None

    def _table(self, source: Node) -> Node:
        """What stands in FROM, as it was before parts took the place of tables."""
        if source["type"] == "JOIN":
            return {**source, "left": self._table(source["left"]), "right": self._table(source["right"])}
        name = self._shown(source["subquery"]["node"]) if source["type"] == "SUBQUERY" else None
        if name is None or not self.parts[name]:
            return source
        kept = {part: source[part] for part in ("alias", "column_name_alias", "sample")}
        return {**kept, "type": "BASE_TABLE", "table_name": name}


def _of_rows(select: Node) -> str | None:
    """The reason of a SELECT that names its table where a column may stand."""
    table = fold(select["from_table"]["alias"] or select["from_table"].get("table_name", ""))
    named = [node["column_names"] for node in nodes(select) if node.get("class") == "COLUMN_REF"]
    rows = any(len(names) == 1 and fold(names[0]) == table for names in named)
    return "a whole row is used as a value" if rows else None


def _of_several(node: Node) -> str:
    if node["type"] == "RECURSIVE_CTE_NODE":
        return f"{node['cte_name']} reads its own rows again and again"
    first, *by_name = node["setop_type"].split("_", 1)
    words = [first, *(["ALL"] if node["setop_all"] else []), *(["BY NAME"] if by_name else [])]
    return f"{' '.join(words)} puts rows of several queries together"
