"""A CSV or Parquet file as rows. Nothing is guessed: a CSV file is RFC 4180 with a header, or an error.

DuckDB reads the file; where it refuses a CSV file, Python's reader finds the place for the error.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path

import duckdb

from gearsql.catalog.names import fold
from gearsql.cluster.replies import shown
from gearsql.errors import DataError
from gearsql.sql.said import said

CSV = """FROM read_csv($file, auto_detect = false, header = true, strict_mode = true, columns = $columns,
    delim = $delimiter, quote = '"', escape = '"', nullstr = $nulls, allow_quoted_nulls = false)"""
QUOTE_HINT = 'a quote inside of a quoted value is doubled: "a ""b"""'
OTHER_DELIMITERS = (";", "\t", "|")


def read_file(
    connection: duckdb.DuckDBPyConnection, file: Path, nulls: Sequence[str], delimiter: str
) -> duckdb.DuckDBPyRelation:
    """Return the rows of a Parquet file, or of a CSV file with every value as text."""
    if is_parquet(file):
        return connection.sql("FROM read_parquet($file)", params={"file": str(file)})
    columns = dict.fromkeys(header(file, delimiter), "VARCHAR")
    options = {"file": str(file), "nulls": ["", *nulls], "delimiter": delimiter, "columns": columns}
    return connection.sql(CSV, params=options)


def is_parquet(file: Path) -> bool:
    """Tell by the file's name."""
    return file.suffix.lower() in (".parquet", ".pq")


def find_fault(file: Path, delimiter: str, reason: duckdb.Error) -> DataError:
    """Return the error for a file that DuckDB does not read, with its place where that is known."""
    if not is_parquet(file):
        try:
            _check_lines(file, delimiter)
        except DataError as error:
            return error
    return DataError(f"cannot read {file}: {said(reason)}")


def header(file: Path, delimiter: str) -> list[str]:
    """Return the names in the first line of a CSV file."""
    line, names = next(_lines(file, delimiter), (1, []))
    folded = [fold(name) for name in names]
    for index, name in enumerate(names):
        if not name:
            raise DataError(f"{file}, line {line}: column {index + 1} of {len(names)} has no name")
        if folded.index(folded[index]) < index:
            raise DataError(f"{file}, line {line}: column {name} is there twice", hint="rename one of them")
        _check_text(file, line, name, name)
    if not names:
        raise DataError(f"{file}, line 1: there are no column names")
    if len(names) == 1 and (other := next((sign for sign in OTHER_DELIMITERS if sign in names[0]), None)):
        raise DataError(
            f"{file}, line {line}: one column, {names[0]!r}", hint=f"--delimiter {other!r} if that splits it"
        )
    return names


def _check_lines(file: Path, delimiter: str) -> None:
    names = header(file, delimiter)
    for line, values in _lines(file, delimiter):
        if values and len(values) != len(names):
            plural = "" if len(values) == 1 else "s"
            beyond = "" if len(values) > len(names) else f": column {names[len(values)]} has none"
            raise DataError(
                f"{file}, line {line}: {len(values)} value{plural} for {len(names)} columns{beyond}",
                hint='put a value that holds the delimiter into double quotes: "a,b"',
            )
        for name, value in zip(names, values, strict=False):
            _check_text(file, line, name, value)


def _check_text(file: Path, line: int, name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raw = value.encode(errors="surrogateescape")
        message = f"{file}, line {line}, column {name!a}: {shown(raw)} is not UTF-8"
        raise DataError(message, hint="convert the file, by iconv for instance") from None


def _lines(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line."""
    csv.field_size_limit(sys.maxsize)
    with TextIOWrapper(
        gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb"),
        encoding="utf-8-sig",
        errors="surrogateescape",
        newline="",
    ) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        line = 1
        try:
            for values in reader:
                yield line, values
                line = reader.line_num + 1
        except csv.Error as error:
            ended = "unexpected end" in str(error)
            what = "a quoted value does not end" if ended else "text follows the end of a quoted value"
            raise DataError(f"{file}, line {line}: {what}", hint=QUOTE_HINT) from error
        except (OSError, EOFError) as error:
            raise DataError(f"cannot read {file}: {error}") from error
