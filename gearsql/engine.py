"""The whole way of a statement on one screen; docs/architecture.md follows it file by file."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa

from gearsql.answer import Answer, listing
from gearsql.catalog.function import Known
from gearsql.catalog.names import table_key
from gearsql.catalog.suggest import create_table_line
from gearsql.catalog.table import Table
from gearsql.catalog.view import ViewNamedError
from gearsql.cluster.analyze import Measured
from gearsql.cluster.connection import Word
from gearsql.cluster.control import Control, known_timeout
from gearsql.cluster.culprit import name_row
from gearsql.cluster.declare import declare, located
from gearsql.cluster.functions import Functions
from gearsql.cluster.notes import hook_notes, notes_of
from gearsql.cluster.patience import Patience
from gearsql.cluster.presence import Wanted, choose_reader
from gearsql.cluster.progress import Progress
from gearsql.cluster.quick import QuickRead, quick_read
from gearsql.cluster.relations import Notes, Relations, Seen
from gearsql.cluster.shards import Shards
from gearsql.cluster.stage import Stage
from gearsql.cluster.stats import StageStats
from gearsql.cluster.tables import Tables
from gearsql.cluster.write_statement import Writes
from gearsql.derived import Derived
from gearsql.errors import (
    DataError,
    FunctionChangedError,
    HookError,
    InterfaceError,
    KeyChangedError,
    MisfitError,
    NotSupportedError,
    Position,
    ProgrammingError,
    ServerLoadingError,
    ShardUnreachableError,
    SlotsNotCoveredError,
    TableShrankError,
    UnknownColumnError,
    UnknownTableError,
)
from gearsql.merge.hooks import Calling
from gearsql.merge.merger import Merger
from gearsql.plan.compiled import Compiled, compile_query
from gearsql.plan.explain import explain
from gearsql.plan.kept import KeptPlans
from gearsql.plan.stages import AclMode, GearsPlan, Reader, ReadFrom, ScanMode, WidePlan
from gearsql.sql.bind import Binder
from gearsql.sql.bound import BoundQuery, ResultColumn, WideBound
from gearsql.sql.parameters import Parameters
from gearsql.sql.parse import parse
from gearsql.sql.pivots import ValuesWantedError
from gearsql.sql.sources import NO_TABLE
from gearsql.sql.statements import (
    AnyQuery,
    Conflict,
    Copy,
    CreateView,
    Delete,
    Describe,
    DescribeQuery,
    DropView,
    Explain,
    Insert,
    Query,
    Source,
    Statement,
    Summarize,
    Update,
    Values,
    WideQuery,
    sources_of,
)

TRIES = 3
KEPT_TEXTS = 256


class Engine:
    """The coordinator, in the client: knows the shards and their tables, and runs one statement at a time."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        *,
        reader: Wanted = "auto",
        timeout: float | None = None,
        session: str = "",
        scan: ScanMode = "sliced",
        acl: AclMode = "error",
        files: bool = False,
        limits: Mapping[str, int] | None = None,
        read_from: ReadFrom = "primary",
    ) -> None:
        """Connect; `options` are redis-py's, `timeout` bounds a statement in seconds if it says nothing else.

        `session` names the one on each server that users' functions run in. `scan` is how shards
        read their keys where a statement does not say. `acl` is what keys do that the user may not read,
        `read_from` who runs stages.
        """
        if acl not in ("error", "skip"):
            raise InterfaceError(f"acl is 'error' or 'skip', not {acl!r}")
        if read_from not in ("primary", "replica", "replica-only"):
            raise InterfaceError(f"read_from is 'primary', 'replica' or 'replica-only', not {read_from!r}")
        self._timeout = known_timeout(timeout)
        self._shards = Shards(url, options, self._timeout, acl, read_from)
        self._tables = Tables(self._shards)
        self.functions = Functions(self._shards)
        self._binder = Binder()
        self._wanted = reader
        self._chosen: Reader | None = None
        self._seen = Seen()
        self._session = session
        self._limits = limits
        self.control()  # they are as they should be
        memory = (limits or {}).get("memory")
        self._merger = Merger(f"{memory}B" if memory else None)
        self._scan = _known_mode(scan)
        self._plans = KeptPlans()
        self._quick: dict[str, QuickRead] = {}
        self._writes = Writes(self._shards, self._tables, self._ask, files)
        self._derived = Derived(self._tables, self._run_patiently, self._columns)
        # What a write reads through: its table with the raw fields.
        self._given: Table | None = None

    def control(self, timeout: float | None = None) -> Control:
        """Return what a statement can be ended by; `timeout` goes before the connection's own."""
        return Control(self._timeout if timeout is None else timeout, self._limits)

    def run(
        self,
        text: str,
        parameters: Parameters = None,
        progress: Progress | None = None,
        scan: ScanMode | None = None,
        control: Control | None = None,
    ) -> Answer:
        """Run one statement; when slots move, shards die or functions change meanwhile, run it again."""
        control = control or self.control()
        mode = self._scan if scan is None else _known_mode(scan)
        quick = self._quick.get(text) if mode == "sliced" and not self._limits else None
        if quick is not None and control.timeout is None:
            with self._shards.serving(control):
                answer = self._quickly(quick, parameters)
            if answer is not None:
                return answer
            quick = None
        with control.running(), self._shards.serving(control):
            if quick is not None and (answer := self._quickly(quick, parameters)) is not None:
                return answer
            with _bounded_depth(text):
                return self._run_patiently(_parsed(text), parameters, progress, mode)

    def _quickly(self, quick: QuickRead, parameters: Parameters) -> Answer | None:
        try:
            answer = quick.answer(self._shards, parameters)
        except BaseException:
            # A reply may be on its way that nobody waits for any more.
            self._shards.close()
            raise
        if answer is not None:
            self._shards.control.done()
        return answer

    def run_many(
        self,
        text: str,
        sets: Sequence[Parameters],
        progress: Progress | None = None,
        control: Control | None = None,
    ) -> Answer:
        """Run a statement that writes for each set of parameters; the rows of VALUES go together."""
        control = control or self.control()
        with control.running(), self._shards.serving(control), _bounded_depth(text):
            return self._run_many(_parsed(text), text, sets, progress)

    def _run_many(
        self, statement: Statement, text: str, sets: Sequence[Parameters], progress: Progress | None
    ) -> Answer:
        match statement:
            case Insert(source=Values(), conflict=None | Conflict(sets=())):
                return Answer(count=self._writes.run_many(statement, sets, progress) if sets else 0)
            case Insert() | Update() | Delete():
                return Answer(count=sum(self._writes.run(statement, one, progress) for one in sets))
            case _:
                raise NotSupportedError("executemany is for INSERT, UPDATE and DELETE", text=text)

    def _columns(self, query: AnyQuery, parameters: Parameters) -> tuple[ResultColumn, ...]:
        return self._compiled_query(query, parameters).plan.columns

    def _ask(self, query: AnyQuery, parameters: Parameters, table: Table | None) -> Answer:
        """Answer a query of a statement that writes."""
        self._given = table
        try:
            return self._run_patiently(query, parameters, None, self._scan)
        finally:
            self._given = None

    def close(self) -> None:
        """Disconnect."""
        self._writes.close()
        self._shards.close()
        self._binder.close()
        self._merger.close()

    def _run_patiently(
        self, statement: Statement, parameters: Parameters, progress: Progress | None, mode: ScanMode
    ) -> Answer:
        patience = Patience(self._shards.control)
        tries_left = TRIES
        while True:
            try:
                return self._run(statement, parameters, progress, patience, mode)
            except (ViewNamedError, ValuesWantedError) as cause:
                if not isinstance(statement, Query | WideQuery | Explain):
                    raise
                return self._derived.run_other(statement, cause, parameters, progress, mode)
            except (
                SlotsNotCoveredError,
                ShardUnreachableError,
                ServerLoadingError,
                TableShrankError,
                KeyChangedError,
            ) as error:
                if not isinstance(statement, Query | WideQuery | Explain):
                    raise
                patience.recover(self._shards, error)
            except FunctionChangedError:
                # A shard that joined lately may not have been told of a function.
                tries_left -= 1
                if tries_left <= 0 and not patience.heard():
                    raise
                self.functions.refresh()

    def _run(
        self,
        statement: Statement,
        parameters: Parameters,
        progress: Progress | None,
        patience: Patience,
        mode: ScanMode,
    ) -> Answer:
        match statement:
            case Query() | WideQuery():
                compiled = self._compiled_query(statement, parameters, mode)
                run = _Run(patience, progress, mode)
                try:
                    table = self._answer(compiled, run)
                except DataError as error:
                    if type(error) is DataError and error.position is None:
                        tables, hooks = self._tables_of(statement), self._hooks(statement)
                        self._binder.locate(error, statement, tables, parameters, hooks)
                    raise
                return Answer(compiled.plan.columns, table, (*self._tables.said(), *run.notes))
            case Explain():
                plan = self._compiled_query(statement.query, parameters, mode).plan
                lines = explain(plan).splitlines()
                if statement.analyze:
                    lines += self._analyze(statement.query, parameters, progress, patience, mode)
                return listing(("plan",), [(line,) for line in lines])
            case Summarize():
                return self._derived.summarize(statement, parameters, progress, mode)
            case DescribeQuery():
                return self._derived.describe_query(statement, parameters)
            case CreateView() | DropView():
                self._derived.declare_view(statement, mode)
                return Answer()
            case Insert() | Update() | Delete() | Copy():
                return Answer(count=self._writes.run(statement, parameters, progress))
            case _:
                try:
                    listed = declare(self._tables, self.functions, statement)
                except ViewNamedError as named:
                    if not isinstance(statement, Describe):
                        raise
                    return self._derived.describe_view(named.view)
                return listing(listed.names, listed.rows) if listed else Answer()

    def _answer(self, compiled: Compiled, run: _Run) -> pa.Table:
        match compiled.plan:
            case GearsPlan() as plan:
                return self._query(plan, compiled, run)
            case WidePlan() as plan:
                return self._wide(plan, compiled.parts, run)

    def _query(self, plan: GearsPlan, compiled: Compiled, run: _Run, given: Sequence[Word] = ()) -> pa.Table:
        """Answer what one shard stage and one merge can; `given` are relations that go along."""
        if not plan.shard.scans:
            stage = Stage(self._shards, plan, StageStats(), run.patience)
            table = self._merger.run_once(plan, stage.calling)
            run.note(hook_notes(stage.stats))
            return table
        how = (run.patience, run.progress, self._session, run.mode, given)
        stage = Stage(self._shards, plan, StageStats(), *how)
        if self._shards.read_from != "primary" and plan.reader == "portable":
            raise NotSupportedError(
                "the portable reader reads no replicas",
                hint="load the module into the servers, or read with read_from='primary'",
            )
        if run.mode == "snapshot" and plan.reader == "portable":
            raise NotSupportedError(
                "the portable reader takes no snapshots",
                hint="load the module into the servers, or read with scan='sliced'",
            )
        try:
            table = self._merge(stage)
        except MisfitError as error:
            error.hint = _hint(compiled.tables, error)
            raise
        except HookError as error:
            if compiled.bound and error.shard is not None and error.values is not None:
                name_row(error, stage, compiled.bound)
            raise
        except DataError:
            if plan.otherwise is None:
                raise
            return self._query(plan.otherwise, compiled, run, given)
        run.note(notes_of(stage.stats, plan.shard.scans))
        if len(plan.shard.scans) == 1:
            self._seen.table(plan.shard.scans[0].table, stage.stats.rows_scanned)
        return table

    def _analyze(
        self,
        query: AnyQuery,
        parameters: Parameters,
        progress: Progress | None,
        patience: Patience,
        mode: ScanMode,
    ) -> list[str]:
        """Run a query for what there is to measure."""
        measured = patience.control.measured = Measured()
        answer = self._run(query, parameters, progress, patience, mode)
        assert answer.table is not None
        return [*measured.lines(answer.table.num_rows), *(f"note     {note}" for note in answer.notes)]

    def _wide(self, plan: WidePlan, parts: Sequence[Compiled], run: _Run) -> pa.Table:
        """Answer the parts and joins that are wanted, then the query over them."""
        compiled = {part.name: made for part, made in zip(plan.parts, parts, strict=True)}

        def ask(name: str, what: GearsPlan, given: Sequence[Word]) -> tuple[pa.Table, Notes]:
            asked = replace(run, notes=())
            return self._query(what, compiled[name], asked, given), asked.notes

        stats, control = StageStats(), run.patience.control
        calling = Calling(control.id, stats.add_nulls, control.left, control.stopping)
        relations = Relations(plan, ask, partial(self._merger.merge, calling=calling), self._seen)
        relations.make()
        run.note(relations.notes)
        if plan.whole in relations.made:
            return relations.made[plan.whole].rename_columns([column.name for column in plan.columns])
        table = self._merger.run_over(relations.plan, relations.made, calling)
        run.note(hook_notes(stats))
        return table

    def _merge(self, stage: Stage) -> pa.Table:
        try:
            batches = stage.batches(self._merger)
            return self._merger.merge(stage.plan, batches, stage.calling)
        except BaseException:
            # Whatever ends the merge ends the stages as well.
            self._shards.close()
            raise

    def _compiled_query(self, query: AnyQuery, parameters: Parameters, mode: ScanMode = "sliced") -> Compiled:
        """Bind and split, or fill in what the same text over the same tables gave before."""
        if isinstance(query, WideQuery) and query.opened is not None:
            raise ValuesWantedError(query.opened)
        tables, hooks = self._tables_of(query), self._hooks(query)
        self._chosen = reader = self._chosen or choose_reader(self._shards, self._wanted)
        # A snapshot is of one moment, and who reads replicas spares the primaries: for both keys are scanned.
        points = mode == "sliced" and self._shards.read_from == "primary"
        shards = len(self._shards.all)

        def compiling(values: Parameters, moment: datetime.datetime | None) -> Compiled:
            bound = self._bind(query, tables, values, hooks, moment)
            return compile_query(bound, shards, reader, points=points)

        versions = tuple(sorted(known.function.hash for known in hooks.values()))
        place = query.table_position if isinstance(query, Query) else (query.sources, query.names_text)
        key = (query.text, place, tuple(tables.items()), versions, shards, reader, points)
        found = self._plans.find(key, query, parameters, compiling)
        if isinstance(query, Query) and query.table_name is not None and self._given is None:
            # Not query.text: around a query there may be a statement, EXPLAIN for one.
            text, evidence = query.syntax.text, self._tables.catalog.evidence(query.table_name)
            self._remember(text, quick_read(found, evidence))
        return found.compiled

    def _remember(self, text: str, quick: QuickRead | None) -> None:
        """Keep the short way of a statement, as its plan is now."""
        self._quick.pop(text, None)
        if quick is not None:
            if len(self._quick) == KEPT_TEXTS:
                del self._quick[next(iter(self._quick))]
            self._quick[text] = quick

    def _tables_of(self, query: AnyQuery) -> dict[str, Table]:
        """Return the tables that a query names, by these names."""
        return {source.name: self._table(source, query.text) for source in sources_of(query)}

    def _table(self, source: Source, text: str) -> Table:
        if self._given is not None and table_key(self._given.name) == table_key(source.name):
            return self._given
        try:
            return self._tables.find(source.name)
        except UnknownTableError as error:
            raise located(error, source.position, text) from None

    def _hooks(self, query: AnyQuery) -> dict[str, Known]:
        """Return the users' functions that a query calls, by name; what is none is for the binder to name."""
        if query.calls and not sources_of(query):
            self.functions.refresh()  # no shard will check them
        return self.functions.find(query.calls) if query.calls else {}

    def _bind(
        self,
        query: AnyQuery,
        tables: Mapping[str, Table],
        parameters: Parameters,
        hooks: dict[str, Known],
        moment: datetime.datetime | None,
    ) -> BoundQuery | WideBound:
        try:
            return self._bound(query, tables, parameters, hooks, moment)
        except ProgrammingError as error:
            # A function may have changed since it was looked up, a column be younger than the inference.
            if query.calls:
                self.functions.refresh()
            renewed = self._hooks(query)
            undeclared = [name for name, table in tables.items() if not table.declared]
            if isinstance(error, UnknownColumnError) and undeclared:
                inferred = {name: self._tables.infer(tables[name]) for name in undeclared}
                for table in inferred.values():
                    if not table.columns:
                        error.hint = f"no hash has a key like {table.name}"
                        raise error
                tables = {**tables, **inferred}
            elif renewed == hooks:
                raise
            return self._bound(query, tables, parameters, renewed, moment)

    def _bound(
        self,
        query: AnyQuery,
        tables: Mapping[str, Table],
        parameters: Parameters,
        hooks: dict[str, Known],
        moment: datetime.datetime | None,
    ) -> BoundQuery | WideBound:
        near = self.functions.near
        spread = self._chosen == "module" and len(self._shards.all) > 1
        if isinstance(query, WideQuery):
            return self._binder.bind_wide(query, tables, parameters, hooks, near, moment, spread=spread)
        table = NO_TABLE if query.table_name is None else tables[query.table_name]
        try:
            return self._binder.bind(query, table, parameters, hooks, near, moment)
        except NotSupportedError as error:
            # A block's columns can be used in ways that are not a block's: as a whole row, for one.
            wide = WideQuery(query.text, query.syntax, sources_of(query), query.calls, query.timed)
            try:
                return self._binder.bind_wide(wide, tables, parameters, hooks, near, moment, spread=spread)
            except NotSupportedError:
                raise error from None


@dataclass
class _Run:
    """One run of a query: how its stages read, and what they have to say, each thing once."""

    patience: Patience
    progress: Progress | None
    mode: ScanMode
    notes: tuple[str, ...] = ()

    def note(self, said: Iterable[str]) -> None:
        self.notes = tuple(dict.fromkeys((*self.notes, *said)))


@lru_cache(KEPT_TEXTS)
def _parsed(text: str) -> Statement:
    return parse(text)


@contextmanager
def _bounded_depth(text: str) -> Iterator[None]:
    """Name what neither DuckDB's trees nor ours can hold."""
    try:
        yield
    except RecursionError:
        raise NotSupportedError(
            "an expression of more than some 80 operators or calls inside of each other is not supported",
            position=Position(0, len(text)),
            text=text,
            hint="a long sum: list_sum([a, b, …]); a long text: concat(a, b, …)",
        ) from None


def _known_mode(scan: ScanMode) -> ScanMode:
    if scan not in ("sliced", "snapshot"):
        raise InterfaceError(f"scan is 'sliced' or 'snapshot', not {scan!r}")
    return scan


def _hint(tables: Sequence[Table], error: MisfitError) -> str | None:
    """Return what mends it: for an undeclared table the declaration to paste, the column as text."""
    named = [table for table in tables if error.field in (column.name for column in table.columns)]
    table = named[0] if named else tables[0]
    if not table.declared:
        return create_table_line(table, error.field)
    return (
        f"declare {error.field} as VARCHAR, or the table with on_error = 'null' or 'skip', "
        "or with null_values for texts that mean NULL"
    )
