"""What is folded before keys are looked for: a condition, the filter that is left of it, and its keys."""

from __future__ import annotations

from typing import Any

import pytest

from gearsql.plan.keys import keys_of
from tests.plan.test_kept import Plans
from tests.plan.test_keys import keys, plan, table

USERS = table("u:{id}", id="INTEGER")


@pytest.mark.parametrize(
    ("condition", "filter_", "expected"),
    [
        ("id = 3 + 4", "\"id\" = CAST('7' AS INT)", "u:7"),
        ("3 - 4 = id", "CAST('-1' AS INT) = \"id\"", "u:-1"),
        ("id IN (1 + 1, 4, NULL + 1)", "\"id\" IN (CAST('2' AS INT), 4, NULL)", "u:2 u:4"),
        ("id = length('abc')", "\"id\" = CAST('3' AS BIGINT)", "u:3"),
        ("id = '007'::INTEGER", "\"id\" = CAST('7' AS INT)", "u:7"),
        ("id = CASE WHEN 1 > 2 THEN 3 END", '"id" = NULL', ""),
        ("_key = 'u:' || '7'", "\"_key\" = 'u:7'", "u:7"),
        ("_key = concat(lower('U:'), 7)", "\"_key\" = 'u:7'", "u:7"),
        ("_key = 'it''' || 's'", "\"_key\" = 'it''s'", "it's"),
        ("id = 2 + 5 AND v = 3 + 4", '("id" = CAST(\'7\' AS INT)) AND ("v" = (3 + 4))', "u:7"),
        ("id = 1 + 1 OR (id = 4 AND v > 1 - 1)", None, "u:2 u:4"),
        ("false", "FALSE", ""),
        ("NULL", "NULL", ""),
        ("1 = 0", "FALSE", ""),
        ("0", "FALSE", ""),
        ("v > 3 AND NULL > 7", '("v" > 3) AND FALSE', ""),
        ("id = 7 AND 'a' = 'b'", '("id" = 7) AND FALSE', ""),
        ("1 = 0 OR id = 7", 'FALSE OR ("id" = 7)', "u:7"),
        ("1 = 1 AND id = 7", '(1 = 1) AND ("id" = 7)', "u:7"),
    ],
)
def test_what_tells_keys_is_folded(condition: str, filter_: str | None, expected: str) -> None:
    made = plan(USERS, f"SELECT v FROM t WHERE {condition}")
    assert made.reader == "point"
    assert [key.decode() for key in keys_of(made.shard.scans[0])] == expected.split()
    assert filter_ is None or made.filter == filter_


@pytest.mark.parametrize(
    ("condition", "filter_"),
    [
        ("v = 3 + 4", '"v" = (3 + 4)'),
        ("id = v + 1", '"id" = ("v" + 1)'),
        ("id IN (1 + 1, v)", '"id" IN ((1 + 1), "v")'),
        ("id = 14 / 2", '"id" = (14 / 2)'),
        ("id = '7' || ''", "\"id\" = ('7' || '')"),
        ("id = 2147483647 + 1", '"id" = (2147483647 + 1)'),
        ("id IN (1 + 1, 'x'::INTEGER)", "\"id\" IN ((1 + 1), CAST('x' AS INT))"),
        ("'x'::BOOLEAN", "CAST('x' AS BOOLEAN)"),
        ("_key = 'u:' || chr(0)", "\"_key\" = ('u:' || chr(0))"),
        ("_key = repeat('u', 3)", "\"_key\" = repeat('u', 3)"),
        ("_key = ('u:7' COLLATE NOCASE)", "\"_key\" = 'u:7' COLLATE NOCASE"),
        ("NOT (1 = 0)", "NOT (1 = 0)"),
        ("1 = 1", "1 = 1"),
        ("1 = 0 OR v = 7", 'FALSE OR ("v" = 7)'),
    ],
)
def test_other_filters_stay_as_they_are(condition: str, filter_: str) -> None:
    made = plan(USERS, f"SELECT v FROM t WHERE {condition}")
    assert (made.reader, made.filter) == ("module", filter_)


def test_dates_are_folded() -> None:
    days = table("d:{day}", day="DATE")
    assert keys(days, "day = DATE '2024-02-28' + 1") == ["d:2024-02-29"]
    assert keys(days, "day = DATE '2024-02-28' + INTERVAL 1 DAY") == ["d:2024-02-29"]
    assert keys(days, "day IN (DATE '2024-01-31' + INTERVAL 1 MONTH, '2024-01-01')") is not None
    assert keys(days, "day = DATE '2024-02-28' + INTERVAL 1 HOUR") is None
    assert keys(days, "day = TIMESTAMP '2024-02-28 00:00:00' + INTERVAL 0 HOUR") == ["d:2024-02-28"]
    assert keys(days, "day = CAST('infinity' AS DATE) + 0") is None


def test_a_folded_placeholder_narrows_the_pattern() -> None:
    made = plan(table("u:{c}:{id}"), "SELECT v FROM t WHERE c = 'd' || 'e'")
    assert (made.reader, made.shard.scans[0].fixed[0].constants) == ("module", ("de",))


EACH: list[tuple[str, list[list[Any]]]] = [
    ("SELECT s FROM t WHERE c = 'x' AND id = ? + 1", [[7], [8], [-1]]),
    ("SELECT s FROM t WHERE c = 'd' || ? AND id = 7", [["e"], ["x"]]),
    ("SELECT s FROM t WHERE c = 'x' AND id = ? + 1 AND a = ?", [[7, 8], [3, 8], [5, 6]]),
    ("SELECT s FROM t WHERE c = 'x' AND id = CASE WHEN ? > ? THEN 1 ELSE ? END", [[1, 2, 3], [3, 2, 3]]),
    ("SELECT s FROM t WHERE c = 'x' AND id = coalesce(?, ?)", [[1, 2], [2, 3]]),
    ("SELECT s FROM t WHERE ? > 3 AND a > 1", [[1], [2], [3]]),
]


@pytest.mark.parametrize(("text", "sets"), EACH)
def test_parameters_are_folded_with_their_values(text: str, sets: list[list[Any]]) -> None:
    plans = Plans(3)
    for values in sets * 2:
        found = plans.find(text, values)
        assert not found.filled
        assert found.plan == plans.compile(text, values).plan
        assert getattr(found.plan, "reader", None) == "point"


def test_a_plan_is_filled_in_where_nothing_of_its_keys_is_computed() -> None:
    plans = Plans(3)
    for value in range(5):
        plans.find("SELECT s FROM t WHERE c = 'd' || 'e' AND a = ? + 1", [value])
    assert plans.compiled == 2


def test_a_plan_that_is_filled_in_may_scan_where_another_need_not() -> None:
    plans = Plans(3)
    text = "SELECT s FROM t WHERE ? > 3 AND a > 1"
    for value in (7, 8, 1):
        assert "FALSE" not in str(plans.find(text, [value]).plan)
    assert plans.compiled == 2
