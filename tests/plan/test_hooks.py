"""Queries that call users' functions answer over any number of shards what DuckDB answers over all rows."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gearsql.plan.failing import stages_for_row
from tests.plan.conftest import run_stage

SCALARS = [
    "SELECT initial(g) FROM t",
    "SELECT initial(g) AS i, id FROM t WHERE initial(s) = 's' AND h > 0",
    "SELECT Initial(upper(s)), lower(initial(s)), initial(initial(s)) FROM t",
    "SELECT id FROM t WHERE length_or(s, 7) BETWEEN 3 AND 7",
    "SELECT length_or(g, NULL), length_or(NULL, id) FROM t",
    "SELECT initial(s) AS i, count(*) FROM t GROUP BY i",
    "SELECT initial(s), count(*), sum(a), avg(x) FROM t GROUP BY initial(s)",
    "SELECT upper(initial(s)), length_or(initial(s), count(*)) FROM t GROUP BY initial(s)",
    "SELECT initial(s), g, count(*) FROM t GROUP BY ALL",
    "SELECT g, count(*) FROM t GROUP BY g HAVING halved(sum(a)) > 1",
    "SELECT g, halved(sum(a)) FROM t GROUP BY g ORDER BY halved(count(*)), g",
    "SELECT g, initial(g), count(*) FROM t GROUP BY g",
    "SELECT sum(halved(x)), avg(halved(a)), max(initial(s)), count(DISTINCT initial(s)) FROM t",
    "SELECT h, count(DISTINCT initial(s)), list(DISTINCT initial(s) ORDER BY initial(s)) FROM t GROUP BY h",
    "SELECT sum(a) FILTER (WHERE initial(s) = 's'), count(*) FROM t",
    "SELECT entropy(initial(g)) FROM t",
    "SELECT h, entropy(length_or(g, 0)), entropy(h) FROM t WHERE initial(s) <> '' GROUP BY h",
    "SELECT initial(g), max(a + length_or(s, 1), 2) FROM t GROUP BY initial(g) HAVING entropy(halved(a)) > 0",
    "SELECT DISTINCT initial(s) FROM t",
    "SELECT DISTINCT initial(s), halved(h) FROM t",
    "SELECT shout(g), shout(s) FROM t WHERE shout(g) = 'G5' OR shout(s) LIKE 'S1%'",
    "SELECT cents(n), tomorrow(day), pair(a, s), pair(a, s).s FROM t",
    "SELECT cents(n), count(*) FROM t GROUP BY 1",
    "SELECT max(cents(n)), min(tomorrow(day)) FROM t",
    "SELECT pair(h, g), count(*) FROM t GROUP BY pair(h, g)",
    "SELECT initial(_key) FROM t WHERE id < 3",
    "SELECT one(), one() + h FROM t",
    "SELECT halved(h), halved(b), halved(a) FROM t",
    "SELECT initial('constant'), count(*) FROM t GROUP BY 1",
    "SELECT geomean(halved(abs(id) + 1)) FROM t",
    "SELECT count(*) FROM t GROUP BY initial(g) COLLATE NOCASE",
    "SELECT count(*) FROM t WHERE id < 0 AND initial(s) = 's'",
]
VOLATILE = [
    "SELECT number(id) FROM t WHERE h > 0",
    "SELECT number(h), count(*) FROM t WHERE initial(s) = 's' GROUP BY 1",
    "SELECT sum(number(a)) FROM t WHERE number(b) > 0",
]
IN_ORDER = [
    "SELECT id, initial(s) FROM t ORDER BY initial(s) NULLS LAST, id LIMIT 20 OFFSET 3",
    "SELECT id FROM t WHERE initial(g) = 'g' ORDER BY halved(id) DESC LIMIT 5",
    "SELECT initial(s) AS i, count(*) AS k FROM t GROUP BY i ORDER BY halved(count(*)) DESC, i LIMIT 3",
]
AGGREGATES = [
    "SELECT geometric(x) FROM t",
    "SELECT geometric(a), geometric(h), geometric(x * 2) + 1 FROM t WHERE isfinite(x)",
    "SELECT g, geometric(a), count(*), avg(x) FROM t GROUP BY g",
    "SELECT initial(s), geometric(halved(a)) AS m FROM t GROUP BY 1",
    "SELECT g, weighed(x, b) FROM t GROUP BY g",
    "SELECT weighed(halved(x), a) FROM t",
    "SELECT geometric(a) FROM t WHERE id < 0",
    "SELECT g, geometric(a) FROM t WHERE id < 0 GROUP BY g",
    "SELECT g, geometric(a) FILTER (WHERE h > 0), weighed(x, b) FILTER (WHERE f) FROM t GROUP BY g",
    "SELECT geometric(a) FILTER (WHERE id < 0), count(*) FROM t",
    "SELECT g, geometric(DISTINCT a) FROM t GROUP BY g",
    "SELECT geometric(DISTINCT h), geometric(h) FROM t",
    "SELECT b, count(DISTINCT a), geometric(x), count(DISTINCT h), geometric(DISTINCT b) FROM t GROUP BY b",
    "SELECT geometric(DISTINCT h) FILTER (WHERE f) FROM t",
    "SELECT weighed(DISTINCT a, b) FROM t",
    "SELECT joined(s ORDER BY id) FROM t",
    "SELECT h, joined(DISTINCT initial(s) ORDER BY initial(s)) FROM t GROUP BY h",
    "SELECT g FROM t GROUP BY g HAVING geometric(a) > 1.5",
    "SELECT halved(geometric(a)), round(geometric(a), 3) FROM t",
    "SELECT geometric(a), entropy(b) FROM t",
    "SELECT initial(g), entropy(b), geometric(length_or(s, 1)) FROM t GROUP BY initial(g)",
]
TABLES = [
    "SELECT * FROM t, letters(t.s)",
    "SELECT l.letter, t.id FROM t, LATERAL letters(s) AS l WHERE l.id = 1",
    "SELECT l.id, t.id AS row FROM t CROSS JOIN LATERAL letters(s) l WHERE t.id < 50",
    "SELECT place, count(*) FROM t JOIN LATERAL letters(s) AS l(place) ON true GROUP BY place",
    "SELECT letter, count(*), geometric(a), count(DISTINCT g) FROM t, letters(s) GROUP BY letter",
    "SELECT x.letter, y.letter, count(*) FROM t, letters(s) x, letters(x.letter) y GROUP BY ALL",
    "SELECT t.id, letter FROM t LEFT JOIN letters(s) ON true WHERE letter IS NULL OR letter = 's'",
    "SELECT DISTINCT letter FROM t, letters(initial(s)) WHERE h > 0",
    "SELECT entropy(letter), count(*) FROM t, letters(s) WHERE letters.id < 2",
    "SELECT initial(letter), entropy(letters.id) FROM t, letters(s) GROUP BY initial(letter)",
    "SELECT words, len(words), t.id FROM t, parts(s)",
    "SELECT letters.* EXCLUDE (id), t.a FROM t, letters(g) WHERE a > 0",
    "SELECT count(*) FROM t, letters('abc')",
    "SELECT sum(number(a)) FROM t, letters(s)",
    "SELECT t.id, letters.id FROM t, letters(s) ORDER BY t.id DESC, letters.id LIMIT 7",
]


@pytest.mark.parametrize("query", SCALARS + AGGREGATES + TABLES + VOLATILE)
def test_rows(play: Any, query: str) -> None:
    play.check(query)


@pytest.mark.parametrize("query", IN_ORDER)
def test_rows_in_order(play: Any, query: str) -> None:
    play.check(query, ordered=True)


@pytest.mark.parametrize(
    ("query", "function", "values", "found"),
    [
        ("SELECT strict(a) FROM t", "strict", [-49], "a = -49"),
        ("SELECT strict(a) FROM t WHERE h > 0", "strict", [-49], "a = -49 AND h > 0"),
        ("SELECT g, sum(strict(a)) FROM t GROUP BY g", "strict", [7], "a = 7"),
        ("SELECT count(*) FROM t WHERE strict(a + 1) = 1 AND b = 2", "strict", [7], "a = 6"),
        ("SELECT strict(strict(h)) FROM t", "strict", [1], "h = 1"),
        ("SELECT length_or(s, a) FROM t", "length_or", [None, -44], "s IS NULL AND a = -44"),
        ("SELECT geometric(x), count(DISTINCT a) FROM t", "geometric", [-5.0], "x = -5"),
        ("SELECT cents(n), tomorrow(day) FROM t", "tomorrow", [date(2024, 2, 29)], "day = '2024-02-29'"),
        ("SELECT letter FROM t, letters(lower(s)) WHERE letter > 'a'", "letters", ["s5"], "s = 's5'"),
        ("SELECT y.letter FROM t, letters(s) x, letters(x.letter) y", "letters", ["5"], "s LIKE '%5%'"),
        ("SELECT initial(letter) FROM t, letters(s)", "initial", ["7"], "s LIKE '%7%'"),
    ],
)
def test_the_failing_row_is_found(
    play: Any, query: str, function: str, values: list[Any], found: str
) -> None:
    bound = play.bound(query)
    stages = stages_for_row(bound, play.plan(query, 1).shard, function, values)
    shard = play.spreads["one"][0]
    keys = (
        key for stage in stages for batch in run_stage(shard, stage) for key in batch.column(0).to_pylist()
    )
    key = next(keys)
    rows = play.oracle.sql(f"SELECT _key FROM t WHERE {found}").fetchall()
    assert (key,) in rows


def test_a_row_of_values_beyond_sql_is_not_looked_for(play: Any) -> None:
    query = "SELECT pair(a, s) FROM t"
    assert stages_for_row(play.bound(query), play.plan(query).shard, "pair", [2**200, "x"]) == []
    assert stages_for_row(play.bound(query), play.plan(query).shard, "other", [1, "x"]) == []
