"""Random queries of any shape over a few small tables, each with one right answer.

DuckDB and GearsSQL may see rows in any order: what is cut or numbered is ordered by all there is, so that
rows that tie are the same rows. Doubles are multiples of 2⁻¹⁰, whose sums are exact; what is not, like avg,
is shown only.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import strategies as st

MOST_ROWS = 8

# Columns by name: kind (what they can be used for), types, values.
COLUMNS: dict[str, tuple[str, list[str], st.SearchStrategy[Any]]] = {
    "i": ("i", ["BIGINT", "INTEGER"], st.integers(-2, 3)),
    "j": ("i", ["SMALLINT", "HUGEINT"], st.integers(-4, 4)),
    "d": ("d", ["DOUBLE"], st.integers(-3000, 3000).map(lambda n: n / 1024) | st.sampled_from([0.0, 1.0])),
    "m": ("m", ["DECIMAL(9,2)"], st.integers(-300, 300).map(lambda n: Decimal(n) / 100)),
    "s": ("s", ["VARCHAR"], st.sampled_from(["", "a", "A", "ab", "b", "é", "a\0b", " a", "7", "NULL", "'"])),
    "day": ("t", ["DATE"], st.dates(datetime.date(2024, 2, 28), datetime.date(2024, 3, 1))),
    "flag": ("b", ["BOOLEAN"], st.booleans()),
}
KINDS = "idmstb"

LITERALS = {
    "i": ["0", "1", "-1", "2", "NULL::BIGINT"],
    "d": ["0.5::DOUBLE", "1.0::DOUBLE", "-1.25::DOUBLE"],
    "m": ["1.50", "0.00", "-0.25"],
    "s": ["'a'", "''", "'AB'", "NULL::VARCHAR"],
    "t": ["DATE '2024-02-29'", "DATE '2024-03-01'"],
    "b": ["true", "false", "NULL::BOOLEAN"],
}

# How a value of a kind is made of others: {i} is a value of that kind; {x} and {y} are of any one.
VALUES = {
    "i": [
        *("({i} + {i})", "({i} % 3)", "abs({i})", "length({s})", "coalesce({i}, {i})", "day({t})"),
        *("CASE WHEN {b} THEN {i} ELSE {i} END", "nullif({i}, {i})", "{b}::INTEGER", "greatest({i}, {i})"),
    ],
    "d": ["({d} + {d})", "({d} - {d})", "least({d}, {d})", "CASE WHEN {b} THEN {d} END", "({d} + {i})"],
    "m": ["({m} + {m})", "abs({m})", "round({m}, 1)", "coalesce({m}, {m})"],
    "s": [
        "({s} || {s})",
        "upper({s})",
        "substr({s}, 1, 1)",
        "{i}::VARCHAR",
        "{t}::VARCHAR",
        "coalesce({s}, {s})",
    ],
    "t": ["({t} + 1)", "greatest({t}, {t})", "CASE WHEN {b} THEN {t} ELSE {t} END"],
    "b": [
        *("({x} = {y})", "({x} < {y})", "({x} <> {y})", "({x} >= {y})", "({x} IS NULL)", "({x} IS NOT NULL)"),
        *("({x} IS DISTINCT FROM {y})", "(NOT {b})", "({b} AND {b})", "({b} OR {b})", "({s} LIKE 'a%')"),
        *("({i} IN (0, 1, NULL))", "({x} BETWEEN {y} AND {y})", "({b} IS TRUE)", "({s} ILIKE '%A%')"),
    ],
}

AGGREGATES = {
    "i": [
        "count(*)",
        "count({x})",
        "count(DISTINCT {x})",
        "sum({i})",
        "max({i})",
        "min({i})",
        "sum(DISTINCT {i})",
    ],
    "d": ["sum({d})", "max({d})", "min({d})", "median({d})"],
    "m": ["sum({m})", "max({m})"],
    "s": [
        "min({s})",
        "max({s})",
        "string_agg({s}, '|' ORDER BY {s})",
        "string_agg(DISTINCT {s}, '' ORDER BY {s})",
    ],
    "t": ["min({t})", "max({t})"],
    "b": ["bool_or({b})", "bool_and({b})"],
    "o": ["avg({i})", "avg({d})", "avg({m})", "list({x} ORDER BY {x})", "list(DISTINCT {i} ORDER BY {i})"],
}

# {p}: values to part by; {all}: an order without ties.
WINDOWS = {
    "i": [
        *("row_number() OVER (PARTITION BY {p} ORDER BY {all})", "rank() OVER (ORDER BY {x})"),
        *("dense_rank() OVER (PARTITION BY {p} ORDER BY {x} DESC)", "count(*) OVER (PARTITION BY {p})"),
        *("lag({i}) OVER (ORDER BY {all})", "sum({i}) OVER (PARTITION BY {p} ORDER BY {i})"),
        "ntile(3) OVER (ORDER BY {all})",
    ],
    "d": ["sum({d}) OVER (ORDER BY {all} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", "max({d}) OVER ()"],
    "m": ["sum({m}) OVER (PARTITION BY {p})", "first_value({m}) OVER (PARTITION BY {p} ORDER BY {all})"],
    "s": ["lead({s}, 2, 'none') OVER (ORDER BY {all})", "min({s}) OVER (PARTITION BY {p} ORDER BY {i})"],
    "t": ["max({t}) OVER (PARTITION BY {p})", "last_value({t}) OVER (ORDER BY {all})"],
    "b": ["bool_or({b}) OVER (PARTITION BY {p})"],
}

STEADY = {
    kind: [call for call in calls if "{all}" not in call] for kind, calls in WINDOWS.items() if kind in "idmb"
}

JOINS = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"]

Columns = list[tuple[str, str]]
"""What can be named, and its kind; `o` is for what is shown, and not computed with."""


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
    return Writer(_random(world, number), world).query()


def source_and_condition(world: World, number: int) -> tuple[str, str]:
    """Write a FROM and a condition on its rows."""
    writer = Writer(_random(world, number), world)
    text, scope = writer.sources([], 1)
    return text, writer.value("b", scope, 2)


def _random(world: World, number: int) -> Random:
    return Random(f"{world.seed} {number}")


@dataclass
class Writer:
    """Writes one query; `relations` are the tables and CTEs that can be read."""

    random: Random
    world: World
    relations: dict[str, Columns] = field(default_factory=dict)
    _names: int = 0

    def __post_init__(self) -> None:
        for name, table in self.world.tables.items():
            kinds = {"n": "i"} | {column: kind for column, (kind, *_) in COLUMNS.items()}
            self.relations[name] = [(column, kinds[column]) for column in table.columns]

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
        one, other = (self.random.choice(list(self.world.tables)) for _ in range(2))
        union = self.random.choice(["UNION", "UNION ALL"])
        start = f"SELECT n, n % 2 FROM {one}"
        step = f"SELECT {name}.x + 1, b.n FROM {name} JOIN {other} b ON b.n = {name}.x + 1"
        return f"{name}(x, y) AS ({start} {union} {step})"

    def some(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        """A query that gives columns of these kinds, named c0, c1, …"""
        if depth and self.chance(0.2):
            word = self.random.choice(
                ["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL"]
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
        distinct = self.random.choice(["", "", "DISTINCT ", "DISTINCT ON (c0) "])
        text = f"SELECT {distinct}{named(values)} FROM {text}{self.where(scope + outer, depth)}"
        every = ", ".join(f"c{number}" for number in range(len(kinds)))
        return text + (f" ORDER BY {every}" if " ON " in distinct else ""), shown(kinds)

    def windowed(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        """Rows that tie in {all} are numbered in any order: so by one window only."""
        text, scope = self.sources(outer, depth)
        qualify, templates = "", WINDOWS
        if self.chance(0.5):
            qualify, templates = f" QUALIFY {self.filled(WINDOWS['i'][0], scope, 0)} <= 2", STEADY
        values = []
        for kind in kinds:
            if kind in templates and self.chance(0.6):
                values.append(self.filled(self.random.choice(templates[kind]), scope, 0))
                templates = STEADY
            else:
                values.append(self.value(kind, scope, 0))
        return f"SELECT {named(values)} FROM {text}{self.where(scope + outer, depth)}{qualify}", shown(kinds)

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
        forms = [every, every, every, f"ROLLUP ({every})", f"CUBE ({every})", sets]
        return f" GROUP BY {self.random.choice(forms)}"

    def aggregate(self, kind: str, scope: Columns) -> str:
        call = self.filled(self.random.choice(AGGREGATES[kind]), scope, 0)
        return f"{call} FILTER (WHERE {self.value('b', scope, 0)})" if self.chance(0.15) else call

    def sources(self, outer: Columns, depth: int) -> tuple[str, Columns]:
        """FROM with its joins; and what can be named over it."""
        text, scope = self.source(outer, depth)
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            text, scope = self.joined(text, scope, outer, depth)
        return text, scope

    def joined(self, left: str, scope: Columns, outer: Columns, depth: int) -> tuple[str, Columns]:
        if self.chance(0.1):
            name, (table, columns) = self.name("l"), self.pick()
            inner = [(f"{table}.{column}", kind) for column, kind in columns]
            call, on = self.aggregate("i", inner), self.link(inner, scope)
            return f"{left}, LATERAL (SELECT {call} AS x FROM {table} WHERE {on}) {name}", [
                *scope,
                (f"{name}.x", "i"),
            ]
        right, more = self.source(outer, max(depth - 1, 0))
        if self.chance(0.1):
            return f"{left}{self.random.choice([', ', ' CROSS JOIN '])}{right}", scope + more
        if ", " not in left and self.chance(0.15) and (pair := self.numbers(scope, more)):
            return f"{left} ASOF {self.random.choice(['', 'LEFT '])}JOIN {right} ON {pair}", scope + more
        word = self.random.choice(JOINS)
        seen = scope if word in ("SEMI JOIN", "ANTI JOIN") else scope + more
        return f"{left} {word} {right} ON {self.link(more, scope)}", seen

    def numbers(self, scope: Columns, more: Columns) -> str | None:
        """A row's own number finds the last one before it."""
        mine = [column for column, kind in scope if kind == "i"]
        theirs = [column for column, _ in more if column.endswith(".n")]
        return f"{self.random.choice(mine)} >= {theirs[0]}" if mine and theirs else None

    def link(self, inner: Columns, outer: Columns) -> str:
        """A condition that joins."""
        pairs = [(a, b) for a, kind in inner for b, other in outer if kind == other != "o"]
        if not pairs:
            return self.value("b", inner, 0)
        texts = ["{} = {}".format(*self.random.choice(pairs))]
        if self.chance(0.2):
            texts.append(self.value("b", inner if self.chance(0.5) else inner + outer, 0))
        return " AND ".join(texts)

    def source(self, outer: Columns, depth: int) -> tuple[str, Columns]:
        """A table or a query in FROM."""
        name = self.name("a")
        if depth and self.chance(0.2):
            text, columns = self.some(self.kinds(), [], depth - 1)
            text = f"({self.order(text, columns)}) {name}"
        elif self.chance(0.04):
            text, columns = (
                f"(VALUES (1, 'a'), (NULL, 'b'), (2, NULL)) {name}(x, y)",
                [("x", "i"), ("y", "s")],
            )
        else:
            table, columns = self.pick()
            text = f"{table} {name}"
        return text, [(f"{name}.{column}", kind) for column, kind in columns]

    def pick(self) -> tuple[str, Columns]:
        return self.random.choice(list(self.relations.items()))

    def where(self, scope: Columns, depth: int) -> str:
        return f" WHERE {self.value('b', scope, depth)}" if self.chance(0.5) else ""

    def value(self, kind: str, scope: Columns, depth: int, deep: int = 2) -> str:
        """An expression of a kind; with subqueries where there is depth."""
        if kind == "o":
            return self.value(self.random.choice(KINDS), scope, depth)
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
        kinds = {**{kind: kind for kind in KINDS}, "x": one, "y": one}
        makers: dict[str, Callable[[], str]] = {
            letter: (lambda kind=kind: self.value(kind, scope, depth, deep)) for letter, kind in kinds.items()
        }
        makers["p"] = lambda: self.random.choice(real or ["1"])
        every = [column for column, _ in scope]
        makers["all"] = lambda: ", ".join(self.random.sample(every, len(every)))
        if "ORDER BY {x}" in template or "ORDER BY {s}" in template or "ORDER BY {i}" in template:
            fixed = {letter: _no_literal(make()) for letter, make in makers.items() if letter in "xsi"}
            makers.update({letter: (lambda text=text: text) for letter, text in fixed.items()})
        parts = template.split("{")
        return parts[0] + "".join(
            makers[name]() + rest for name, rest in (part.split("}", 1) for part in parts[1:])
        )

    def order(self, text: str, columns: Columns) -> str:
        """The query as it is, or ordered by all its columns, or by them and cut."""
        if self.chance(0.5):
            return text
        cut = self.random.choice(["", " LIMIT 3", " LIMIT 5 OFFSET 1", " OFFSET 2", " LIMIT 40%"])
        if in_order(text):
            return text + cut
        ways = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
        places = self.random.sample(range(1, len(columns) + 1), len(columns))
        return f"{text} ORDER BY {', '.join(f'{place}{self.random.choice(ways)}' for place in places)}{cut}"

    def kinds(self) -> str:
        return "".join(self.random.choices(KINDS + "o", k=self.random.choice([1, 2, 2, 3])))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"


def named(values: Sequence[str]) -> str:
    return ", ".join(f"{value} AS c{number}" for number, value in enumerate(values))


def shown(kinds: str) -> Columns:
    return [(f"c{number}", kind) for number, kind in enumerate(kinds)]


def in_order(text: str) -> bool:
    """Whether plain() ordered the query for its DISTINCT ON."""
    return text.startswith("SELECT DISTINCT ON")


def _no_literal(text: str) -> str:
    """DuckDB orders by no literal."""
    return f"coalesce({text}, NULL)" if any(text in literals for literals in LITERALS.values()) else text
