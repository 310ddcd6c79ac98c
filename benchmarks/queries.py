"""The four questions, how a client would answer each by itself, and the answers' judge: DuckDB."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

Number = int | float
Answer = dict[str, Number]
# Replies of HMGET in the order of Query.fields, some hundred at a time.
Batches = Iterable[Sequence[Sequence[bytes]]]

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Query:
    """One question: `sql` with a place for the table's name, and the same as a fold over values."""

    key: str
    title: str
    sql: str
    fields: tuple[str, ...]
    fold: Callable[[Batches], Mapping[bytes, Number]]
    exact: bool

    def text(self, table: str) -> str:
        """Return the SQL text over `table` (quoted already)."""
        return self.sql.format(table=table)


def _count(batches: Batches) -> Mapping[bytes, Number]:
    counts: Counter[bytes] = Counter()
    for batch in batches:
        counts.update([city for (city,) in batch])
    return counts


def _count_distinct(batches: Batches) -> Mapping[bytes, Number]:
    seen: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for batch in batches:
        for city, email in batch:
            seen[city].add(email)
    return {city: len(emails) for city, emails in seen.items()}


def _filtered_sum(batches: Batches) -> Mapping[bytes, Number]:
    sums: defaultdict[bytes, float] = defaultdict(float)
    for batch in batches:
        for city, score, age in batch:
            if int(age) > 40:
                sums[city] += float(score)
    return sums


def _expression_sum(batches: Batches) -> Mapping[bytes, Number]:
    sums: defaultdict[bytes, float] = defaultdict(float)
    for batch in batches:
        for city, score, age in batch:
            sums[city] += float(score) * 2 + int(age)
    return sums


COUNT = Query(
    "Q1", "count by city", "SELECT city, count(*) FROM {table} GROUP BY city", ("city",), _count, True
)
DISTINCT = Query(
    "Q2",
    "count(DISTINCT email) by city",
    "SELECT city, count(DISTINCT email) FROM {table} GROUP BY city",
    ("city", "email"),
    _count_distinct,
    True,
)
FILTERED = Query(
    "Q3",
    "sum(score) WHERE age > 40 by city",
    "SELECT city, sum(score) FROM {table} WHERE age > 40 GROUP BY city",
    ("city", "score", "age"),
    _filtered_sum,
    False,
)
EXPRESSION = Query(
    "Q4",
    "sum(score * 2 + age) by city",
    "SELECT city, sum(score * 2 + age) FROM {table} GROUP BY city",
    ("city", "score", "age"),
    _expression_sum,
    False,
)
QUERIES = (COUNT, DISTINCT, FILTERED, EXPRESSION)


class WrongAnswerError(Exception):
    """A peer's answer is not DuckDB's."""


def expected_answers(rows: pa.Table) -> dict[str, Answer]:
    """Return DuckDB's answer to every query, by the query's key."""
    with duckdb.connect() as connection:
        connection.register("users", rows)
        return {query.key: dict(connection.sql(query.text("users")).fetchall()) for query in QUERIES}


def check(query: Query, answer: Answer, expected: Answer) -> None:
    """Raise WrongAnswerError unless counts are equal, and sums equal within 1e-6 of their size."""
    if answer.keys() != expected.keys():
        raise WrongAnswerError(f"{query.key}: {len(answer)} groups, expected {len(expected)}")
    tolerance = 0.0 if query.exact else TOLERANCE
    for city, value in expected.items():
        if not math.isclose(answer[city], value, rel_tol=tolerance):
            raise WrongAnswerError(f"{query.key}: {city} is {answer[city]}, expected {value}")
