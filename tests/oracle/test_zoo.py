"""Every query over small odd tables answers what DuckDB answers, on every kind of server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.cases import Case, read_cases
from tests.oracle.conftest import Place
from tests.oracle.judge import Oracle, judge

CASES = read_cases(Path(__file__).with_name("zoo.sql"))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_are_duckdbs(place: Place, oracle: Oracle, case: Case) -> None:
    for table in place.tables:
        judge(place.connection, oracle, case.over("zoo", table))
