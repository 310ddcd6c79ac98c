"""Random tables and queries, made of pieces that DuckDB answers in one way only."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import strategies as st

MOST_ROWS = 40
TEXTS = [
    "",
    "0",
    "a",
    "A",
    "b",
    "ab",
    "é",
    "日本",
    "a\0b",
    " a",
    "a ",
    "'",
    '"',
    "%",
    "007",
    "NULL",
    "\r\n",
    "😀",
]
DOUBLES = [0.0, 1.5, -2.25, 1e10, 0.1, 3.0, float("inf"), float("nan")]

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63), 1000]),
    "SMALLINT": st.integers(-3, 3) | st.sampled_from([32767, -32768]),
    "UINTEGER": st.integers(0, 4) | st.just(2**32 - 1),
    "HUGEINT": st.integers(-4, 4) | st.sampled_from([2**100, -(2**100)]),
    "DOUBLE": st.sampled_from(DOUBLES),
    "DECIMAL(9,2)": st.integers(-500, 500).map(lambda n: Decimal(n) / 100),
    "VARCHAR": st.sampled_from(TEXTS),
    "BLOB": st.sampled_from([b"", b"\0", b"\xff\xfe", b"a", b"ab"]),
    "BOOLEAN": st.booleans(),
    "DATE": st.dates(datetime.date(2024, 2, 27), datetime.date(2024, 3, 2)),
    "TIMESTAMP": st.datetimes(datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 3)),
}

# What can be done with a column {0} of a type: values, conditions, aggregates; each has one right answer.
ANY_EXPRESSIONS = ["{0}", "{0} IS NULL", "coalesce({0}, {0})", "CASE WHEN {0} IS NULL THEN 1 ELSE 2 END"]
ANY_CONDITIONS = [
    "{0} IS NOT NULL",
    "{0} IS NULL",
    "{0} = {0}",
    "{0} IS NOT DISTINCT FROM {0}",
    "NOT ({0} < {0})",
]
ANY_AGGREGATES = [
    *("count({0})", "count(DISTINCT {0})", "min({0})", "max({0})", "approx_count_distinct({0})"),
    *("list({0} ORDER BY n)", "list(DISTINCT {0} ORDER BY {0})", "arg_max({0}, n)", "arg_min({0}, n)"),
    *(
        "count(*) FILTER (WHERE {0} IS NOT NULL)",
        "count(DISTINCT ({0}, n % 3))",
        "first({0} ORDER BY n DESC)",
    ),
]
NUMBER_EXPRESSIONS = ["{0} + 1", "-({0} / 2)", "abs({0} / 3)", "{0}::VARCHAR", "{0} > 0", "greatest({0}, 2)"]
NUMBER_CONDITIONS = ["{0} > 0", "{0} BETWEEN -1 AND 2", "{0} IN (0, 1)", "{0} <> 1 OR {0} IS NULL"]
NUMBER_AGGREGATES = ["median({0})", "quantile_disc({0}, 0.3)", "max({0}) > min({0})"]
INTEGER_AGGREGATES = [
    "sum({0} % 100 / 4)",
    "avg({0} % 7)",
    "stddev({0} % 5)",
    "bit_xor({0})",
    "sum(DISTINCT {0} % 100)",
]
TEXT_EXPRESSIONS = ["upper({0})", "length({0})", "{0} || '!'", "substr({0}, 1, 1)", "{0} = ''", "md5({0})"]
TEXT_CONDITIONS = ["{0} > 'a'", "{0} LIKE 'a%'", "{0} IN ('', '0')", "length({0}) > 1", "{0} ILIKE '%A%'"]
TEXT_AGGREGATES = ["string_agg({0}, '|' ORDER BY n)", "string_agg(DISTINCT {0}, ',' ORDER BY {0})"]
DATE_EXPRESSIONS = ["date_trunc('month', {0})", "month({0})", "{0}::VARCHAR", "{0} + INTERVAL 1 DAY"]
DATE_CONDITIONS = ["{0} > DATE '2024-01-02'", "day({0}) % 2 = 0"]
FLAG_EXPRESSIONS = ["NOT {0}", "{0}::INTEGER", "{0} AND n > 3"]
FLAG_CONDITIONS = ["{0}", "NOT {0}", "{0} IS NOT TRUE"]
FLAG_AGGREGATES = ["bool_and({0})", "bool_or({0})", "count_if({0})"]

PIECES: dict[str, tuple[list[str], list[str], list[str]]] = {
    **dict.fromkeys(
        ("BIGINT", "SMALLINT", "HUGEINT"),
        (["{0} % 3", "{0} // 2"], NUMBER_CONDITIONS, [*NUMBER_AGGREGATES, *INTEGER_AGGREGATES]),
    ),
    "UINTEGER": (["{0} % 3", "{0} // 2"], ["{0} > 0"], [*NUMBER_AGGREGATES, "sum({0})", "avg({0})"]),
    "DOUBLE": (NUMBER_EXPRESSIONS[3:], NUMBER_CONDITIONS, NUMBER_AGGREGATES),
    "DECIMAL(9,2)": (NUMBER_EXPRESSIONS, NUMBER_CONDITIONS, [*NUMBER_AGGREGATES, "sum({0})", "avg({0})"]),
    "VARCHAR": (TEXT_EXPRESSIONS, TEXT_CONDITIONS, TEXT_AGGREGATES),
    "BLOB": (["octet_length({0})", "hex({0})"], ["{0} > 'a'::BLOB"], []),
    "BOOLEAN": (FLAG_EXPRESSIONS, FLAG_CONDITIONS, FLAG_AGGREGATES),
    "DATE": (DATE_EXPRESSIONS, DATE_CONDITIONS, ["median({0})", "quantile_disc({0}, 0.5)"]),
    "TIMESTAMP": (DATE_EXPRESSIONS, DATE_CONDITIONS, ["quantile_disc({0}, 0.5)"]),
}

Row = tuple[Any, ...]


@dataclass(frozen=True)
class World:
    """A table `t` with a column n = 0, 1, … that is never NULL, and what its queries are made of."""

    columns: dict[str, str]
    rows: Sequence[Row]
    seed: int


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a schema and rows."""
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    columns = {f"c{i}": type_ for i, type_ in enumerate(types)}
    row = st.tuples(*(st.none() | VALUES[type_] for type_ in types))
    rows = draw(st.lists(row, max_size=MOST_ROWS))
    return World({"n": "BIGINT", **columns}, rows, draw(st.integers(0, 2**32)))


def query(world: World, number: int) -> str:
    """Write one of a world's queries."""
    return Writer(Random(f"{world.seed} {number}"), world.columns).query()


@dataclass
class Writer:
    """Writes one query over `t`."""

    random: Random
    columns: dict[str, str]

    def query(self) -> str:
        return self.random.choice([self.plain, self.distinct, self.whole, self.grouped, self.grouped])()

    def plain(self) -> str:
        """Rows, perhaps the first ones in their order."""
        return f"SELECT {', '.join(self.some(self.value, 3))} FROM t{self.where()}{self.order()}"

    def distinct(self) -> str:
        return f"SELECT DISTINCT {', '.join(self.some(self.value, 2))} FROM t{self.where()}"

    def whole(self) -> str:
        """Aggregates of all rows."""
        return f"SELECT {', '.join(self.some(self.aggregate, 4))} FROM t{self.where()}"

    def grouped(self) -> str:
        """Aggregates by one or two expressions, which order the groups without ties."""
        keys = [f"{key} AS k{i}" for i, key in enumerate(self.some(self.value, 2))]
        names = ", ".join(f"k{i}" for i in range(len(keys)))
        having = ["", " HAVING count(*) > 1", f" HAVING {self.aggregate()} IS NOT NULL"]
        order = ["", f" ORDER BY {names}", f" ORDER BY {names} LIMIT 3", f" ORDER BY {names} OFFSET 2"]
        items = ", ".join(keys + self.some(self.aggregate, 3))
        tail = f"GROUP BY {names}{self.random.choice(having)}{self.random.choice(order)}"
        return f"SELECT {items} FROM t{self.where()} {tail}"

    def some(self, make: Callable[[], str], most: int) -> list[str]:
        return [make() for _ in range(self.random.randint(1, most))]

    def value(self) -> str:
        return self._piece(0, ANY_EXPRESSIONS, ["n % 4"])

    def aggregate(self) -> str:
        call = self._piece(2, ANY_AGGREGATES, ["count(*)", "sum(n)", "avg(n)", "var_pop(n)"])
        may_filter = call.endswith(")") and "FILTER" not in call and " > " not in call
        return f"{call} FILTER (WHERE {self.condition()})" if may_filter and self._half() else call

    def condition(self) -> str:
        return self._piece(1, ANY_CONDITIONS, ["n % 2 = 0", "n > 5", "n < 0"])

    def where(self) -> str:
        one = self.condition()
        two = f"({one}) {self.random.choice(['AND', 'OR'])} ({self.condition()})"
        return self.random.choice(["", f" WHERE {one}", f" WHERE {two}"])

    def order(self) -> str:
        """No order, or one without ties, cut or not."""
        if self._half():
            return ""
        way = self.random.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
        cut = self.random.choice(["", " LIMIT 5", " LIMIT 3 OFFSET 2", " OFFSET 4", " LIMIT 0"])
        return f" ORDER BY {self.random.choice(list(self.columns))}{way}, n{cut}"

    def _half(self) -> bool:
        return self.random.random() < 0.5

    def _piece(self, index: int, common: list[str], own: list[str]) -> str:
        found = [
            piece.format(name)
            for name, type_ in self.columns.items()
            for piece in (*common, *PIECES[type_][index])
        ]
        return self.random.choice(found + own)
