"""COPY: a file of the client's ↔ a table. A DuckDB in which no query runs reads and writes the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from gearsql.answer import Answer
from gearsql.catalog.names import fold
from gearsql.catalog.table import Table
from gearsql.cluster.source import CSV, find_fault, header
from gearsql.cluster.write import column_of, with_keys
from gearsql.cluster.write_rows import Incoming
from gearsql.cluster.write_text import Given, decimal_text, nested_text
from gearsql.errors import DataError, Error, ProgrammingError
from gearsql.sql.constants import quote
from gearsql.sql.said import said
from gearsql.sql.stars import quote_name
from gearsql.sql.statements import Copy

_GLOB = "*?["
# DuckDB writes these as .5, which is no number for most others, the readers of hashes among them.
ALL_BEHIND_THE_POINT = frozenset(f"DECIMAL({digits},{digits})" for digits in range(1, 39))


def rows_of_file(statement: Copy, table: Table) -> Incoming:
    """Return a file's rows: by the names in the file, or in the order of the statement's columns."""
    file = Path(statement.file)
    if any(sign in statement.file for sign in _GLOB) or not file.is_file():
        what = "names no single file" if any(sign in statement.file for sign in _GLOB) else "is no file"
        raise DataError(f"{statement.file!r} {what}", position=statement.file_position, text=statement.text)
    with _database(statement) as database:
        names, read = _read(database, statement, table, file)
        found = read.to_arrow_table()
        types = [str(type_) for type_ in read.types]
    given = tuple([Given(found.column(index), type_)] for index, type_ in enumerate(types))
    place = statement.file_position
    if statement.columns is None:
        columns = tuple(column_of(table, name, place, statement.text) for name in names)
    else:
        columns = tuple(column_of(table, name, at, statement.text) for name, at in statement.columns)
    if len(columns) != len(names):
        raise ProgrammingError(
            f"the file has {len(names)} columns for {len(columns)} of {table.name}",
            position=place,
            text=statement.text,
        )
    with_keys(table, columns, statement.position, statement.text)
    return Incoming(columns, given, found.num_rows, statement.text, lambda row, column: place, "row")


def _csv_text(name: str, type_: str) -> str:
    """What COPY FROM reads back: DuckDB's own texts are not, of these."""
    if type_ in ALL_BEHIND_THE_POINT:
        return decimal_text(name)
    return nested_text(type_, name) or name


def write_file(statement: Copy, answer: Answer) -> int:
    """Write an answer's rows, and return how many."""
    assert answer.table is not None
    names = [f"c{index}" for index in range(len(answer.columns))]
    as_text = _csv_text if statement.options.form == "csv" else lambda name, type_: name
    items = [
        f"{as_text(name, column.type)} AS {quote_name(column.name)}"
        for name, column in zip(names, answer.columns, strict=True)
    ]
    options = [f"FORMAT {statement.options.form}"]
    if statement.options.form == "csv":
        options += [f"HEADER {statement.options.header}", f"DELIMITER {quote(statement.options.delimiter)}"]
        options += [f"NULLSTR {quote(statement.options.null or '')}"]
    with _database(statement) as database:
        database.register("answer", answer.table.rename_columns(names))
        target = quote(str(Path(statement.file)))
        database.execute(f"COPY (SELECT {', '.join(items)} FROM answer) TO {target} ({', '.join(options)})")
    return int(answer.table.num_rows)


@contextmanager
def _database(statement: Copy) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that reaches files, and loads nothing from elsewhere."""
    try:
        with duckdb.connect() as database:
            for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
                database.execute(f"SET {setting} = false")
            database.execute("SET python_enable_replacements = false")
            database.execute("SET enable_progress_bar = false")
            database.execute("SET GLOBAL TimeZone = 'UTC'")
            database.execute("SET arrow_lossless_conversion = true")
            yield database
    except duckdb.Error as error:
        fault: Error = DataError(f"{statement.file!r}: {said(error)}")
        if not statement.goes_out and statement.options.form == "csv":
            fault = find_fault(Path(statement.file), statement.options.delimiter, error)
        fault.position, fault.text = statement.file_position, statement.text
        raise fault from error
    except Error as error:
        if error.position is None:
            error.position, error.text = statement.file_position, statement.text
        raise


def _read(
    database: duckdb.DuckDBPyConnection, statement: Copy, table: Table, file: Path
) -> tuple[list[str], duckdb.DuckDBPyRelation]:
    match statement.options.form:
        case "parquet":
            read = database.sql("FROM read_parquet($file)", params={"file": str(file)})
            return read.columns, read
        case "json":
            text = "SELECT * FROM read_json($file, sample_size = -1, convert_strings_to_integers = false)"
            found = database.sql(text, params={"file": str(file)})
            names, seen = found.columns, map(str, found.types)
            columns = dict(zip(names, _json_types(statement, table, names, seen), strict=False))
            text = "FROM read_json($file, columns = $columns)"
            return names, database.sql(text, params={"file": str(file), "columns": columns})
        case "csv":
            names = _csv_names(statement, table, file)
            nulls = ["" if statement.options.null is None else statement.options.null]
            nulls += [value.decode(errors="replace") for value in table.null_values]
            parameters = {
                "file": str(file),
                "nulls": list(dict.fromkeys(nulls)),
                "delimiter": statement.options.delimiter,
                "columns": dict.fromkeys(names, "VARCHAR"),
            }
            text = CSV if statement.options.header else CSV.replace("header = true", "header = false")
            return names, database.sql(text, params=parameters)


def _json_types(statement: Copy, table: Table, names: list[str], seen: Iterable[str]) -> list[str]:
    """All is read as text, but JSON, which loses quotes there, and DECIMALs, whose numbers lose digits.

    `seen` are the types that DuckDB sees in the file.
    """
    types = {fold(column.name): column.type for column in table.columns}
    targets = names if statement.columns is None else [name for name, _ in statement.columns]
    wanted = [types.get(fold(name), "VARCHAR") for name in targets]
    return [
        type_ if "JSON" in type_ or _loses_digits(type_, found) else "VARCHAR"
        for type_, found in zip(wanted, seen, strict=False)
    ]


def _loses_digits(type_: str, found: str) -> bool:
    """Tell whether a file has numbers that would be DOUBLEs on their way to a text."""
    return "DECIMAL(" in type_ and ("DOUBLE" in found or "JSON" in found)


def _csv_names(statement: Copy, table: Table, file: Path) -> list[str]:
    if statement.options.header:
        return header(file, statement.options.delimiter)
    if statement.columns is not None:
        return [name for name, _ in statement.columns]
    return [column.name for column in table.columns]
