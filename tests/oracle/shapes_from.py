"""FROM of random queries: tables and queries, PIVOT and UNPIVOT, joined in all ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random

from tests.oracle.shapes_words import KINDS, NESTED, Columns

JOINS = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"]
PIVOTED = {"i": ["0", "1", "-1"], "s": ["'a'", "'ab'", "'é'"], "b": ["true", "false"]}


@dataclass
class Sources(ABC):
    """Writes what stands in FROM; `relations` are the tables and CTEs that can be read."""

    random: Random
    tables: list[str]
    relations: dict[str, Columns]
    _names: int = 0

    @abstractmethod
    def some(self, kinds: str, outer: Columns, depth: int) -> tuple[str, Columns]:
        """A query that gives columns of these kinds."""

    @abstractmethod
    def order(self, text: str, columns: Columns) -> str:
        """The query, ordered perhaps."""

    @abstractmethod
    def value(self, kind: str, scope: Columns, depth: int, deep: int = 2) -> str:
        """An expression of a kind."""

    @abstractmethod
    def aggregate(self, kind: str, scope: Columns) -> str:
        """An aggregate of a kind."""

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
        if any(kind == "l" for _, kind in scope) and self.chance(0.2):
            name, items = self.name("u"), self.value("l", scope, 0, 0)
            return f"{left} CROSS JOIN unnest({items}) AS {name}(x)", [*scope, (f"{name}.x", "i")]
        right, more = self.source(outer, max(depth - 1, 0))
        if self.chance(0.1):
            return f"{left}{self.random.choice([', ', ' CROSS JOIN '])}{right}", scope + more
        if ", " not in left and self.chance(0.15) and (pair := self.numbers(scope, more)):
            return f"{left} ASOF {self.random.choice(['', 'LEFT '])}JOIN {right} ON {pair}", scope + more
        word = self.random.choice(JOINS)
        seen = scope if word in ("SEMI JOIN", "ANTI JOIN") else scope + more
        if (shared := self.shared(scope, more)) and self.chance(0.3):
            merged = [(column, kind) for column, kind in shared if seen != scope]
            if self.chance(0.4) and len(shared) == self.common(scope, more):
                return f"{left} NATURAL {word} {right}", seen
            some = self.random.sample(shared, self.random.choice([1, min(2, len(shared))]))
            names = ", ".join(column for column, _ in some)
            return f"{left} {word} {right} USING ({names})", seen + [one for one in merged if one in some]
        return f"{left} {word} {right} ON {self.link(more, scope)}", seen

    def shared(self, scope: Columns, more: Columns) -> Columns:
        """The columns of one name and kind on both sides; on the left it is there once."""
        bare = [(column.rpartition(".")[2], kind) for column, kind in scope]
        theirs = [(column.rpartition(".")[2], kind) for column, kind in more]
        names = [column for column, _ in bare]
        return [one for one in theirs if one in bare and names.count(one[0]) == 1 and one[1] != "o"]

    def common(self, scope: Columns, more: Columns) -> int:
        """How many names both sides have: NATURAL casts those of two kinds, if the plan does not spare it."""
        mine, theirs = ({column.rpartition(".")[2] for column, _ in columns} for columns in (scope, more))
        return len(mine & theirs)

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
        elif depth and self.chance(0.08):
            text, columns = self.random.choice([self.pivot, self.unpivot, self.beside])(name, depth)
        elif self.chance(0.04):
            text, columns = self.random.choice(
                [
                    (f"(VALUES (1, 'a'), (NULL, 'b'), (2, NULL)) {name}(x, y)", [("x", "i"), ("y", "s")]),
                    (f"range(-1, 3) AS {name}(x)", [("x", "i")]),
                ]
            )
        else:
            table, columns = self.pick()
            text = f"{table} {name}"
        return text, [(f"{name}.{column}", kind) for column, kind in columns]

    def pivot(self, name: str, depth: int) -> tuple[str, Columns]:
        """A column's values become columns: with their groups, or all else."""
        kind = self.random.choice(list(PIVOTED))
        inner, _ = self.some(f"{kind}{self.random.choice(KINDS)}i", [], depth - 1)
        values = self.random.sample(PIVOTED[kind], 2)
        names = [value.strip("'") for value in values]
        call = self.random.choice(["sum(c2)", "count(*)", "max(c2)"])
        group, used = self.random.choice([("", "c1"), (" GROUP BY c1", "c1")])
        if call == "count(*)" and not group:
            inner = f"SELECT c0, c1 FROM ({inner}) q"
        several = self.chance(0.3)
        calls, suffixes = (f"{call} AS u, min(c0) AS v", ["u", "v"]) if several else (call, [""])
        listed = ", ".join(values)
        if self.chance(0.5):
            text = f"(PIVOT ({inner}) ON c0 IN ({listed}) USING {calls}{group}) {name}"
        else:
            text = f"({inner}) PIVOT ({calls} FOR c0 IN ({listed}){group}) {name}"
        made = [
            (f'"{one}_{suffix}"' if suffix else f'"{one}"', kind if suffix == "v" else "i")
            for one in names
            for suffix in suffixes
        ]
        return text, [(used, "o"), *made]

    def unpivot(self, name: str, depth: int) -> tuple[str, Columns]:
        """Two columns of a kind become rows."""
        kind = self.random.choice(KINDS)
        inner, _ = self.some(f"{kind}{kind}{self.random.choice(KINDS)}", [], depth - 1)
        nulls = self.random.choice(["", " INCLUDE NULLS"])
        columns = [("c2", "o"), ("which", "s"), ("worth", kind)]
        if self.chance(0.5):
            return f"(UNPIVOT ({inner}) ON c0, c1 INTO NAME which VALUE worth) {name}", columns
        return f"({inner}) UNPIVOT{nulls} (worth FOR which IN (c0, c1)) {name}", columns

    def beside(self, name: str, depth: int) -> tuple[str, Columns]:
        """Rows side by side, each side in an order without ties that can be told apart."""
        kinds = [self.random.choice(KINDS + NESTED) for _ in range(2)]
        left, right = (self.some(kind, [], depth - 1)[0] for kind in kinds)
        sides = [f"(SELECT c0 FROM ({side}) q ORDER BY c0)" for side in (left, right)]
        text = f"(SELECT l.c0 AS c0, r.c0 AS c1 FROM {sides[0]} l POSITIONAL JOIN {sides[1]} r) {name}"
        return text, [(f"c{number}", kind) for number, kind in enumerate(kinds)]

    def pick(self) -> tuple[str, Columns]:
        return self.random.choice(list(self.relations.items()))

    def kinds(self) -> str:
        kinds = self.random.choices(KINDS + "o", k=self.random.choice([1, 2, 2, 3]))
        if self.chance(0.1):
            kinds[0] = self.random.choice(NESTED)
        return "".join(kinds)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"
