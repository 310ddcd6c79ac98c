"""Any query that is no block: what becomes of its blocks and tables, and the text that runs over them once.

Each block inside of it that can be bound by itself (a subquery, a CTE, an arm of UNION …) and each table that
is left is a part: a query over one table, which the shards answer as any other. The query itself runs over
the parts' answers, with DuckDB's own text for its checked tree. What of WHERE and ON is about one table alone
goes along to that table's part, unless an outer join or ASOF stands between.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Column, Table
from gearsql.errors import Error
from gearsql.sql.blocks import is_block, placed
from gearsql.sql.bound import BoundQuery, Part
from gearsql.sql.clock import names_given
from gearsql.sql.filters import pushed
from gearsql.sql.functions import VALUE_WORDS
from gearsql.sql.normalise import calls
from gearsql.sql.syntax import Node, children, read_query, write_query
from gearsql.sql.tokens import tokens
from gearsql.sql.walks import nodes, references, sources_in


def loses_columns(type_: str) -> bool:
    """Whether a type arrives as a STRUCT: one column beside a subquery, where a TUPLE is several."""
    return "TUPLE(" in type_


def free_prefix(text: str) -> str:
    """Return how relations of ours are named, so that no name in a text is one of them."""
    prefix = "scan_"
    words = [token.text for token in tokens(text)]
    while any(prefix in fold(word) for word in words):
        prefix += "_"
    return prefix


def names_keys(text: str) -> bool:
    """Whether a query names the virtual column `_key` anywhere."""
    return any(token.text.strip('"') == KEY_COLUMN.name for token in tokens(text))


def hide_keys(node: Any, tables: Mapping[str, Table]) -> None:
    """Let the stars of a tree leave `_key` out, where a table of ours is in their FROM; edits the tree."""
    if node.get("type") == "SELECT_NODE":
        ours = [source for source in sources_in(node["from_table"]) if source["type"] == "BASE_TABLE"]
        ours = [source for source in ours if source["table_name"] in tables]
        for star in _stars(node) if ours else ():
            named = fold(star["relation_name"])
            for source in ours:
                if named in ("", fold(source["alias"])):
                    star["qualified_exclude_list"].append(_excluded(source))
    for child in children(node):
        hide_keys(child, tables)


def _excluded(source: Node) -> Node:
    return {"catalog": "", "schema": "", "table": source["alias"], "column": KEY_COLUMN.name}


def _stars(node: Node) -> Iterator[Node]:
    """The stars of one SELECT, not those of queries inside."""
    yield from (item for item in node["select_list"] if item["class"] == "STAR" and not placed(item))
    for part in ("select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers"):
        yield from _stars_under([node[part]] if isinstance(node[part], dict) else node[part] or [])


def _stars_under(nodes: Any) -> Iterator[Node]:
    for child in children(nodes):
        if child.get("class") == "STAR" and placed(child):  # ORDER BY ALL is a star, too
            yield child
        if child.get("class") != "SUBQUERY":
            yield from _stars_under(child)


def bare_exists(node: Any) -> None:
    """Let EXISTS look for rows only, where its columns make no rows of their own; edits the tree."""
    if node.get("subquery_type") == "EXISTS":
        inside = node["subquery"]["node"]
        if inside["type"] == "SELECT_NODE" and _gives_its_rows(inside):
            inside["select_list"] = read_query("SELECT 1").select["select_list"]
    for child in children(node):
        bare_exists(child)


def _gives_its_rows(select: Node) -> bool:
    """Whether there is a row for each of FROM and WHERE, whatever is in the SELECT list."""
    clauses = ("group_expressions", "group_sets", "having", "qualify", "sample")
    grouped = select["aggregate_handling"] != "STANDARD_HANDLING" or any(select[name] for name in clauses)
    cuts = all(modifier["type"] == "LIMIT_MODIFIER" for modifier in select["modifiers"])
    plain = all(item["class"] in ("STAR", "COLUMN_REF", "CONSTANT") for item in select["select_list"])
    return cuts and plain and not grouped


def special_names(tree: Node, tables: Iterable[Table]) -> Iterator[tuple[Node, str]]:
    """Yield references to what is no column: rowid, and words that DuckDB would read as calls."""
    known = {fold(column.name) for table in tables for column in table.all_columns} | names_given(tree)
    for node in nodes(tree):
        if node.get("class") == "COLUMN_REF":
            names = node["column_names"]
            word = fold(names[-1])
            if word not in known and (word == "rowid" or (len(names) == 1 and word in VALUE_WORDS)):
                yield node, word


Blocks = Callable[[str, Table], BoundQuery]
"""Binds a block's text on a table of the name that it gives it; Error if it is not bound by itself."""


@dataclass
class Taking:
    """Takes a tree apart; `tables` are those that it names, by that name; `reads` what each has to give."""

    tables: Mapping[str, Table]
    originals: Mapping[str, Table]
    reads: Mapping[str, set[str]]
    needed: Mapping[str, set[str]]
    bind: Blocks
    prefix: str
    volatile: frozenset[str]
    aggregates: frozenset[str]
    parts: list[Part] = field(default_factory=list)
    _made: dict[str, Part] = field(default_factory=dict)

    def whole(self, tree: Node, *, blocks: bool = True) -> str:
        """Return the text over parts; they are in `parts` then."""
        self.parts, self._made = [], {}
        tree = copy.deepcopy(tree)
        if blocks:
            tree = self._blocks(tree)
        filters = pushed(tree, self.tables, self.volatile)
        self._tables(tree, filters)
        return write_query(tree)

    def _blocks(self, node: Any) -> Any:
        """Put relations in the place of blocks."""
        if isinstance(node, list):
            return [self._blocks(child) for child in node]
        if not isinstance(node, dict):
            return node
        if "modifiers" in node and is_block(node) and (part := self._block(node)):
            return select_from(part.name, [column.name for column in part.bound.columns])
        return {key: self._blocks(value) for key, value in node.items()}

    def _block(self, node: Node) -> Part | None:
        source = node["from_table"]
        if source["type"] != "BASE_TABLE" or source["table_name"] not in self.tables:
            return None
        return self._part(write_query(node), source["table_name"], rows=self._is_rows(node))

    def _is_rows(self, block: Node) -> bool:
        """Whether a block filters and computes, row by row."""
        clauses = ("modifiers", "group_expressions", "group_sets", "having")
        forced = block["aggregate_handling"] != "STANDARD_HANDLING"
        grouped = forced or any(calls(item, self.aggregates) for item in block["select_list"])
        return not grouped and not any(block[clause] for clause in clauses)

    def _part(self, text: str, name: str, *, rows: bool = False, lean: bool = False) -> Part | None:
        """The part of a text, made once; None if the text cannot stand by itself."""
        if text in self._made:
            return self._made[text]
        try:
            bound = self.bind(text, self.tables[name])
        except Error:
            return None
        if not lean and any(loses_columns(column.type) for column in bound.columns):
            return None
        part = Part(f"{self.prefix}part_{len(self.parts)}", bound, self.originals[name], rows, lean)
        self.parts.append(part)
        self._made[text] = part
        return part

    def _tables(self, tree: Node, filters: Mapping[str, Node]) -> None:
        for reference in list(references(tree)):
            name = reference["table_name"]
            if name in self.tables:
                self._replace(reference, self._table(name, filters.get(name)))

    def _table(self, name: str, condition: Node | None) -> tuple[Part, list[str]]:
        """The part that gives a table's rows, and the table's columns over it."""
        table = self.tables[name]
        reads = [column for column in table.all_columns if column.name in self.needed[name]]
        text = f"SELECT {', '.join(quoted(c.name) for c in reads) or 'true AS counted'} FROM {quoted(name)}"
        part = None
        if condition is not None:
            select = read_query(text).select
            part = self._part(write_query({**select, "where_clause": condition}), name, rows=True, lean=True)
        part = part or self._part(text, name, rows=True, lean=True)
        assert part is not None
        shown = [column for column in table.all_columns if column.name in self.reads[name]]
        return part, [_shown(column, reads) for column in shown] or ["c0 AS counted"]

    def _replace(self, reference: Node, given: tuple[Part, list[str]]) -> None:
        part, items = given
        source = read_query(f"FROM (SELECT {', '.join(items)} FROM {part.name})").select["from_table"]
        kept = {name: reference[name] for name in ("alias", "column_name_alias", "sample")}
        reference.clear()
        reference.update({**source, **kept})


def _shown(column: Column, reads: Sequence[Column]) -> str:
    """A column that the text names, and may not need: then it is NULL."""
    value = f"c{reads.index(column)}" if column in reads else f"CAST(NULL AS {column.type})"
    return f"{value} AS {quoted(column.name)}"


def select_from(name: str, names: Sequence[str]) -> Node:
    """Return the SELECT that gives a relation's columns c0, c1, … their names."""
    items = ", ".join(f"c{index} AS {quoted(column)}" for index, column in enumerate(names))
    return read_query(f"SELECT {items} FROM {name}").select
