"""Joins of a wide query that are blocks but for their FROM: what shards can compute around one table's rows.

Such a SELECT is written as a block over one relation, the rows that FROM and WHERE give. A row of a table
that stands on the inner or the preserved side of its joins gives these rows its own share, whatever the
table's other rows are. So shards can make them, each of its own rows, if they have all of the rest. Nobody
has to trust this module: its result counts only if DuckDB binds it to the same plan as the SELECT itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
from sqlglot import exp

from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.catalog.placed import hash_tag
from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.sql.blocks import is_block
from gearsql.sql.bound import BoundQuery, Join, Part, ResultColumn
from gearsql.sql.ctes import Ctes, names_in, rewritten, used, with_text
from gearsql.sql.functions import VOLATILE, known_functions
from gearsql.sql.meaning import same_meaning
from gearsql.sql.normalise import UnwritableError, calls, normalise
from gearsql.sql.plans import plan_of
from gearsql.sql.sources import Relation
from gearsql.sql.syntax import Node, read_query, write_query
from gearsql.sql.together import PLAIN, SIDES, Together
from gearsql.sql.trees import sqlglot_tree, write_from
from gearsql.sql.walks import samples, sources_in
from gearsql.sql.wide import loses_columns, select_from

MOST_JOINS = 16


@dataclass
class JoinTaking:
    """Takes the joins out of a tree over `parts`, of which the connection has empty tables."""

    connection: duckdb.DuckDBPyConnection
    given: Sequence[Part]
    prefix: str
    joins: list[Join] = field(default_factory=list)
    whole: str = ""

    def text(self, text: str) -> str:
        """Return the text over parts and joins; these are in `joins` then, inner ones first.

        A text that is a join as a whole stays as it is over inner ones, and `whole` is its name.
        """
        tree = rewritten(read_query(text).select, self._taken)
        last = self.joins[-1] if self.joins else None
        if last and tree == _in_place_of(last):
            self.whole = last.name
            return last.text
        return write_query(tree)

    def takes(self, text: str) -> tuple[str, ...]:
        """Return the parts and joins that a text names."""
        return self._known(names_in(read_query(text).select))

    def _known(self, names: Iterable[str]) -> tuple[str, ...]:
        known = {part.name for part in self.given} | {join.name for join in self.joins}
        return tuple(dict.fromkeys(name for name in names if name in known))

    def _taken(self, select: Node, visible: Ctes) -> Node:
        join = self._join(select, visible) if len(self.joins) < MOST_JOINS else None
        return select if join is None else _in_place_of(join)

    def _join(self, select: Node, visible: Ctes) -> Join | None:
        ctes = used([*visible, *select["cte_map"]["map"]], select)
        bare = {**select, "cte_map": {"map": []}}
        named = [*names_in(bare), *(name for entry in ctes for name in names_in(entry))]
        rows = {part.name for part in self.given if part.rows}
        stays = [part for part in _staying(select["from_table"], rows) if named.count(part) == 1]
        tagged = any(part.name in named and hash_tag(part.table) for part in self.given)
        if not (stays or tagged) or not _reduces(bare):
            return None
        name = f"{self.prefix}join_{len(self.joins)}"
        block = {**bare, "from_table": read_query(f"FROM {name}").select["from_table"], "where_clause": None}
        if not is_block(block):
            return None
        inside = (bare, *ctes)
        if any(calls(node, VOLATILE) or samples(node) or "recurring" in str(node) for node in inside):
            return None
        try:
            return self._bound(name, bare, block, ctes, tuple(stays), named)
        except (duckdb.Error, UnwritableError):
            return None

    def _bound(
        self,
        name: str,
        select: Node,
        block: Node,
        ctes: Ctes,
        stays: tuple[str, ...],
        named: Sequence[str],
    ) -> Join | None:
        given = with_text(ctes)
        leaves = list(self._relations(select["from_table"], given))
        found = [_merged(select["from_table"]), *leaves]
        together = Together(leaves, self._part).staying(select["from_table"], select["where_clause"])
        if any(named.count(part) != together.count(part) for part in together):
            together = ()  # elsewhere rows of other shards may be meant
        if not (stays or together):
            return None
        aggregates = known_functions().aggregates
        normalised, _ = normalise(block, found, aggregates)
        tree = sqlglot_tree(normalised)
        if tree is None:
            return None
        used = dict.fromkeys(column.name for column in tree.find_all(exp.Column))
        items = [item for relation in found for item in _items(relation, used)]
        rows = _rows(select, items)
        text = given + write_query(select)
        again = given + write_from(tree, f"({rows}) AS {name}")
        if not same_meaning(plan_of(self.connection, text), plan_of(self.connection, again)):
            return None
        table = _table(name, self.connection.sql(given + rows))
        answer = self.connection.sql(text)
        columns = tuple(map(ResultColumn, answer.columns, map(str, answer.types)))
        if any(loses_columns(column.type) for column in columns):
            return None
        bound = BoundQuery(text, tree, table, columns, tuple(used), source=name)
        self._create(name, columns)
        join = Join(name, text, bound, given, rows, self._known(named), stays, together)
        self.joins.append(join)
        return join

    def _part(self, source: Node) -> Part | None:
        """The part whose rows stand in FROM."""
        parts = {part.name: part for part in self.given if part.rows}
        name = next(_staying(source, parts), None)
        return parts[name] if name else None

    def _create(self, name: str, columns: Sequence[ResultColumn]) -> None:
        items = ", ".join(f"c{index} {column.type}" for index, column in enumerate(columns))
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} ({items})")

    def _columns(self, source: Node, given: str) -> list[str]:
        """The names of a relation's columns, by DuckDB."""
        everything = read_query("FROM t").select
        everything["from_table"] = source
        return self.connection.sql(given + write_query(everything)).columns

    def _relations(self, source: Node, given: str) -> Iterator[Relation]:
        """What a name in the SELECT can mean."""
        number = 0
        for leaf in sources_in(source):
            names = _shown(leaf) or self._columns(leaf, given)
            unique = [f"j{number + index}" for index in range(len(names))]
            number += len(names)
            alias = leaf["alias"] or leaf.get("table_name", "")
            yield Relation(fold(alias), alias, tuple(zip(names, unique, strict=True)))


def _merged(source: Node) -> Relation:
    """The columns of RIGHT JOIN … USING: a name alone does not mean that of the side which stands first."""
    names = dict.fromkeys(_merged_names(source))
    return Relation("", "", tuple((name, f"u{number}") for number, name in enumerate(names)))


def _merged_names(source: Node) -> Iterator[str]:
    if source["type"] == "JOIN":
        yield from source["using_columns"] if source["join_type"] == "RIGHT" else ()
        yield from _merged_names(source["left"])
        yield from _merged_names(source["right"])


def _shown(source: Node) -> list[str]:
    """The names of a relation's columns, where they stand in its text."""
    if source["type"] != "SUBQUERY" or source["column_name_alias"]:
        return []
    names = [item["alias"] for item in source["subquery"]["node"].get("select_list", ())]
    return names if all(names) else []


def _in_place_of(join: Join) -> Node:
    return select_from(join.name, [column.name for column in join.bound.columns])


def _staying(source: Node, parts: Collection[str]) -> Iterator[str]:
    """The parts whose rows give the rows of FROM their shares."""
    if source["type"] == "JOIN" and source["ref_type"] in PLAIN:
        for side in SIDES.get(source["join_type"], ()):
            yield from _staying(source[side], parts)
    elif source["type"] == "SUBQUERY" and not source["sample"]:
        inside = source["subquery"]["node"]
        plain = inside["type"] == "SELECT_NODE" and inside["from_table"]["type"] == "BASE_TABLE"
        if plain and inside["from_table"]["table_name"] in parts and _only_shows(inside):
            yield inside["from_table"]["table_name"]


def _reduces(select: Node) -> bool:
    """Whether shards ship less than the rows of a join, which may be more than all tables have together."""
    groups = select["group_expressions"] or select["aggregate_handling"] == "FORCE_AGGREGATES"
    cuts = any(part["type"] == "DISTINCT_MODIFIER" or part.get("limit") for part in select["modifiers"])
    aggregates = any(calls(item, known_functions().aggregates) for item in select["select_list"])
    return bool(groups or cuts or aggregates) or _only_filters(select["from_table"])


def _only_filters(source: Node) -> bool:
    if source["type"] != "JOIN":
        return True
    return source["join_type"] in ("SEMI", "ANTI") and _only_filters(source["left"])


def _only_shows(select: Node) -> bool:
    clauses = ("where_clause", "group_expressions", "group_sets", "having", "qualify", "sample", "modifiers")
    items = all(item["class"] in ("COLUMN_REF", "CAST") for item in select["select_list"])
    return items and not any(select[clause] for clause in clauses) and not select["cte_map"]["map"]


def _items(relation: Relation, used: Collection[str]) -> Iterator[str]:
    alias = f"{quoted(relation.title)}." if relation.title else ""
    for own, unique in relation.columns:
        if unique in used:
            yield f"{alias}{quoted(own)} AS {unique}"


def _rows(select: Node, items: Sequence[str]) -> str:
    """The rows that FROM and WHERE give, with those columns that the rest of the SELECT names."""
    rows = read_query(f"SELECT {', '.join(items) or 'true AS counted'}").select
    rows["from_table"], rows["where_clause"] = select["from_table"], select["where_clause"]
    return write_query(rows)


def _table(name: str, rows: duckdb.DuckDBPyRelation) -> Table:
    columns = zip(rows.columns, map(str, rows.types), strict=True)
    source = FieldSource(b"")
    return Table(name, Glob(b""), tuple(Column(column, type_, source) for column, type_ in columns), True)
