"""An answer as text: table, csv, json, jsonl, vertical. Every format is a generator of lines.

Text forms are DuckDB's own: true, 2013-01-01 05:00:00, [1, 2], BLOBs as \\xAA. In csv NULL is nothing and the
empty text is "". For JSON see json_text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from rich.cells import cell_len

from gearsql.cli.json_text import json_line, moments_as_text, unique_names
from gearsql.dbapi import NUMBER
from gearsql.dbapi.rows import Rows

Lines = Iterator[str]
Text = str | None
BATCH = 1000
CONTROL = {code: f"\\x{code:02X}" for code in (*range(32), *range(127, 160))} | {
    10: "\\n",
    13: "\\r",
    9: "\\t",
}


def table(answer: pa.Table, types: Sequence[str]) -> Lines:
    """A grid; nothing is cut, control characters are escaped, NULL is written out, numbers stand right."""
    names, rows = _shown(answer.column_names), [_shown(row) for row in _texts(answer, types)]
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    right = [type_ == NUMBER and type_ != "BOOLEAN" for type_ in types]
    yield _rule("┌┬┐", widths)
    yield _row(names, widths, [False] * len(names))
    yield _rule("├┼┤", widths)
    for row in rows:
        yield _row(row, widths, right)
    yield _rule("└┴┘", widths)
    yield f"({len(rows)} row{'' if len(rows) == 1 else 's'})"


def plan_lines(answer: pa.Table, types: Sequence[str]) -> Lines:
    """The lines of an EXPLAIN, of which some hold SQL too long for a grid."""
    for row in _texts(answer, types):
        yield from _shown(row)


def property_lines(answer: pa.Table, types: Sequence[str]) -> Lines:
    """Names and values, of which one may be a text of many lines: the source of a function."""
    rows = [*_texts(answer, types)]
    width = max(cell_len(str(name)) for name, _ in rows)
    for name, value in rows:
        first, *rest = _shown((value or "").strip("\n").split("\n"))
        yield f"{_padded(str(name), width, True)}  {first}".rstrip()
        yield from (f"{' ' * width}  {line}".rstrip() for line in rest)


def vertical(answer: pa.Table, types: Sequence[str]) -> Lines:
    """One line for each value."""
    names = _shown(answer.column_names)
    width = max(map(cell_len, names))
    for number, row in enumerate(_texts(answer, types), 1):
        yield f"─[ row {number} ]".ljust(width + 12, "─")
        for name, value in zip(names, _shown(row), strict=True):
            yield f"{_padded(name, width, True)}  {value}"


def csv_lines(answer: pa.Table, types: Sequence[str]) -> Lines:
    """RFC 4180 with a header; lines end in \\n."""
    yield _csv_line(answer.column_names)
    yield from map(_csv_line, _texts(answer, types))


def jsonl(answer: pa.Table, types: Sequence[str]) -> Lines:
    """One object for each row."""
    names = unique_names(answer.column_names)
    rows = Rows(answer, types, [moments_as_text(type_) for type_ in types])
    while batch := rows.many(BATCH):
        for row in batch:
            yield json_line(names, row)


def json(answer: pa.Table, types: Sequence[str]) -> Lines:
    """One array of objects."""
    before = "["
    for line in jsonl(answer, types):
        yield before + line if before == "[" else f"{before}{line}"
        before = ","
    yield "[]" if before == "[" else "]"


Format = Callable[[pa.Table, Sequence[str]], Lines]

FORMATS: dict[str, Format] = {
    "table": table,
    "csv": csv_lines,
    "json": json,
    "jsonl": jsonl,
    "vertical": vertical,
}


def _texts(answer: pa.Table, types: Sequence[str]) -> Iterator[Sequence[Text]]:
    """Every value as DuckDB casts it to text."""
    rows = Rows(answer, types, ["VARCHAR"] * len(types))
    while batch := rows.many(BATCH):
        yield from batch


def _shown(values: Sequence[Text]) -> list[str]:
    return ["NULL" if value is None else value.translate(CONTROL) for value in values]


def _rule(ends: Sequence[str], widths: Sequence[int]) -> str:
    left, middle, right = ends
    return left + middle.join("─" * (width + 2) for width in widths) + right


def _row(values: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = (
        f" {_padded(value, width, not at_right)} "
        for value, width, at_right in zip(values, widths, right, strict=True)
    )
    return "│" + "│".join(cells) + "│"


def _padded(value: str, width: int, at_left: bool) -> str:
    blanks = " " * (width - cell_len(value))
    return value + blanks if at_left else blanks + value


def _csv_line(values: Sequence[Text]) -> str:
    return ",".join(map(_csv_field, values))


def _csv_field(value: Text) -> str:
    if value is None:
        return ""
    if value == "":
        return '""'
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([value])
    return line.getvalue()
