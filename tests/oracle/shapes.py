"""Random queries of any shape over a few small tables, each with one right answer.

DuckDB and GearsSQL may see rows in any order: what is cut or numbered is ordered by all there is, so that
rows that tie are the same rows. Doubles are multiples of 2⁻¹⁰, whose sums are exact; what is not, like avg,
is shown only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.oracle.shapes_from import Sources
from tests.oracle.shapes_words import (
    AGGREGATES,
    COLUMNS,
    KINDS,
    LITERALS,
    MOST_ROWS,
    NESTED,
    STEADY,
    VALUES,
    WINDOWS,
    Columns,
)


@dataclass(frozen=True)
class Table:
    """A table with a column n = 0, 1, … that is never NULL."""

    columns: Mapping[str, str]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class World:
    """Tables w0, w1, …, and what their queries are made of."""

    tables: Mapping[str, Table]
    seed: int


@st.composite
def tables(draw: st.DrawFn) -> Table:
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=2, max_size=5, unique=True))
    types = {name: draw(st.sampled_from(COLUMNS[name][1])) for name in names}
    row = st.tuples(*(st.none() | COLUMNS[name][2] | COLUMNS[name][2] for name in names))
    rows = draw(st.lists(row, max_size=MOST_ROWS))
    return Table({"n": "BIGINT", **types}, [(n, *row) for n, row in enumerate(rows)])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    drawn = draw(st.lists(tables(), min_size=2, max_size=3))
    return World({f"w{number}": table for number, table in enumerate(drawn)}, draw(st.integers(0, 2**32)))


def query(world: World, number: int) -> tuple[str, bool]:
    """Write one of a world's queries; and say whether it orders its rows."""
    return _writer(world, number).query()


def source_and_condition(world: World, number: int) -> tuple[str, str]:
    """Write a FROM and a condition on its rows."""
    writer = _writer(world, number)
    text, scope = writer.sources([], 1)
    return text, writer.value("b", scope, 2)


def _writer(world: World, number: int) -> Writer:
    kinds = {"n": "i"} | {column: kind for column, (kind, *_) in COLUMNS.items()}
    relations = {
        name: [(column, kinds[column]) for column in table.columns] for name, table in world.tables.items()
    }
    return Writer(Random(f"{world.seed} {number}"), list(relations), dict(relations))


class Writer(Sources):
    """Writes one query."""

    def query(self) -> tuple[str, bool]:
        """CTEs perhaps, and a query that may be ordered."""
        ctes = [self.cte() for _ in range(self.random.choice([0, 0, 0, 0, 1, 2]))]
        words = "WITH RECURSIVE " if any("UNION" in cte for cte in ctes) else "WITH "
        text, columns = self.some(self.kinds(), [], self.random.choice([1, 1, 1, 2]))
        ordered = self.order(text, columns)
        return (words + ", ".join(ctes) + " " if ctes else "") + ordered, ordered != text or in_order(text)

    def cte(self) -> str:
        name = self.name("c")
        if self.chance(0.2):
            text = self.recursive(name)
            self.relations[name] = [("x", "i"), ("y", "i")]
            return text
        text, columns = self.some(self.kinds(), [], 1)
        self.relations[name] = columns
        return f"{name} AS {self.random.choice(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED '])}({text})"

    def recursive(self, name: str) -> str:
        """Numbers of rows, counted up as long as there is a row of the next number."""
        one, other = (self.random.choice(self.tables) for _ in range(2))
        union = self.random.choice(["UNION", "UNION ALL"])
        start = f"SELECT n, n % 2 FROM {one}"
        step = f"SELECT {name}.x + 1, b.n FROM {name} JOIN {other} b ON b.n = {name}.x + 1"
        if union == "UNION" and self.chance(0.3):
            return f"{name}(x, y) USING KEY (x) AS ({start} {union} {step})"
        return f"{name}(x, y) AS ({start} {union} {step})"

    def some(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        """A query that gives columns of these kinds, named c0, c1, …"""
        if depth and self.chance(0.2):
            word = self.random.choice(
                ["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL", "UNION BY NAME"]
            )
            kinds = kinds.replace("o", "i")
            left, columns = self.some(kinds, outer, depth - 1)
            right, _ = self.some(kinds, outer, depth - 1)
            return f"({left}) {word} ({right})", columns
        make = self.random.choice([self.plain, self.plain, self.grouped, self.grouped, self.windowed])
        return make(kinds, outer, depth)

    def plain(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        text, scope = self.sources(outer, depth)
        values = [self.value(kind, scope + outer, depth) for kind in kinds]
        if "i" in kinds and self.chance(0.05):
            values[kinds.index("i")] = f"unnest({self.value('l', scope, 0)})"
        distinct = self.random.choice(["", "", "DISTINCT ", "DISTINCT ON (c0) "])
        text = f"SELECT {distinct}{named(values)} FROM {text}{self.where(scope + outer, depth)}"
        every = ", ".join(f"c{number}" for number in range(len(kinds)))
        return text + (f" ORDER BY {every}" if " ON " in distinct else ""), shown(kinds)

    def windowed(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        """Rows that tie in {all} are numbered in any order: so by one window only."""
        text, scope = self.sources(outer, depth)
        qualify, templates, window = "", WINDOWS, ""
        if self.chance(0.5):
            qualify, templates = f" QUALIFY {self.filled(WINDOWS['i'][0], scope, 0)} <= 2", STEADY
        values = []
        for kind in kinds:
            if kind in templates and self.chance(0.6):
                values.append(self.filled(self.random.choice(templates[kind]), scope, 0))
                templates = STEADY
            else:
                values.append(self.value(kind, scope, 0))
        if "i" in kinds and self.chance(0.1):
            values[kinds.index("i")] = self.filled("sum({i}) OVER w", scope, 0)
            window = self.filled(" WINDOW w AS (PARTITION BY {p})", scope, 0)
        where = self.where(scope + outer, depth)
        return f"SELECT {named(values)} FROM {text}{where}{window}{qualify}", shown(kinds)

    def grouped(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        text, scope = self.sources(outer, depth)
        where = self.where(scope + outer, depth)
        keys = self.random.choices([column for column, _ in scope], k=self.random.choice([0, 1, 1, 2]))
        kind_of = dict(scope)
        values, free = [], list(dict.fromkeys(keys))
        for kind in kinds:
            mine = [key for key in free if kind_of[key] == kind]
            values.append(mine[0] if mine and self.chance(0.7) else self.aggregate(kind, scope))
        having = f" HAVING {self.aggregate('b', scope)}" if self.chance(0.15) else ""
        if self.chance(0.2):
            having = " HAVING count(*) > 1"
        return f"SELECT {named(values)} FROM {text}{where}{self.by(free)}{having}", shown(kinds)

    def by(self, keys: Sequence[str]) -> str:
        """GROUP BY of one of its forms."""
        if not keys:
            return ""
        every = ", ".join(keys)
        sets = f"GROUPING SETS (({every}), ({keys[-1]}), ())"
        forms = [every, every, every, f"ROLLUP ({every})", f"CUBE ({every})", sets, "ALL"]
        return f" GROUP BY {self.random.choice(forms)}"

    def aggregate(self, kind: str, scope: Columns) -> str:
        call = self.filled(self.random.choice(AGGREGATES[kind]), scope, 0)
        return f"{call} FILTER (WHERE {self.value('b', scope, 0)})" if self.chance(0.15) else call

    def where(self, scope: Columns, depth: int) -> str:
        return f" WHERE {self.value('b', scope, depth)}" if self.chance(0.5) else ""

    def value(self, kind: str, scope: Columns, depth: int, deep: int = 2) -> str:
        """An expression of a kind; with subqueries where there is depth."""
        if kind == "o":
            return self.value(self.random.choice(KINDS + NESTED), scope, depth)
        if depth and self.chance(0.12):
            return self.subquery(kind, scope, depth - 1)
        names = [column for column, other in scope if other == kind]
        if names and (not deep or self.chance(0.3 if kind == "b" else 0.65)):
            return self.random.choice(names)
        if not deep or (kind != "b" and self.chance(0.3)):
            return self.random.choice(LITERALS[kind])
        return self.filled(self.random.choice(VALUES[kind]), scope, depth, deep - 1)

    def subquery(self, kind: str, scope: Columns, depth: int) -> str:
        """A scalar, correlated or not; or a condition on a subquery's rows."""
        if kind != "b" or self.chance(0.2):
            name, (table, columns) = self.name("q"), self.pick()
            inner = [(f"{name}.{column}", other) for column, other in columns]
            where = f" WHERE {self.link(inner, scope)}" if self.chance(0.5) else ""
            return f"(SELECT {self.aggregate(kind, inner)} FROM {table} {name}{where})"
        way = self.random.choice(["EXISTS", "NOT EXISTS", "IN", "NOT IN", "ANY", "ALL"])
        if "EXISTS" in way:
            return f"{way} ({self.some(self.kinds(), scope, depth)[0]})"
        one = self.random.choice(KINDS)
        word = f"{self.random.choice(['=', '<', '>='])} {way}" if way in ("ANY", "ALL") else way
        return f"({self.value(one, scope, 0)} {word} ({self.some(one, [], depth)[0]}))"

    def filled(self, template: str, scope: Columns, depth: int, deep: int = 1) -> str:
        """Put values in place of a template's letters."""
        if "{" not in template:
            return template
        one = self.random.choice(KINDS)
        real = [column for column, kind in scope if kind in KINDS]
        kinds = {**{kind: kind for kind in KINDS + NESTED}, "x": one, "y": one}
        makers: dict[str, Callable[[], str]] = {
            letter: (lambda kind=kind: self.value(kind, scope, depth, deep)) for letter, kind in kinds.items()
        }
        makers["p"] = lambda: self.random.choice(real or ["1"])
        every = [column for column, _ in scope]
        makers["all"] = lambda: ", ".join(self.random.sample(every, len(every)))
        if any(f"ORDER BY {{{letter}}}" in template for letter in "xsil"):
            fixed = {letter: _no_literal(make()) for letter, make in makers.items() if letter in "xsil"}
            makers.update({letter: (lambda text=text: text) for letter, text in fixed.items()})
        parts = template.split("{")
        return parts[0] + "".join(
            makers[name]() + rest for name, rest in (part.split("}", 1) for part in parts[1:])
        )

    def order(self, text: str, columns: Columns) -> str:
        """The query as it is, or ordered by all its columns, or by them and cut."""
        if self.chance(0.5):
            return text
        cuts = ["", " LIMIT 3", " LIMIT 5 OFFSET 1", " OFFSET 2", " LIMIT 40%", " LIMIT (SELECT 2)"]
        cut = self.random.choice(cuts)
        if in_order(text):
            return text + cut
        ways = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
        if self.chance(0.1):
            return f"{text} ORDER BY ALL{self.random.choice(ways)}{cut}"
        places = self.random.sample(range(1, len(columns) + 1), len(columns))
        return f"{text} ORDER BY {', '.join(f'{place}{self.random.choice(ways)}' for place in places)}{cut}"


def shown(kinds: str) -> Columns:
    return [(f"c{number}", kind) for number, kind in enumerate(kinds)]


def named(values: Sequence[str]) -> str:
    return ", ".join(f"{value} AS c{number}" for number, value in enumerate(values))


def in_order(text: str) -> bool:
    """Whether plain() ordered the query for its DISTINCT ON."""
    return text.startswith("SELECT DISTINCT ON")


def _no_literal(text: str) -> str:
    """DuckDB orders by no literal."""
    return f"coalesce({text}, NULL)" if any(text in literals for literals in LITERALS.values()) else text
