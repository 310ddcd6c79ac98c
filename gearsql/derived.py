"""Statements that other queries answer: a view stands for its query, SUMMARIZE for aggregates.

A PIVOT without its values is one with the values that a query before it has found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gearsql.answer import Answer, listing, regrouped
from gearsql.catalog.names import fold
from gearsql.catalog.view import View, ViewNamedError
from gearsql.cluster.listing import located
from gearsql.cluster.progress import Progress
from gearsql.cluster.tables import Tables
from gearsql.errors import Error, ProgrammingError
from gearsql.plan.stages import ScanMode
from gearsql.sql.bound import ResultColumn
from gearsql.sql.ddl_summarize import COLUMNS, all_columns, summary
from gearsql.sql.ddl_view import expanded, read_by
from gearsql.sql.parameters import Parameters
from gearsql.sql.parse import parse_query
from gearsql.sql.pivots import Opened, ValuesWantedError
from gearsql.sql.splice import Spliced
from gearsql.sql.statements import (
    AnyQuery,
    CreateView,
    DescribeQuery,
    DropView,
    Explain,
    Statement,
    Summarize,
    WideQuery,
)
from gearsql.sql.syntax import Syntax

MOST_TEXT = 1_000_000
_DESCRIBED = ("column_name", "column_type", "source")

Run = Callable[[Statement, Parameters, Progress | None, ScanMode], Answer]
Columns = Callable[[AnyQuery, Parameters], tuple[ResultColumn, ...]]
Cause = ViewNamedError | ValuesWantedError
"""Why a query is to be answered by another one."""


@dataclass(frozen=True)
class Derived:
    """`run` answers a statement, `columns` binds a query; or they raise that it is another one first."""

    _tables: Tables
    _run: Run
    _columns: Columns

    def run_other(
        self,
        statement: AnyQuery | Explain,
        cause: Cause,
        parameters: Parameters,
        progress: Progress | None,
        mode: ScanMode,
    ) -> Answer:
        """Run a query with a view's text in place of its name, or with a PIVOT's values; it may have more."""
        query = statement.query if isinstance(statement, Explain) else statement
        spliced, inner = self._other(query, cause, mode)
        try:
            whole: AnyQuery | Explain = inner
            if isinstance(statement, Explain):
                whole = Explain(spliced.text, inner, statement.analyze)
            return self._run(whole, parameters, progress, mode)
        except Error as error:
            if error.position is not None and error.text == spliced.text:
                error.position = spliced.origin(error.position)
            error.text = statement.text
            raise

    def declare_view(self, statement: CreateView | DropView, mode: ScanMode) -> None:
        """Bind a view's query and keep it, or drop it."""
        catalog = self._tables.catalog
        try:
            if isinstance(statement, DropView):
                catalog.drop_view(statement.name, if_exists=statement.if_exists)
                return
            if catalog.find_view(statement.view.name):
                self._require_no_circle(statement.view)
            self._run(Explain(statement.text, statement.query), None, None, mode)
            catalog.create(statement.view, replace=statement.replace, if_not_exists=statement.if_not_exists)
        except Error as error:
            if error.position is None:
                raise located(error, statement.name_position, statement.text) from None
            raise

    def describe_view(self, view: View) -> Answer:
        """List a view's columns."""
        columns = self._columns_of(parse_query(view.text, view.text), None)
        names = [*view.columns, *(column.name for column in columns[len(view.columns) :])]
        return listing(
            _DESCRIBED, [(n, column.type, "view") for n, column in zip(names, columns, strict=True)]
        )

    def describe_query(self, statement: DescribeQuery, parameters: Parameters) -> Answer:
        """List a query's columns."""
        try:
            columns = self._columns_of(statement.query, parameters)
        except Error as error:
            error.text = statement.text
            raise
        return listing(_DESCRIBED, [(column.name, column.type, "query") for column in columns])

    def summarize(
        self, statement: Summarize, parameters: Parameters, progress: Progress | None, mode: ScanMode
    ) -> Answer:
        """Run the aggregates of all columns as one query."""
        whole = all_columns(statement)
        try:
            columns = self._columns_of(parse_query(whole.text, whole.text), parameters)
        except Error as error:
            raise whole.locate(error, statement.source) from None
        composed = summary(statement, columns)
        try:
            query = parse_query(composed.text, composed.text)
            answer = self._run(query, parameters, progress, mode)
        except Error as error:
            raise composed.locate(error, statement.source) from None
        told = regrouped(COLUMNS, [(column.name, column.type) for column in columns], answer.table)
        return replace(told, notes=answer.notes)

    def _columns_of(self, query: AnyQuery, parameters: Parameters) -> tuple[ResultColumn, ...]:
        """Bind a query, with the texts of views in it."""
        while True:
            try:
                return self._columns(query, parameters)
            except (ViewNamedError, ValuesWantedError) as cause:
                _, query = self._other(query, cause, "sliced")

    def _other(self, query: AnyQuery, cause: Cause, mode: ScanMode) -> tuple[Spliced, AnyQuery]:
        if isinstance(cause, ViewNamedError):
            try:
                self._require_no_circle(cause.view)
            except ProgrammingError as error:
                error.text = query.text
                raise
            spliced, other = _read(query, _with_view(query, cause.view))
            return spliced, _named_as(query.syntax, query, other)
        spliced, other = _read(query, self._with_values(query, cause.opened, mode))
        return spliced, _named_as(None, query, other)

    def _require_no_circle(self, view: View) -> None:
        """A view that was replaced may have come to read itself, through others."""
        todo, seen = [view], set[str]()
        while todo:
            for name in read_by(todo.pop()):
                if fold(name) == fold(view.name):
                    raise ProgrammingError(
                        f"the view {view.name} reads itself", hint="views that read each other have no rows"
                    )
                found = None if fold(name) in seen else self._tables.catalog.find_view(name)
                seen.add(fold(name))
                todo += [found] if found else []

    def _with_values(self, query: AnyQuery, opened: Opened, mode: ScanMode) -> Spliced:
        values = []
        for text in opened.queries:
            try:
                answer = self._run(parse_query(text, text), None, None, mode)
            except Error as error:
                error.text, error.position = query.text, opened.place(error)
                raise
            assert answer.table is not None
            values.append(answer.table.column(0).to_pylist())
        return opened.closed(values)


def _with_view(query: AnyQuery, view: View) -> Spliced:
    spliced = expanded(query.syntax, view)
    if len(spliced.text) > MOST_TEXT:
        raise ProgrammingError(f"the view {view.name} makes the query too long", text=query.text)
    return spliced


def _named_as(written: Syntax | None, query: AnyQuery, other: AnyQuery) -> AnyQuery:
    """The other query, with the names of columns that the user's query gives."""
    if not isinstance(other, WideQuery):
        return other
    return replace(other, written=query.written or written if isinstance(query, WideQuery) else written)


def _read(query: AnyQuery, spliced: Spliced) -> tuple[Spliced, AnyQuery]:
    try:
        return spliced, parse_query(spliced.text, spliced.text)
    except Error as error:
        error.position = spliced.origin(error.position) if error.position else None
        error.text = query.text
        raise
