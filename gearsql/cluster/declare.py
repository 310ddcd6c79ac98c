"""Our own statements, carried out: those about tables on the catalog, those about functions on the shards."""

from __future__ import annotations

import duckdb

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.hook_types import nested_type
from gearsql.catalog.table import (
    Column,
    ConstantSource,
    ElementSource,
    FieldSource,
    Glob,
    KeySource,
    KeyTemplate,
    PlaceholderSource,
    Table,
)
from gearsql.catalog.view import ViewNamedError
from gearsql.cluster.declare_functions import declare_function
from gearsql.cluster.functions import Functions
from gearsql.cluster.listing import Listing, located
from gearsql.cluster.tables import Tables
from gearsql.errors import Error, InternalError, ProgrammingError
from gearsql.sql.statements import (
    CreateTable,
    Describe,
    DropTable,
    FunctionStatement,
    ShowTables,
    TableStatement,
)

__all__ = ["declare", "located"]


def declare(
    tables: Tables, functions: Functions, statement: TableStatement | FunctionStatement
) -> Listing | None:
    """Carry out a statement; None: it has no rows."""
    match statement:
        case CreateTable():
            _create(tables, statement)
            return None
        case DropTable():
            _drop(tables, statement)
            return None
        case ShowTables():
            return _show(tables)
        case Describe():
            return _describe(tables, statement)
        case _:
            return declare_function(functions, statement)


def _create(tables: Tables, statement: CreateTable) -> None:
    table = Table(
        statement.name,
        statement.keys,
        _columns(tables, statement),
        declared=True,
        on_error=statement.on_error,
        null_values=statement.null_values,
        type=statement.type,
        cast=statement.cast,
    )
    try:
        tables.catalog.create(table, replace=statement.replace, if_not_exists=statement.if_not_exists)
    except Error as error:
        raise located(error, statement.name_position, statement.text) from None


def _columns(tables: Tables, statement: CreateTable) -> tuple[Column, ...]:
    if statement.columns is not None:
        return statement.columns
    columns = tables.columns_of(statement.keys)
    if len(columns) > len(statement.keys.placeholders):
        return columns
    pattern = scan_pattern(statement.keys).decode(errors="replace")
    raise ProgrammingError(
        f"no hash has a key like {pattern}, so there is nothing to infer columns from",
        position=statement.name_position,
        text=statement.text,
        hint=f"list the columns: CREATE TABLE {statement.name} (name VARCHAR, …) WITH (…)",
    )


def _drop(tables: Tables, statement: DropTable) -> None:
    try:
        tables.catalog.drop(statement.name, if_exists=statement.if_exists)
    except ViewNamedError as error:
        error.hint = f"DROP VIEW {statement.name}"
        raise located(error, statement.name_position, statement.text) from None
    except Error as error:
        raise located(error, statement.name_position, statement.text) from None


def _show(tables: Tables) -> Listing:
    rows: list[tuple[str, str, str]] = []
    for name in tables.catalog.names():
        try:
            if table := tables.catalog.find(name):
                rows.append((table.name, shown_keys(table.keys), table.type))
        except ViewNamedError as found:
            rows.append((found.view.name, f"view: {' '.join(found.view.text.split())}", "view"))
    return Listing(("name", "key", "type"), tuple(rows))


def _describe(tables: Tables, statement: Describe) -> Listing:
    try:
        table = tables.find(statement.name)
    except ViewNamedError:
        raise
    except Error as error:
        raise located(error, statement.name_position, statement.text) from None
    rows = tuple(
        (column.name, shown_type(column.type), _shown_source(column, table)) for column in table.all_columns
    )
    return Listing(("column_name", "column_type", "source"), rows)


def shown_type(type_: str) -> str:
    """Return a column's type as DuckDB spells it: names in quotes only where they need them."""
    return type_ if nested_type(type_) is None else str(duckdb.sqltype(type_))


def shown_keys(keys: KeyTemplate | Glob) -> str:
    """Return a glob as it is, a template as a user writes it."""
    if isinstance(keys, Glob):
        return keys.pattern.decode(errors="replace")
    literals = [literal.decode(errors="replace") for literal in keys.literals]
    escaped = [literal.replace("{", "{{").replace("}", "}}") for literal in literals]
    names = [f"{{{name}}}" for name in keys.placeholders]
    return escaped[0] + "".join(name + literal for name, literal in zip(names, escaped[1:], strict=True))


_ELEMENTS = {"string": "string", "set": "member", "list": "element", "zset": "member"}


def _shown_source(column: Column, table: Table) -> str:
    match column.source:
        case KeySource():
            return "key"
        case PlaceholderSource(index):
            assert isinstance(table.keys, KeyTemplate)
            return f"key, {{{table.keys.placeholders[index]}}}"
        case ConstantSource():
            raise InternalError("only scans have columns of one text")
        case FieldSource(field):
            what = "member" if table.type == "json" else "field"
            return f"{what} {field.decode(errors='replace')}"
        case ElementSource(part):
            return "id of the entry" if table.type == "stream" else f"{part} of the {_ELEMENTS[table.type]}"
