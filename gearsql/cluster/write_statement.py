"""INSERT, UPDATE and DELETE from their statement to the number of rows written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gearsql.answer import Answer
from gearsql.catalog.names import fold
from gearsql.catalog.table import Column, FieldSource, Table
from gearsql.catalog.view import ViewNamedError
from gearsql.cluster.listing import located
from gearsql.cluster.patience import Patience
from gearsql.cluster.progress import Progress
from gearsql.cluster.shards import Shards
from gearsql.cluster.tables import Tables
from gearsql.cluster.write import (
    Target,
    assigned,
    delete,
    insert,
    insert_columns,
    require_writable,
    update,
)
from gearsql.cluster.write_conflict import Upsert
from gearsql.cluster.write_copy import rows_of_file, write_file
from gearsql.cluster.write_rows import Incoming
from gearsql.cluster.write_text import Given, UnfitError, Writer
from gearsql.cluster.write_values import given_values
from gearsql.errors import (
    DataError,
    Error,
    KeyExistsError,
    NotSupportedError,
    Position,
    ProgrammingError,
    TypeMismatchError,
)
from gearsql.sql.composed import Composed, Piece
from gearsql.sql.conflict_parameters import share_parameters
from gearsql.sql.ddl_rows import KEY, RowQuery, row_query
from gearsql.sql.ddl_scalars import AGGREGATES
from gearsql.sql.ddl_values import Cell, cells, many, place_of, require_width
from gearsql.sql.parameters import Parameters
from gearsql.sql.parse import parse_query
from gearsql.sql.statements import AnyQuery, Conflict, Copy, Delete, Insert, Update, Values, WriteStatement

_COPY_HINT = "COPY takes new keys: COPY into another table, then INSERT INTO … SELECT … ON CONFLICT …"

Ask = Callable[[AnyQuery, Parameters, Table | None], Answer]
"""Answers a query; the table, if one is given, is what its FROM names."""


@dataclass
class Writes:
    """Carries out what writes, for one connection."""

    shards: Shards
    tables: Tables
    ask: Ask
    files: bool = False
    _writer: Writer | None = None

    @property
    def writer(self) -> Writer:
        """Writes values as text; opened when it is needed first."""
        self._writer = self._writer or Writer()
        return self._writer

    def close(self) -> None:
        """Free what was opened."""
        if self._writer is not None:
            self._writer.close()

    def run(self, statement: WriteStatement, parameters: Parameters, progress: Progress | None) -> int:
        """Return the number of rows that were inserted, updated, deleted or copied."""
        if isinstance(statement, Copy):
            return self._copy(statement, parameters, progress)
        table = self.table(statement.name, statement.name_position, statement.text)
        match statement:
            case Insert():
                return self._insert(statement, table, parameters, progress)
            case Update() | Delete():
                return self._change(statement, table, parameters, progress)

    def run_many(self, statement: Insert, sets: Sequence[Parameters], progress: Progress | None) -> int:
        """Insert the rows of VALUES for all parameter sets as one statement."""
        assert isinstance(statement.source, Values)
        table = self.table(statement.name, statement.name_position, statement.text)
        rows = many(statement.source, sets)
        return self._insert_values(statement, table, statement.source, rows, progress)

    def table(self, name: str, place: Position, text: str) -> Table:
        """Return a table that can be written."""
        try:
            table = self.tables.find(name)
        except ViewNamedError as error:
            error.hint = "write the table that it reads"
            raise located(error, place, text) from None
        except Error as error:
            raise located(error, place, text) from None
        require_writable(table, place, text)
        return table

    def target(self, table: Table, total: int, progress: Progress | None) -> Target:
        """Return what a statement needs to write; `total` is for progress."""
        report = progress or (lambda done, total: None)
        patience = Patience(self.shards.control)
        return Target(self.shards, self.writer, table, patience, lambda done: report(done, max(total, done)))

    def _insert(
        self, statement: Insert, table: Table, parameters: Parameters, progress: Progress | None
    ) -> int:
        statement, parameters = share_parameters(statement, parameters)
        source = statement.source
        if isinstance(source, Values):
            return self._insert_values(statement, table, source, cells(source, parameters), progress)
        answer = self.ask(source, parameters, None)
        named = statement.columns
        if statement.by_name:
            named = tuple((column.name, statement.name_position) for column in answer.columns)
        columns = insert_columns(table, statement, named)
        if len(columns) != len(answer.columns):
            raise ProgrammingError(
                f"the query gives {len(answer.columns)} columns for {len(columns)} of {table.name}",
                position=statement.name_position,
                text=statement.text,
            )
        assert answer.table is not None
        given = tuple(
            [Given(answer.table.column(index), column.type)] for index, column in enumerate(answer.columns)
        )
        items = _item_places(source, len(columns))

        def place(row: int, column: int) -> Position | None:
            return items[column] or statement.name_position

        incoming = Incoming(columns, given, answer.table.num_rows, statement.text, place)
        return self._write(statement, table, incoming, progress)

    def _insert_values(
        self,
        statement: Insert,
        table: Table,
        values: Values,
        rows: list[list[Cell]],
        progress: Progress | None,
    ) -> int:
        if statement.by_name:
            raise ProgrammingError(
                "VALUES have no names", position=statement.name_position, text=statement.text
            )
        columns = insert_columns(table, statement, statement.columns)
        require_width(values, len(columns), table.name)

        def place(row: int, column: int) -> Position | None:
            return place_of(values, [values.rows[row % len(values.rows)][column]])

        given = []
        for index, column in enumerate(columns):
            try:
                given.append(given_values(self.writer, column, [row[index] for row in rows]))
            except UnfitError as unfit:
                raise DataError(
                    f"row {unfit.row + 1:,}, column {column.name}: {unfit.why}",
                    position=place(unfit.row, index),
                    text=statement.text,
                ) from unfit
        incoming = Incoming(columns, tuple(given), len(rows), statement.text, place)
        return self._write(statement, table, incoming, progress)

    def _write(self, statement: Insert, table: Table, incoming: Incoming, progress: Progress | None) -> int:
        conflict = statement.conflict
        if conflict is not None:
            _check_target(table, conflict, statement.text)
            if conflict.kind == "update":
                sets = assigned(table, conflict, statement.text)
                if not _is_replace(incoming.columns, conflict, statement.text):
                    target = self.target(table, incoming.count, progress)
                    return Upsert(target, statement, conflict, sets, self._there).run(incoming)
        target = self.target(table, incoming.count, progress)
        kind = None if conflict is None else conflict.kind if conflict.kind != "update" else "replace"
        return insert(target, incoming, kind, statement.name_position)

    def _there(self, found: RowQuery) -> Answer:
        """Answer the query for the rows that an INSERT finds."""
        try:
            query = parse_query(found.composed.text, found.composed.text)
            return self.ask(query, None, found.table)
        except Error as error:
            raise _located(found, error, found.places[0]) from None

    def _copy(self, statement: Copy, parameters: Parameters, progress: Progress | None) -> int:
        if not self.files:
            raise NotSupportedError(
                "COPY of local files is not allowed on this connection",
                position=statement.file_position,
                text=statement.text,
                hint="connect(files=True); the command gearsql allows it",
            )
        if statement.goes_out:
            return write_file(statement, self._copied(statement, parameters))
        if statement.name is None or parameters:
            raise ProgrammingError(
                "COPY FROM is for a table, and takes no parameters",
                position=statement.position,
                text=statement.text,
            )
        table = self.table(statement.name, statement.position, statement.text)
        incoming = rows_of_file(statement, table)
        try:
            return insert(self.target(table, incoming.count, progress), incoming, None, statement.position)
        except KeyExistsError as error:
            error.hint = _COPY_HINT
            raise

    def _copied(self, statement: Copy, parameters: Parameters) -> Answer:
        if statement.query is not None:
            return self.ask(statement.query, parameters, None)
        items: list[Piece] = []
        for index, (_, place) in enumerate(statement.columns or ()):
            items += [", " if index else "", place]
        composed = Composed(statement.text, ("SELECT ", *(items or ["*"]), " FROM ", statement.position))
        try:
            query = parse_query(composed.text, composed.text)
            return self.ask(query, parameters, None)
        except Error as error:
            raise composed.locate(error, statement.position) from None

    def _change(
        self, statement: Update | Delete, table: Table, parameters: Parameters, progress: Progress | None
    ) -> int:
        place, text = statement.name_position, statement.text
        sets = assigned(table, statement, text) if isinstance(statement, Update) else ()
        try:
            found = row_query(statement, table, sets)
            query = parse_query(found.composed.text, found.composed.text)
        except Error as error:
            if error.text == text:
                raise
            raise found.composed.locate(error, place) from None

        def rows() -> Answer:
            try:
                return self.ask(query, parameters, found.table)
            except Error as error:
                raise _located(found, error, place) from None

        target = self.target(table, 0, progress)
        change = update if isinstance(statement, Update) else delete
        return change(target, found, rows, text, place)


def _item_places(query: AnyQuery, count: int) -> Sequence[Position | None]:
    """Where the query of an INSERT, which has its places in the statement, makes each of its columns."""
    items = query.syntax.select.get("select_list", [])
    if len(items) != count or any(item["class"] == "STAR" for item in items):
        return [None] * count
    return [query.syntax.position(item) for item in items]


def _located(found: RowQuery, error: Error, otherwise: Position) -> Error:
    """Let an error about the rows to write point into the statement, whose names alone it tells."""
    if KEY in error.message:
        place = found.places[0] if len(found.places) == 1 else otherwise
        return TypeMismatchError(AGGREGATES, position=place, text=found.composed.original)
    return found.composed.locate(error, otherwise)


def _check_target(table: Table, conflict: Conflict, text: str) -> None:
    """ON CONFLICT names the key's columns, all of them, or none."""
    if not conflict.target:
        return
    names = {fold(name) for name, _ in conflict.target}
    keys = {fold(c.name) for c in table.columns if not isinstance(c.source, FieldSource)}
    if names != keys:
        raise ProgrammingError(
            "a conflict is one of keys: name all columns of the key, or none",
            position=conflict.target[0][1],
            text=text,
            hint=f"ON CONFLICT ({', '.join(sorted(keys))})",
        )


def _is_replace(columns: Sequence[Column], conflict: Conflict, text: str) -> bool:
    """SET a = excluded.a, … of every field that the row brings is what INSERT OR REPLACE does."""
    fields = {fold(column.name) for column in columns if isinstance(column.source, FieldSource)}
    same = {
        fold(one.name)
        for one in conflict.sets
        if fold(text[one.value.start : one.value.end].replace(" ", "").replace('"', ""))
        == f"excluded.{fold(one.name)}"
    }
    return conflict.where is None and len(same) == len(conflict.sets) and same == fields
