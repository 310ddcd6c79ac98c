"""What a text can say: one dataclass for each statement. Positions are offsets into the whole text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gearsql.catalog.function import Function
from gearsql.catalog.table import Cast, Column, KeyTemplate, KeyType, OnError
from gearsql.catalog.view import View
from gearsql.errors import Position
from gearsql.sql.pivots import Opened
from gearsql.sql.syntax import Node, Syntax


@dataclass(frozen=True)
class CreateTable:
    """CREATE TABLE. `columns` is None if the list was left out: then they are inferred at creation.

    A given `columns` is whole: the template's placeholders are in it (catalog.template.with_placeholders).
    """

    text: str
    name: str
    name_position: Position
    columns: tuple[Column, ...] | None
    keys: KeyTemplate
    on_error: OnError = "error"
    null_values: tuple[bytes, ...] = ()
    replace: bool = False
    if_not_exists: bool = False
    type: KeyType = "hash"
    cast: Cast = "strict"


@dataclass(frozen=True)
class DropTable:
    """DROP TABLE."""

    text: str
    name: str
    name_position: Position
    if_exists: bool = False


@dataclass(frozen=True)
class ShowTables:
    """SHOW TABLES."""

    text: str


@dataclass(frozen=True)
class Describe:
    """DESCRIBE name."""

    text: str
    name: str
    name_position: Position


@dataclass(frozen=True)
class CreateFunction:
    """CREATE FUNCTION; `source_position` is the literal that holds the Python, quotes and all."""

    text: str
    function: Function
    name_position: Position
    source_position: Position
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class DropFunction:
    """DROP FUNCTION."""

    text: str
    name: str
    name_position: Position
    if_exists: bool = False


@dataclass(frozen=True)
class ShowFunctions:
    """SHOW FUNCTIONS."""

    text: str


@dataclass(frozen=True)
class DescribeFunction:
    """DESCRIBE FUNCTION name."""

    text: str
    name: str
    name_position: Position


@dataclass(frozen=True)
class Query:
    """A SELECT that is a block (blocks.py). `table_name` is what to look up before bind: a name or a glob.

    It is None if only a table function stands in FROM; `table_position` is that one's then. `calls` are the
    functions that DuckDB does not know, for the caller to look up. `timed`: it reads the clock, and is bound
    anew each time.
    """

    text: str
    syntax: Syntax
    table_name: str | None
    table_position: Position
    calls: tuple[str, ...] = ()
    timed: bool = False


@dataclass(frozen=True)
class Source:
    """A table's name, or a glob, as it stands in FROM."""

    name: str
    position: Position


@dataclass(frozen=True)
class WideQuery:
    """A SELECT that is no block (blocks.py). `sources` are what to look up before bind_wide, each once.

    `opened`: a PIVOT in it lacks its values (pivots.py). It becomes another query before it is bound, and has
    no sources. `written` is the user's query, if views have had their texts written into it: its items give
    the names of columns.
    """

    text: str
    syntax: Syntax
    sources: tuple[Source, ...]
    calls: tuple[str, ...] = ()
    timed: bool = False
    opened: Opened | None = None
    written: Syntax | None = None

    @property
    def names_text(self) -> str:
        """The text that names the columns, beside `text`."""
        return self.written.text if self.written else ""


AnyQuery = Query | WideQuery


def sources_of(query: AnyQuery) -> tuple[Source, ...]:
    """What a query names in FROM, each once."""
    if isinstance(query, WideQuery):
        return query.sources
    return () if query.table_name is None else (Source(query.table_name, query.table_position),)


@dataclass(frozen=True)
class Explain:
    """EXPLAIN query; the query's positions point into the same text. With ANALYZE it runs."""

    text: str
    query: AnyQuery
    analyze: bool = False


Named = tuple[str, Position]


@dataclass(frozen=True)
class Values:
    """VALUES of an INSERT: DuckDB's nodes of the expressions, row by row."""

    text: str
    syntax: Syntax
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Assignment:
    """`name = value` of a SET; `value` is a span."""

    name: str
    position: Position
    value: Position


@dataclass(frozen=True)
class Conflict:
    """What an INSERT does with a key that exists; `target` are the columns that ON CONFLICT names.

    `constants` stand for the parameters of SET and WHERE, at their spans.
    """

    kind: Literal["nothing", "replace", "update"]
    position: Position
    target: tuple[Named, ...] = ()
    sets: tuple[Assignment, ...] = ()
    where: Position | None = None
    constants: tuple[tuple[Position, str], ...] = ()


@dataclass(frozen=True)
class Insert:
    """INSERT; `conflict` None: an existing key is an error."""

    text: str
    name: str
    name_position: Position
    columns: tuple[Named, ...] | None
    source: AnyQuery | Values
    conflict: Conflict | None = None
    by_name: bool = False


@dataclass(frozen=True)
class Update:
    """UPDATE; `alias` and `where` are spans."""

    text: str
    name: str
    name_position: Position
    alias: Position | None
    sets: tuple[Assignment, ...]
    where: Position | None


@dataclass(frozen=True)
class Delete:
    """DELETE; `alias` and `where` are spans."""

    text: str
    name: str
    name_position: Position
    alias: Position | None
    where: Position | None


@dataclass(frozen=True)
class CreateView:
    """CREATE VIEW; `query` is that of the view, at its place in the text."""

    text: str
    view: View
    name_position: Position
    query: AnyQuery
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class DropView:
    """DROP VIEW."""

    text: str
    name: str
    name_position: Position
    if_exists: bool = False


Form = Literal["csv", "parquet", "json"]


@dataclass(frozen=True)
class CopyOptions:
    """How a file is written; `null` is a text for NULL in CSV, None: nothing between the delimiters."""

    form: Form
    header: bool = True
    delimiter: str = ","
    null: str | None = None


@dataclass(frozen=True)
class Copy:
    """COPY of a table, or of a query (`name` is None, `position` its place), to a file or from one."""

    text: str
    name: str | None
    position: Position
    columns: tuple[Named, ...] | None
    query: AnyQuery | None
    file: str
    file_position: Position
    goes_out: bool
    options: CopyOptions


@dataclass(frozen=True)
class Summarize:
    """SUMMARIZE; `source` is the span of the table's name, or of `query`."""

    text: str
    source: Position
    query: AnyQuery | None


@dataclass(frozen=True)
class DescribeQuery:
    """DESCRIBE query."""

    text: str
    query: AnyQuery


ViewStatement = CreateView | DropView
WriteStatement = Insert | Update | Delete | Copy
TableStatement = CreateTable | DropTable | ShowTables | Describe
FunctionStatement = CreateFunction | DropFunction | ShowFunctions | DescribeFunction
Statement = (
    TableStatement
    | FunctionStatement
    | ViewStatement
    | Summarize
    | DescribeQuery
    | WriteStatement
    | AnyQuery
    | Explain
)
