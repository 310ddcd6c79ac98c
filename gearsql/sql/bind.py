"""Query + table → BoundQuery: DuckDB binds the text on an empty table of its columns. Nothing ever runs."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb
from sqlglot import exp

from gearsql.catalog.function import Known
from gearsql.catalog.names import fold, table_key
from gearsql.catalog.table import KEY_COLUMN, Column, Table
from gearsql.errors import DataError, Error, InternalError, NotSupportedError, Position, ProgrammingError
from gearsql.sql.bound import BoundQuery, Part, ResultColumn, WideBound, WideScan
from gearsql.sql.clock import clock_edits, find_clocks, names_given
from gearsql.sql.failing_casts import cast_at_fault
from gearsql.sql.faults import fault
from gearsql.sql.flatten import Flattening, Texts
from gearsql.sql.functions import VOLATILE, known_functions
from gearsql.sql.hooks import (
    Hooks,
    Near,
    aggregates_among,
    as_written,
    bindable,
    bindable_edits,
    called_names,
    require,
)
from gearsql.sql.joins import JoinTaking
from gearsql.sql.meaning import same_meaning
from gearsql.sql.names import check_names, unsupported_name
from gearsql.sql.never import empty_what_never_counts
from gearsql.sql.normalise import UnwritableError, calls, normalise
from gearsql.sql.parameters import Parameters, find_parameters, parameter_edits
from gearsql.sql.plans import Plan, plan_of
from gearsql.sql.pruning import Pruning
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.sinking import Sinking
from gearsql.sql.sources import (
    NO_TABLE,
    Relation,
    explode_edits,
    lateral_edits,
    name_position,
    relations,
)
from gearsql.sql.splice import Edit, splice
from gearsql.sql.stars import quote_name, star_edits
from gearsql.sql.statements import Query, WideQuery
from gearsql.sql.stubs import Stubs
from gearsql.sql.syntax import Node, Syntax, children, read_query, write_expression, write_query
from gearsql.sql.tokens import trim
from gearsql.sql.trees import sqlglot_tree, write_from
from gearsql.sql.walks import nodes, references
from gearsql.sql.wide import (
    Taking,
    bare_exists,
    free_prefix,
    hide_keys,
    names_keys,
    special_names,
)

# Kept ready in a Binder; beyond, all of them are made anew.
MOST_TABLES = 64


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


@dataclass(frozen=True)
class _Whole:
    """A query as it is bound over tables with names of ours; `origin` maps its text's places."""

    step: _Step
    tables: Mapping[str, Table]
    prefix: str
    text: str
    origin: Callable[[Position], Position]


class Binder:
    """Holds a DuckDB in which empty tables stand for keyspaces. Safe to share by threads."""

    def __init__(self) -> None:
        self._connection = open_sandbox()
        self._stubs = Stubs(self._connection)
        self._tables: dict[str, tuple[Table, bool]] = {}
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
        moment: datetime.datetime | None = None,
    ) -> BoundQuery:
        """Bind a query on its table; errors know their place in the query's text.

        `hooks` are those of query.calls that users have defined, `near` tells their names that are like one.
        A query without a table takes NO_TABLE. `moment` is what its clock shows; None: now.
        """
        with self._lock:
            try:
                return self._bind(query, table, parameters, hooks or {}, near, moment)
            except Error as error:
                error.text = query.text
                raise

    def bind_wide(
        self,
        query: WideQuery,
        tables: Mapping[str, Table],
        parameters: Parameters = None,
        hooks: Mapping[str, Known] | None = None,
        near: Near | None = None,
        moment: datetime.datetime | None = None,
        *,
        spread: bool = True,
    ) -> WideBound:
        """Bind a query that is no block; `tables` are those of query.sources by their names.

        `spread` says that its joins are for several shards.
        """
        with self._lock:
            try:
                return self._bind_wide(query, tables, parameters, hooks or {}, near, moment, spread)
            except Error as error:
                error.text = query.text
                raise

    def locate(
        self,
        error: DataError,
        query: Query | WideQuery,
        tables: Mapping[str, Table],
        parameters: Parameters = None,
        hooks: Mapping[str, Known] | None = None,
    ) -> None:
        """Give an error of a query that ran the place in the query's text, if that is sure."""
        error.text = query.text
        with self._lock, suppress(Error, duckdb.Error, ValueError):
            found = require(query.syntax, hooks or {})
            whole = _whole(query, tables, parameters, hooks or {}, found, None)
            for name, table in whole.tables.items():
                self._create(replace(table, name=name))
            self._stubs.require(found)
            place = cast_at_fault(self._connection, whole.text, error)
            error.position = whole.origin(place) if place else None

    def _bind_wide(
        self,
        query: WideQuery,
        tables: Mapping[str, Table],
        parameters: Parameters,
        hooks: Mapping[str, Known],
        near: Near | None,
        moment: datetime.datetime | None,
        spread: bool,
    ) -> WideBound:
        found = require(query.syntax, hooks, near)
        for node, word in special_names(query.syntax.select, tables.values()):
            raise unsupported_name(word, query.syntax.position(node), query.text)
        whole = _whole(query, tables, parameters, hooks, found, moment)
        step, originals, origin = whole.step, whole.tables, whole.origin
        given_by = query.written or query.syntax
        written = _written_names(given_by, step.syntax, frozenset())
        beside = _names_beside_stars(given_by, step.syntax)
        prefix, keyed = whole.prefix, names_keys(query.text)
        ours = {name: replace(table, name=name) for name, table in originals.items()}
        if keyed and any(node.get("ref_type") == "NATURAL" for node in nodes(step.syntax.select)):
            raise NotSupportedError("NATURAL JOIN beside _key is not supported", text=query.text)
        for table in ours.values():
            self._create(table, keyed=keyed)
        self._stubs.require(found)
        plan = plan_of(self._connection, whole.text)
        known = [column.name for table in tables.values() for column in table.all_columns]
        columns = self._columns(whole.text, plan, found, origin, query, known)
        tree = step.syntax.select
        if keyed:
            hide_keys(tree, ours)
        bare_exists(tree)
        volatile = VOLATILE | {known.function.name for known in found if known.function.volatile}
        texts = self._texts(found)
        aggregates = known_functions().aggregates | aggregates_among(found)
        tree = Flattening(texts, aggregates, volatile).flat(tree)
        Sinking(texts, volatile).sink(tree)
        shown = {name: [c.name for c in _visible(table, keyed)] for name, table in ours.items()}
        empty_what_never_counts(tree, shown)
        text = write_query(tree)
        form = bindable(text, found)
        if keyed:
            columns = self._columns(form, plan_of(self._connection, form), found, origin, query, known)
        columns = _named(columns, written, beside)
        visible = {name: {c.name for c in _visible(table, keyed)} for name, table in ours.items()}
        reads = self._reads(form, visible)
        needed = self._reads(form, reads, pruned=True)

        def bind_part(part: str, table: Table) -> BoundQuery:
            syntax = read_query(part)
            calls = tuple(called_names(syntax))
            block = Query(part, syntax, table.name, Position(0, 0), calls)
            return self._bind(block, table, None, {name: hooks[name] for name in calls}, near)

        # DuckDB folds calls of NULL as it binds; what only they read is not in its plan: then all is read.
        for given, blocks in ((reads, True), (reads, False), (visible, False)):
            taking = Taking(ours, originals, given, needed, bind_part, prefix, volatile, aggregates)
            merged = taking.whole(tree, blocks=blocks)
            if self._gives(merged, taking.parts, found, columns):
                break
        else:
            raise InternalError(f"the query over its tables is another one: {merged}")
        if not spread and not self._binds_on(tree, form, ours, given):
            given = visible
        scans = tuple(WideScan(name, originals[name], tuple(sorted(given[name]))) for name in ours)
        pruning = Pruning(self._connection, bind_part, lambda text: bindable(text, found))
        parts = tuple(taking.parts)
        smaller, pruned = pruning.pruned(merged, parts)
        if pruned != parts and self._gives(smaller, pruned, found, columns):
            merged, parts = smaller, pruned
        elif pruned != parts:
            self._create_parts(parts)
        joins = JoinTaking(self._connection, parts, prefix)
        # Users' functions are called over tables and over answers, not over joins on shards.
        free = prefix == "scan_" and "given_" not in fold(query.text)  # no name in it is a shard's
        merged = joins.text(merged) if spread and free and not found else merged
        made = tuple(joins.joins)
        return WideBound(text, scans, merged, parts, columns, found, made, joins.takes(merged), joins.whole)

    def _reads(
        self, text: str, otherwise: Mapping[str, set[str]], *, pruned: bool = False
    ) -> Mapping[str, set[str]]:
        """The columns that a text reads of each table; `otherwise` is taken if DuckDB has no plan to tell."""
        found = plan_of(self._connection, text, pruned=pruned).reads_of()
        return otherwise if found is None else {name: found.get(name, set()) for name in otherwise}

    def _texts(self, hooks: Hooks) -> Texts:
        def columns(text: str) -> list[tuple[str, str]] | None:
            try:
                relation = self._connection.sql(bindable(text, hooks))
            except (duckdb.Error, Error):
                return None
            return list(zip(relation.columns, map(str, relation.types), strict=True))

        def same(one: str, other: str) -> bool:
            try:
                plans = [plan_of(self._connection, bindable(text, hooks)) for text in (one, other)]
            except Error:
                return False
            return same_meaning(*plans)

        return Texts(columns, same)

    def _binds_on(
        self, tree: Node, form: str, tables: Mapping[str, Table], given: Mapping[str, set[str]]
    ) -> bool:
        """Whether a text binds on tables of the given columns; DuckDB's plan lacks those of NULL || x."""
        if all(_mentioned(tree, table) <= given[name] for name, table in tables.items()):
            return True
        for name, table in tables.items():
            columns = tuple(column for column in table.columns if column.name in given[name])
            self._create(replace(table, columns=columns), keyed=KEY_COLUMN.name in given[name])
        try:
            self._connection.sql(form)
        except duckdb.Error:
            return False
        return True

    def _gives(self, text: str, parts: Sequence[Part], hooks: Hooks, columns: Sequence[ResultColumn]) -> bool:
        """Whether a text over parts binds to columns of the same types."""
        self._create_parts(parts)
        try:
            relation = self._connection.sql(bindable(text, hooks))
        except duckdb.Error:
            return False
        return [str(type_) for type_ in relation.types] == [column.type for column in columns]

    def _create_parts(self, parts: Iterable[Part]) -> None:
        for part in parts:
            items = ", ".join(f"c{index} {column.type}" for index, column in enumerate(part.bound.columns))
            self._connection.execute(f"CREATE OR REPLACE TABLE {quote_name(part.name)} ({items})")

    def _bind(
        self,
        query: Query,
        table: Table,
        parameters: Parameters,
        hooks: Mapping[str, Known],
        near: Near | None,
        moment: datetime.datetime | None = None,
    ) -> BoundQuery:
        scene = _scene(query.syntax, table, hooks, near)
        check_names(query.syntax, scene.found)
        edits = _constants(query.syntax, parameters, [table], moment)
        step = _edited(query.syntax, edits, _same_place)
        beside = _names_beside_stars(query.syntax, step.syntax)
        step = _edited(step.syntax, star_edits(step.syntax, scene.found), step.origin)
        scene = replace(scene, found=relations(step.syntax, table, hooks))
        lateral = splice(trim(step.syntax.text), lateral_edits(step.syntax, scene.found))
        whole = splice(lateral.text, bindable_edits(lateral.text, scene.hooks))

        def origin(position: Position) -> Position:
            return step.origin(lateral.origin(whole.origin(position)))

        self._create(table)
        self._stubs.require(scene.hooks)
        plan = plan_of(self._connection, whole.text)
        columns = self._columns(whole.text, plan, scene.hooks, origin, query, scene.columns)
        reads = plan.reads()
        if reads is None:
            reads = _mentioned(step.syntax.select, table)
        ordered = tuple(column.name for column in table.all_columns if column.name in reads)
        names = _written_names(query.syntax, step.syntax, scene.aggregates)
        named = _named(columns, names, beside)
        tree, exploded = self._tree(step.syntax, scene, plan)
        return BoundQuery(lateral.text, tree, table, named, ordered, scene.hooks, exploded)

    def _create(self, table: Table, *, keyed: bool = True) -> None:
        """Let a table stand in the place of the one that had its name. Without its key it has no `_key`."""
        name = fold(table.name)
        if self._tables.get(name) == (table, keyed):
            return
        if len(self._tables) >= MOST_TABLES:
            for kept in self._tables:
                self._connection.execute(f"DROP TABLE IF EXISTS {quote_name(kept)}")
            self._tables.clear()
        self._tables.pop(name, None)
        columns = ", ".join(f"{quote_name(column.name)} {column.type}" for column in _visible(table, keyed))
        try:
            self._connection.execute(f"CREATE OR REPLACE TABLE {quote_name(table.name)} ({columns})")
        except duckdb.Error as error:
            raise ProgrammingError(f"{table.name} is no table for DuckDB: {error}") from error
        self._tables[name] = table, keyed

    def _columns(
        self,
        text: str,
        plan: Plan,
        hooks: Hooks,
        origin: Callable[[Position], Position],
        query: Query | WideQuery,
        names: Iterable[str],
    ) -> tuple[ResultColumn, ...]:
        """DuckDB's names and types: sql() builds a relation, which binds and does not run.

        `names` are those of columns, for errors.
        """
        if plan.refusal is not None and plan.refusal.get("error_type") != "not implemented":
            raise _with_signature(fault(plan.refusal, text, names, origin, query.text), hooks)
        try:
            relation = self._connection.sql(text)
        except duckdb.Error as error:
            place = query.table_position if isinstance(query, Query) else None
            raise NotSupportedError(as_written(str(error)), position=place) from error
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


def _visible(table: Table, keyed: bool) -> tuple[Column, ...]:
    """The columns that a query can name: without its key a table has no `_key`, if it has anything else."""
    return table.all_columns if keyed or not table.columns else table.columns


def _constants(
    syntax: Syntax, parameters: Parameters, tables: Iterable[Table], moment: datetime.datetime | None
) -> list[Edit]:
    """The edits that write parameters and the clock into a query."""
    columns = {fold(column.name) for table in tables for column in table.all_columns}
    columns |= names_given(syntax.select)
    moment = moment or datetime.datetime.now(datetime.UTC)
    return [*parameter_edits(syntax, parameters), *clock_edits(syntax, columns, moment)]


def _whole(
    query: Query | WideQuery,
    tables: Mapping[str, Table],
    parameters: Parameters,
    hooks: Mapping[str, Known],
    found: Hooks,
    moment: datetime.datetime | None,
) -> _Whole:
    constants = _constants(query.syntax, parameters, tables.values(), moment)
    step = _edited(query.syntax, constants, _same_place)
    prefix = free_prefix(query.text)
    names = {table_key(name): f"{prefix}{index}" for index, name in enumerate(tables)}
    rows = explode_edits(step.syntax, hooks)
    step = _edited(step.syntax, [*rows, *_naming(step.syntax, names)], step.origin)
    text = trim(step.syntax.text)
    spliced = splice(text, bindable_edits(text, found))

    def origin(position: Position) -> Position:
        return step.origin(spliced.origin(position))

    ours = {names[table_key(name)]: table for name, table in tables.items()}
    return _Whole(step, ours, prefix, spliced.text, origin)


def _naming(syntax: Syntax, names: Mapping[str, str]) -> list[Edit]:
    """The edits that give tables in FROM our names, and keep the user's as aliases."""
    edits = []
    for table in references(syntax.select):
        ours = names[table_key(table["table_name"])]
        named = ours if table["alias"] else f"{ours} AS {quote_name(table['table_name'])}"
        edits.append(Edit(name_position(syntax, table), named))
    return edits


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
        elif node.get("class") == "STAR":
            found.update(map(fold, _in_lists(node)))
        stack.extend(children(node))
    return {column.name for column in table.all_columns if fold(column.name) in found}


def _in_lists(star: Node) -> Iterator[str]:
    """The columns that a star leaves out, replaces or renames."""
    yield from star["exclude_list"]
    for entry in (*star["replace_list"], *star["rename_list"], *star["qualified_exclude_list"]):
        name = entry.get("key", entry)
        yield name if isinstance(name, str) else name["column"]


def _written_names(before: Syntax, after: Syntax, aggregates: frozenset[str]) -> dict[int, str]:
    """DuckDB names an item without alias by its text: with $1, not its value, and the user's names."""
    items, written = _items(before.select), _items(after.select)
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
        if not item["alias"] and _is_rewritten(item)
    }


def _names_beside_stars(before: Syntax, after: Syntax) -> dict[str, str]:
    """As _written_names, by what DuckDB names them: nobody knows yet which columns a star is."""
    if all(item["class"] != "STAR" for item in _items(before.select)):
        return {}
    return {
        write_expression(now): write_expression(item)
        for one, other in _alike(before.select, after.select)
        for item, now in zip(one.get("select_list", ()), other.get("select_list", ()), strict=False)
        if not item["alias"] and _is_rewritten(item)
    }


def _alike(before: Node, after: Node) -> Iterator[tuple[Node, Node]]:
    """The nodes of two trees that stand at the same place, down to where the trees differ."""
    yield before, after
    pairs = children(before), children(after)
    if len(pairs[0]) == len(pairs[1]) and before.get("type") == after.get("type"):
        for one, other in zip(*pairs, strict=True):
            yield from _alike(one, other)


def _named(
    columns: Iterable[ResultColumn], written: Mapping[int, str], beside: Mapping[str, str]
) -> tuple[ResultColumn, ...]:
    return tuple(
        ResultColumn(written.get(index, beside.get(column.name, column.name)), column.type)
        for index, column in enumerate(columns)
    )


def _items(node: Node) -> list[Node]:
    """The SELECT list that names a query's columns."""
    while "select_list" not in node:
        node = node.get("left") or node["children"][0]
    found: list[Node] = node["select_list"]
    return found


def _is_rewritten(item: Node) -> bool:
    """Whether there is a constant in its place by now, or one of our tables in a subquery."""
    changes = (find_parameters(item), find_clocks(item, ()), references(item))
    return any(True for found in changes for _ in found)
