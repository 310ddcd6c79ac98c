"""A first round of the fuzzers (tests/fuzz), so that none of them rots; `make fuzz` does the million."""

from __future__ import annotations

import pytest

from tests.fuzz import native, sql
from tests.fuzz.seeds import SEEDS

# All of the module is compiled for it.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def built() -> None:
    native.build(list(SEEDS))


@pytest.mark.parametrize("target", SEEDS)
def test_changed_bytes_do_no_harm(built: None, target: str) -> None:
    outcome = native.run(target, 10_000, seed=2)
    assert outcome.crash is None, outcome.said


def test_changed_statements_are_statements_or_errors_with_a_place() -> None:
    assert sql.run(5_000, seed=2) is None
