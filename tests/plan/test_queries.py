"""Whole queries answer over any number of shards what DuckDB answers over all rows in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def _queries(name: str) -> list[str]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("--")]


@pytest.mark.parametrize("query", _queries("queries.sql"))
def test_rows(play: Any, query: str) -> None:
    play.check(query)


@pytest.mark.parametrize("query", _queries("queries_in_order.sql"))
def test_rows_in_order(play: Any, query: str) -> None:
    play.check(query, ordered=True)


@pytest.mark.parametrize("limit", ["LIMIT 3", "LIMIT 3 OFFSET 4", "LIMIT 1000", "OFFSET 397"])
@pytest.mark.parametrize("what", ["a", "DISTINCT id", "DISTINCT h", "g, count(*)"])
def test_limit_without_order_gives_as_many_rows_as_duckdb(play: Any, what: str, limit: str) -> None:
    query = f"SELECT {what} FROM t {'GROUP BY g' if 'count' in what else ''} {limit}"
    rows = len(play.oracle.sql(query).fetchall())
    assert [play.answer(query, spread).num_rows for spread in play.spreads] == [rows] * len(play.spreads)
