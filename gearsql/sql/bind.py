"""Query + table → BoundQuery: DuckDB binds the text on an empty table of its columns. Nothing ever runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import duckdb
from sqlglot import exp

from gearsql.catalog.function import Known
from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError
from gearsql.sql.bound import BoundQuery, ResultColumn
from gearsql.sql.faults import fault
from gearsql.sql.functions import known_functions
from gearsql.sql.hooks import Hooks, Near, aggregates_among, as_written, bindable, bindable_edits, require
from gearsql.sql.names import check_names
from gearsql.sql.normalise import UnwritableError, calls, normalise
from gearsql.sql.parameters import Parameters, find_parameters, parameter_edits
from gearsql.sql.plans import Plan, plan_of
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.sources import NO_TABLE, Relation, lateral_edits, relations
from gearsql.sql.splice import Edit, splice
from gearsql.sql.stars import quote_name, star_edits
from gearsql.sql.statements import Query
from gearsql.sql.stubs import Stubs
from gearsql.sql.syntax import Node, Syntax, children, read_query, write_expression
from gearsql.sql.tokens import trim
from gearsql.sql.trees import sqlglot_tree, write_from


def bind(
    query: Query, table: Table, parameters: Parameters = None, hooks: Mapping[str, Known] | None = None
) -> BoundQuery:
    """Bind once, with a Binder of its own; a connection keeps one Binder."""
    with Binder() as binder:
        return binder.bind(query, table, parameters, hooks)


@dataclass(frozen=True)
class _Step:
    """A query's text on its way; `origin` maps its places to those in the user's text."""

    syntax: Syntax
    origin: Callable[[Position], Position]


@dataclass(frozen=True)
class _Scene:
    """What a query's names can mean."""

    table: Table
    found: tuple[Relation, ...]
    hooks: Hooks
    aggregates: frozenset[str]

    @property
    def columns(self) -> list[str]:
        return [own for relation in self.found for own, _ in relation.columns]


class Binder:
    """Holds an empty DuckDB in which one table at a time stands for a keyspace. Safe to share by threads."""

    def __init__(self) -> None:
        self._connection = open_sandbox()
        self._stubs = Stubs(self._connection)
        self._table: Table | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Binder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free DuckDB."""
        self._connection.close()

    def bind(
        self,
        query: Query,
        table: Table,
        parameters: Parameters = None,
        hooks: Mapping[str, Known] | None = None,
        near: Near | None = None,
    ) -> BoundQuery:
        """Bind a query on its table; errors know their place in the query's text.

        `hooks` are those of query.calls that users have defined, `near` tells their names that are like one.
        A query without a table takes NO_TABLE.
        """
        with self._lock:
            try:
                return self._bind(query, table, parameters, hooks or {}, near)
            except Error as error:
                error.text = query.text
                raise

    def _bind(
        self,
        query: Query,
        table: Table,
        parameters: Parameters,
        hooks: Mapping[str, Known],
        near: Near | None,
    ) -> BoundQuery:
        scene = _scene(query.syntax, table, hooks, near)
        check_names(query.syntax, scene.found)
        step = _edited(query.syntax, parameter_edits(query.syntax, parameters), _same_place)
        step = _edited(step.syntax, star_edits(step.syntax, scene.found), step.origin)
        scene = replace(scene, found=relations(step.syntax, table, hooks))
        lateral = splice(trim(step.syntax.text), lateral_edits(step.syntax, scene.found))
        whole = splice(lateral.text, bindable_edits(lateral.text, scene.hooks))

        def origin(position: Position) -> Position:
            return step.origin(lateral.origin(whole.origin(position)))

        self._create(table)
        self._stubs.require(scene.hooks)
        plan = plan_of(self._connection, whole.text)
        columns = self._columns(whole.text, plan, scene, origin, query)
        reads = plan.reads()
        if reads is None:
            reads = _mentioned(step.syntax.select, table)
        ordered = tuple(column.name for column in table.all_columns if column.name in reads)
        names = _written_names(query.syntax, step.syntax, scene.aggregates)
        named = tuple(ResultColumn(names.get(i, c.name), c.type) for i, c in enumerate(columns))
        tree, exploded = self._tree(step.syntax, scene, plan)
        return BoundQuery(lateral.text, tree, table, named, ordered, scene.hooks, exploded)

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
        self, text: str, plan: Plan, scene: _Scene, origin: Callable[[Position], Position], query: Query
    ) -> tuple[ResultColumn, ...]:
        """DuckDB's names and types: sql() builds a relation, which binds and does not run."""
        if plan.refusal is not None and plan.refusal.get("error_type") != "not implemented":
            raise _with_signature(fault(plan.refusal, text, scene.columns, origin, query.text), scene.hooks)
        try:
            relation = self._connection.sql(text)
        except duckdb.Error as error:
            raise NotSupportedError(as_written(str(error)), position=query.table_position) from error
        types = [str(type_) for type_ in relation.types]
        return tuple(map(ResultColumn, relation.columns, types))

    def _tree(self, syntax: Syntax, scene: _Scene, plan: Plan) -> tuple[exp.Select | None, str]:
        """The normalised tree, and what follows its table in FROM."""
        if scene.table == NO_TABLE:
            return None, ""
        try:
            select, exploded = normalise(syntax.select, scene.found, scene.aggregates)
            tree = sqlglot_tree(select)
        except UnwritableError:
            return None, ""
        if tree is None:
            return None, ""
        text = bindable(write_from(tree, quote_name(scene.table.name) + exploded), scene.hooks)
        return (tree, exploded) if plan.means(plan_of(self._connection, text)) else (None, "")


def _scene(syntax: Syntax, table: Table, hooks: Mapping[str, Known], near: Near | None) -> _Scene:
    found = require(syntax, hooks, near)
    aggregates = known_functions().aggregates | aggregates_among(found)
    return _Scene(table, relations(syntax, table, hooks), found, aggregates)


def _with_signature(error: Error, hooks: Hooks) -> Error:
    """DuckDB tells the candidates for a call that does not fit; of users' functions their declarations."""
    for known in hooks:
        if f"types '{known.function.name}(" in error.message:
            error.hint = f"it is declared {known.function.signature}"
    return error


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


def _written_names(before: Syntax, after: Syntax, aggregates: frozenset[str]) -> dict[int, str]:
    """DuckDB names an item without alias by its text: with $1, not its value, and with users' aggregates."""
    items, written = before.select["select_list"], after.select["select_list"]
    users = aggregates - known_functions().aggregates
    names = {
        index: write_expression(item)
        for index, item in enumerate(written)
        if not item["alias"] and calls(item, users)
    }
    if any(item["class"] == "STAR" for item in items) or len(items) != len(written):
        return names
    return names | {
        index: write_expression(item)
        for index, item in enumerate(items)
        if not item["alias"] and any(True for _ in find_parameters(item))
    }
