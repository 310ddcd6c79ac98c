"""Query + table → BoundQuery: DuckDB binds the text on an empty table of its columns. Nothing ever runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError
from gearsql.sql.bound import BoundQuery, ResultColumn
from gearsql.sql.faults import fault
from gearsql.sql.names import check_names
from gearsql.sql.normalise import UnwritableError, normalise
from gearsql.sql.parameters import Parameters, find_parameters, parameter_edits
from gearsql.sql.plans import Plan, plan_of
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.splice import Edit, splice
from gearsql.sql.stars import quote_name, star_edits
from gearsql.sql.statements import Query
from gearsql.sql.syntax import Node, Syntax, children, read_query, write_expression
from gearsql.sql.tokens import trim
from gearsql.sql.trees import sqlglot_tree


def bind(query: Query, table: Table, parameters: Parameters = None) -> BoundQuery:
    """Bind once, with a Binder of its own; a connection keeps one Binder."""
    with Binder() as binder:
        return binder.bind(query, table, parameters)


@dataclass(frozen=True)
class _Step:
    """A query's text on its way; `origin` maps its places to those in the user's text."""

    syntax: Syntax
    origin: Callable[[Position], Position]


class Binder:
    """Holds an empty DuckDB in which one table at a time stands for a keyspace. Safe to share by threads."""

    def __init__(self) -> None:
        self._connection = open_sandbox()
        self._table: Table | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Binder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free DuckDB."""
        self._connection.close()

    def bind(self, query: Query, table: Table, parameters: Parameters = None) -> BoundQuery:
        """Bind a query on its table; errors know their place in the query's text."""
        with self._lock:
            try:
                return self._bind(query, table, parameters)
            except Error as error:
                error.text = query.text
                raise

    def _bind(self, query: Query, table: Table, parameters: Parameters) -> BoundQuery:
        check_names(query.syntax, table)
        step = _edited(query.syntax, parameter_edits(query.syntax, parameters), _same_place)
        step = _edited(step.syntax, star_edits(step.syntax, table), step.origin)
        text = trim(step.syntax.text)
        self._create(table)
        plan = plan_of(self._connection, text)
        columns = self._columns(text, plan, table, step, query)
        reads = plan.reads()
        if reads is None:
            reads = _mentioned(step.syntax.select, table)
        ordered = tuple(column.name for column in table.all_columns if column.name in reads)
        names = _names_with_parameters(query.syntax, step.syntax)
        named = tuple(ResultColumn(names.get(i, c.name), c.type) for i, c in enumerate(columns))
        return BoundQuery(text, self._tree(step.syntax, table, plan), table, named, ordered)

    def _create(self, table: Table) -> None:
        if table == self._table:
            return
        if self._table is not None:
            self._connection.execute(f"DROP TABLE {quote_name(self._table.name)}")
            self._table = None
        columns = ", ".join(f"{quote_name(column.name)} {column.type}" for column in table.all_columns)
        try:
            self._connection.execute(f"CREATE TABLE {quote_name(table.name)} ({columns})")
        except duckdb.Error as error:
            raise ProgrammingError(f"{table.name} is no table for DuckDB: {error}") from error
        self._table = table

    def _columns(
        self, text: str, plan: Plan, table: Table, step: _Step, query: Query
    ) -> tuple[ResultColumn, ...]:
        """DuckDB's names and types: sql() builds a relation, which binds and does not run."""
        if plan.refusal is not None and plan.refusal.get("error_type") != "not implemented":
            raise fault(plan.refusal, text, table, step.origin, query.text)
        try:
            relation = self._connection.sql(text)
        except duckdb.Error as error:
            raise NotSupportedError(str(error), position=query.table_position) from error
        types = [str(type_) for type_ in relation.types]
        return tuple(map(ResultColumn, relation.columns, types))

    def _tree(self, syntax: Syntax, table: Table, plan: Plan) -> exp.Select | None:
        try:
            tree = sqlglot_tree(normalise(syntax.select, table))
        except UnwritableError:
            return None
        if tree is None or not plan.means(plan_of(self._connection, tree.sql("duckdb"))):
            return None
        return tree


def _edited(syntax: Syntax, edits: list[Edit], origin: Callable[[Position], Position]) -> _Step:
    if not edits:
        return _Step(syntax, origin)
    spliced = splice(syntax.text, edits)
    return _Step(read_query(spliced.text), lambda position: origin(spliced.origin(position)))


def _same_place(position: Position) -> Position:
    return position


def _mentioned(select: Node, table: Table) -> set[str]:
    """The columns whose names stand anywhere in the query: all that it can read."""
    found: set[str] = set()
    stack: list[Node] = [select]
    while stack:
        node = stack.pop()
        if node.get("class") == "COLUMN_REF":
            found.update(fold(name) for name in node["column_names"])
        stack.extend(children(node))
    return {column.name for column in table.all_columns if fold(column.name) in found}


def _names_with_parameters(before: Syntax, after: Syntax) -> dict[int, str]:
    """DuckDB names an item without alias by its text, in which a parameter is called $1, not by its value."""
    items = before.select["select_list"]
    if any(item["class"] == "STAR" for item in items) or len(items) != len(after.select["select_list"]):
        return {}
    return {
        index: write_expression(item)
        for index, item in enumerate(items)
        if not item["alias"] and any(True for _ in find_parameters(item))
    }
