"""Plans that are filled in are those that were made for their values; where values count, they are made."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gearsql.catalog.table import Column, FieldSource, KeyTemplate, PlaceholderSource, Table
from gearsql.plan.compiled import Compiled, compile_query
from gearsql.plan.kept import KeptPlans
from gearsql.plan.template import without_text
from gearsql.sql.bind import Binder
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query, WideQuery

BINDER = Binder()
TABLE = Table(
    "t",
    KeyTemplate((b"t:", b":", b""), ("c", "id")),
    (
        Column("c", "VARCHAR", PlaceholderSource(0)),
        Column("id", "INTEGER", PlaceholderSource(1)),
        *(
            Column(name, type_, FieldSource(name.encode()))
            for name, type_ in {
                "a": "BIGINT",
                "b": "SMALLINT",
                "x": "DOUBLE",
                "n": "DECIMAL(10,2)",
                "s": "VARCHAR",
                "day": "DATE",
                "ts": "TIMESTAMP",
            }.items()
        ),
    ),
    True,
)


class Plans:
    """Kept plans of one number of shards, and how many were compiled."""

    def __init__(self, shards: int) -> None:
        self.shards, self.kept, self.compiled = shards, KeptPlans(), 0

    def compile(self, text: str, parameters: Any, moment: datetime.datetime | None = None) -> Compiled:
        query = parse(text)
        assert isinstance(query, Query | WideQuery)
        self.compiled += 1
        if isinstance(query, Query):
            bound: Any = BINDER.bind(query, TABLE, parameters, moment=moment)
        else:
            bound = BINDER.bind_wide(query, {"t": TABLE}, parameters, moment=moment)
        return compile_query(bound, self.shards, "module")

    def find(self, text: str, parameters: Any) -> Compiled:
        query = parse(text)
        assert isinstance(query, Query | WideQuery)
        found = self.kept.find(text, query, parameters, lambda *given: self.compile(text, *given))
        return found.compiled


MOMENTS = [datetime.datetime(2024, 2, 29, 1, 2, 3, micro) for micro in (0, 5, 123456)]
SLOTS: list[tuple[str, list[list[Any]]]] = [
    ("SELECT s FROM t WHERE a > ?", [[1], [0], [-7], [2**31 - 1]]),
    ("SELECT s FROM t WHERE a > $low AND a < $high", [[5, 2**40], [6, -(2**50)], [-1, 2**62]]),
    ("SELECT s, ? + a AS up FROM t WHERE s = ? OR s LIKE ?", [[1, "x", "y%"], [2, "'", "ü_"]]),
    ("SELECT c, count(*), sum(a * ?) FROM t WHERE b IN (?, ?) GROUP BY c", [[1, 2, 3], [1, 1, 1]]),
    ("SELECT avg(x), count(*) FILTER (WHERE n >= ?) FROM t", [[Decimal("1.50")], [Decimal("-2.25")]]),
    ("SELECT x FROM t WHERE x BETWEEN ? AND ?", [[0.5, 1e300], [-0.0, 7.25], [1e-300, float("inf")]]),
    ("SELECT id FROM t WHERE day >= ? AND ts < ?", [[moment.date(), moment] for moment in MOMENTS]),
    ("SELECT s FROM t WHERE c = ? AND id = ?", [["de", 7], ["f'r", -8], ["x", 2**31 - 1]]),
    ("SELECT s FROM t WHERE c = ? AND id IN (?, ?) ORDER BY s LIMIT 3", [["de", 7, 8], ["fr", 8, 8]]),
    ("SELECT s FROM t ORDER BY a LIMIT ?", [[1], [0], [1000]]),
    ("SELECT s FROM t ORDER BY a LIMIT ? OFFSET ?", [[1, 2], [10, 0], [5, 100]]),
    ("SELECT s FROM t LIMIT 10 OFFSET ?", [[1], [20]]),
    ("SELECT c, s FROM t WHERE a = (SELECT max(a) FROM t WHERE b = ?) AND s <> ?", [[1, "x"], [2, "z'"]]),
    ("SELECT l.s FROM t l JOIN t r ON l.id = r.a WHERE l.a > ? AND r.x < ?", [[1, 2.5], [-3, -0.5]]),
    ("WITH w AS (SELECT c, sum(a) AS a FROM t WHERE b > ? GROUP BY c) FROM w WHERE a > ?", [[1, 2], [3, 4]]),
    ("SELECT count(*) FROM t WHERE ts > now()::TIMESTAMP - INTERVAL 1 DAY AND a > ?", [[1], [2], [3]]),
    ("SELECT today(), count(*) FROM t WHERE day = current_date", [[], [], []]),
    ("SELECT greatest(a, ?), ? FROM t", [[1, "x"], [2, "y"]]),
]  # fmt: skip


def _values(text: str, values: list[Any]) -> Any:
    return {"low": values[0], "high": values[1]} if "$low" in text else values


@pytest.mark.parametrize(("text", "sets"), SLOTS)
def test_a_statement_is_compiled_twice_for_all_values(text: str, sets: list[list[Any]]) -> None:
    plans = Plans(1 if "JOIN" in text else 3)
    found = [plans.find(text, _values(text, values)) for values in itertools.chain(sets, sets)]
    assert plans.compiled == 2
    if "now()" in text or "current_date" in text:
        return
    for values, made in zip(sets * 2, found, strict=True):
        expected = without_text(plans.compile(text, _values(text, values)))
        assert replace(without_text(made), filled=False) == expected


def test_the_clock_is_read_each_time() -> None:
    plans = Plans(3)
    found = {str(plans.find("SELECT now(), s FROM t WHERE ts < now()", None).plan) for _ in range(4)}
    assert (len(found), plans.compiled) == (4, 2)


EACH: list[tuple[str, list[list[Any]]]] = [
    ("SELECT round(n, ?) FROM t", [[0], [1], [2]]),
    ("SELECT date_part(?, ts) FROM t", [["year"], ["julian"]]),
    ("SELECT quantile_cont(x, ?) FROM t", [[0.25], [0.5]]),
    ("SELECT round(n, CAST(? AS INTEGER) + 0) FROM t", [[0], [1]]),
    ("SELECT {'k': a}[?] FROM t", [["k"], ["k"]]),
    ("SELECT COLUMNS(?) FROM t", [["[ab]"], ["a|x"]]),
    ("SELECT s FROM t WHERE a = ?", [[None], [True], [2**70]]),
    ("SELECT s FROM t WHERE s = ?", [["a\\b"], ["a\nb"], [""]]),
    ("SELECT s FROM t WHERE id = ? AND c = 'x'", [["7"], ["8"]]),
    ("SELECT a + ?, count(*) FROM t GROUP BY a + ?", [[1, 1], [2, 2]]),
]


@pytest.mark.parametrize(("text", "sets"), EACH)
def test_where_values_count_each_is_compiled(text: str, sets: list[list[Any]]) -> None:
    plans = Plans(3)
    for values in itertools.chain(sets, sets):
        assert without_text(plans.find(text, values)) == without_text(plans.compile(text, values))
        assert not plans.find(text, values).filled
