"""SUMMARIZE: one query of aggregates for all columns, split as any other; its row becomes rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gearsql.sql.bound import ResultColumn
from gearsql.sql.composed import Composed, Piece
from gearsql.sql.ddl_words import Words, blanked, require_syntax
from gearsql.sql.statements import AnyQuery, Summarize

COLUMNS = (
    ResultColumn("column_name", "VARCHAR"),
    ResultColumn("column_type", "VARCHAR"),
    ResultColumn("min", "VARCHAR"),
    ResultColumn("max", "VARCHAR"),
    ResultColumn("approx_unique", "BIGINT"),
    ResultColumn("avg", "VARCHAR"),
    ResultColumn("std", "VARCHAR"),
    ResultColumn("q25", "VARCHAR"),
    ResultColumn("q50", "VARCHAR"),
    ResultColumn("q75", "VARCHAR"),
    ResultColumn("count", "BIGINT"),
    ResultColumn("null_percentage", "DECIMAL(9,2)"),
)
QUERIES = ("SELECT", "FROM", "WITH", "VALUES", "(", "PIVOT", "PIVOT_WIDER", "UNPIVOT")
"""A query begins so."""
OF_A_COLUMN = len(COLUMNS) - 2

_NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
)
_TIMES = (
    *("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
    *("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE"),
)

Read = Callable[[str, str], AnyQuery]


def parse_summarize(text: str, read: Read) -> Summarize:
    """Parse SUMMARIZE table, or SUMMARIZE query."""
    require_syntax(text)
    words = Words(text)
    words.expect("SUMMARIZE")
    if any(words.sees(word) for word in QUERIES):
        span = words.span_until()
        return Summarize(text, span, read(text, blanked(text, span)))
    _, place = words.name("a table")
    words.end()
    return Summarize(text, place, None)


def all_columns(statement: Summarize) -> Composed:
    """Return the query whose columns are summarised."""
    if statement.query is not None:
        return Composed(statement.text, (statement.source,))
    return Composed(statement.text, ("SELECT * FROM ", statement.source))


def summary(statement: Summarize, columns: Sequence[ResultColumn]) -> Composed:
    """Return the query for the summary's row: OF_A_COLUMN values for each column."""
    items = ", ".join(item for column in columns for item in _items(column))
    source: tuple[Piece, ...] = (statement.source,)
    if statement.query is not None:
        source = ("(", statement.source, ") AS summarized")
    return Composed(statement.text, (f"SELECT {items} FROM ", *source))


def _items(column: ResultColumn) -> list[str]:
    name = '"' + column.name.replace('"', '""') + '"'
    # What ends otherwise is a list of such.
    kind = "" if column.type.endswith("]") else column.type.partition("(")[0]
    number, time = kind in _NUMBERS, kind in _TIMES
    mean = f"CAST({name} AS TIMESTAMP)" if kind == "DATE" else name
    quantiles = [
        f"approx_quantile({name}, {share})" if number or time else "NULL" for share in (0.25, 0.5, 0.75)
    ]
    texts = [
        f"min({name})",
        f"max({name})",
        f"avg({mean})" if number or time else "NULL",
        f"stddev(CAST({name} AS DOUBLE))" if number else "NULL",
        *quantiles,
    ]
    cast = [f"CAST({text} AS VARCHAR)" for text in texts]
    missing = f"CAST((1.0 - CAST(count({name}) AS DOUBLE) / nullif(count(*), 0)) * 100 AS DECIMAL(9,2))"
    return [*cast[:2], f"approx_count_distinct({name})", *cast[2:], "count(*)", missing]
