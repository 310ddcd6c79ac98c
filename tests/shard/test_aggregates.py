"""The contract of aggregates: any partition of the rows into shards and batches gives the same result."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .driver import Driver, HookFailed, aggregate

GEOMETRIC = """
class geometric:
    def __init__(self):
        self.product, self.count, self.seen = 1, 0, {}

    def accumulate(self, x, weight):
        self.product *= x ** weight
        self.count += weight
        self.seen[x] = self.seen.get(x, 0) + weight

    def merge(self, other):
        self.product *= other.product
        self.count += other.count
        for x, weight in other.seen.items():
            self.seen[x] = self.seen.get(x, 0) + weight

    def finish(self):
        if not self.count:
            return None
        return f"{self.product} {self.count} {sorted(self.seen.items())}"
"""
MEAN = aggregate("geometric", "x BIGINT; weight BIGINT", "VARCHAR", GEOMETRIC)
# Keeps what it is given, as careless code does: merge() makes two states share a list.
CARELESS = """
class gather:
    def __init__(self):
        self.items = []
    def accumulate(self, x):
        self.items.append(x)
    def merge(self, other):
        if not self.items:
            self.items = other.items
        else:
            self.items.extend(other.items)
    def finish(self):
        return sorted(self.items)
"""
GATHER = aggregate("gather", "x BIGINT", "BIGINT[]", CARELESS)
ROW = st.tuples(st.none() | st.integers(1, 30), st.none() | st.integers(1, 3))


def expected(rows: list[tuple[int | None, int | None]]) -> str | None:
    whole = [(x, weight) for x, weight in rows if x is not None and weight is not None]
    if not whole:
        return None
    seen: dict[int, int] = {}
    for x, weight in whole:
        seen[x] = seen.get(x, 0) + weight
    product = math.prod(x**weight for x, weight in whole)
    return f"{product} {sum(seen.values())} {sorted(seen.items())}"


def batches(data: st.DataObject, rows: list[Any]) -> list[list[Any]]:
    """The rows in order, cut anywhere."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    return [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]


@given(st.lists(st.tuples(st.integers(0, 2), ROW), max_size=30), st.data())
def test_any_partition_gives_the_same(
    session: Driver, rows: list[tuple[int, Any]], data: st.DataObject
) -> None:
    """Rows go to three shards; there in batches, to one state or several; then all states to one merge."""
    travelled = []
    for shard in range(3):
        session.begin(MEAN)
        mine = [row for home, row in rows if home == shard]
        for batch in batches(data, mine):
            handles = [data.draw(st.integers(1, 3)) for _ in batch]
            session.update(handles, *([row[place] for row in batch] for place in (0, 1)))
        session.combine([1, 2], [3, 3])
        travelled += session.states(data.draw(st.sampled_from([[3], [3, 9]])))
        session.end()
    session.begin(MEAN)
    shuffled = data.draw(st.permutations(travelled))
    members = [{"a0": row[0], "a1": row[1]} for _, row in rows]
    wanted = expected([row for _, row in rows])
    assert session.merge([shuffled]) == [wanted]
    assert session.whole([members]) == [wanted]
    session.end()


def test_groups_have_states_of_their_own(session: Driver) -> None:
    session.begin(GATHER)
    session.update([7, 8, 7, 8, 9], [1, 2, 3, 4, 5])
    assert session.finish([7, 8, 9, 10]) == [[1, 3], [2, 4], [5], []]
    session.end()
    session.begin(GATHER)
    assert session.finish([7]) == [[]]


def test_two_stages_do_not_share_states(session: Driver) -> None:
    session.begin(GATHER)
    session.update([1], [1])
    first = session.stage
    session.begin(GATHER)
    session.update([1], [2])
    assert session.finish([1]) == [[2]]
    session.stage = first
    assert session.finish([1]) == [[1]]


def test_a_source_stays_when_its_copy_changes(session: Driver) -> None:
    session.begin(GATHER)
    session.update([1], [1])
    session.combine([1], [2])
    session.update([2], [5])
    assert session.finish([1, 2]) == [[1], [1, 5]]


def test_a_state_that_saw_no_row_travels(session: Driver) -> None:
    session.begin(GATHER)
    states = session.states([5])
    assert session.merge([states, [], None, states * 2]) == [[], [], [], []]


def test_null_arguments_are_left_out_or_seen(session: Driver) -> None:
    count = aggregate("count", "x BIGINT", "BIGINT", "class count:\n" + COUNT, called_on_null=True)
    session.begin(GATHER, count)
    session.update([1, 1, 1], [1, None, 2])
    session.update([2, 2, 2], [1, None, 2], index=1)
    assert session.finish([1]) == [[1, 2]] and session.finish([2], index=1) == [3]
    assert session.whole([[{"a0": 1}, {"a0": None}]], index=1) == [2]
    assert session.whole([[{"a0": 1}, {"a0": None}]]) == [[1]]


COUNT = """    n = 0
    def accumulate(self, x): self.n += 1
    def merge(self, other): self.n += other.n
    def finish(self): return self.n
"""


def test_falsy_states_are_states(session: Driver) -> None:
    source = "class total:\n    def __init__(self): self.n = 0\n    def accumulate(self, x): self.n += x\n"
    source += "    def merge(self, other): self.n += other.n\n    def finish(self): return self.n\n"
    source += "    def __len__(self): return 0\n    def __bool__(self): return False\n"
    session.begin(aggregate("total", "x BIGINT", "BIGINT", source))
    session.update([1, 2, 1], [5, 0, -5])
    session.combine([1], [2])
    assert session.finish([1, 2]) == [0, 0]
    assert session.merge([session.states([1, 2])]) == [0]


@pytest.mark.parametrize("method", ["accumulate", "merge", "finish"])
def test_errors_tell_the_method_and_its_line(session: Driver, method: str) -> None:
    bodies = dict.fromkeys(("accumulate", "merge", "finish"), "pass") | {method: "1 / 0"}
    source = "class bad:\n" + "".join(
        f"    def {name}(self{'' if name == 'finish' else ', x'}):\n        {body}\n"
        for name, body in bodies.items()
    )
    session.begin(aggregate("bad", "x BIGINT", "BIGINT", source))
    with pytest.raises(HookFailed) as caught:
        session.update([1, 2], [5, 6])
        session.combine([1, 1], [2, 2])
        session.finish([2])
    told = caught.value.told
    line = source.splitlines().index("        1 / 0") + 1
    assert f'File "<function bad>", line {line}, in {method}' in told["traceback"]
    assert told["type"] == "ZeroDivisionError"
    if method == "accumulate":
        assert told["row"] == 0 and told["arguments"] == [["x", "5"]]


def test_a_state_that_cannot_travel_is_named(session: Driver) -> None:
    source = "class bad:\n    def accumulate(self, x): self.f = lambda: x\n    def merge(self, o): pass\n"
    session.begin(aggregate("bad", "x BIGINT", "BIGINT", source + "    def finish(self): return 1\n"))
    session.update([1], [1])
    with pytest.raises(HookFailed, match="travels as plain values, and function is none"):
        session.states([1])
    assert session.finish([1]) == [1]


def test_a_result_that_does_not_fit_is_named(session: Driver) -> None:
    session.begin(aggregate("count", "x BIGINT", "VARCHAR", "class count:\n" + COUNT))
    session.update([1], [1])
    with pytest.raises(HookFailed) as caught:
        session.finish([1])
    assert caught.value.told["kind"] == "result"
    assert caught.value.told["message"] == "VARCHAR needs a str, not int: 1"


def test_a_hostile_state_is_refused(session: Driver) -> None:
    session.begin(GATHER)
    with pytest.raises(HookFailed, match="not a state"):
        session.merge([[b'{"x": 1}']])
    with pytest.raises(HookFailed, match="can't decode"):
        session.merge([[b"\xff"]])


def test_a_class_may_inherit_its_methods(session: Driver) -> None:
    source = "class Base:\n" + COUNT + "class count(Base):\n    pass\n"
    session.begin(aggregate("count", "x BIGINT", "BIGINT", source))
    session.update([1, 1], [1, 2])
    assert session.finish([1]) == [2]


def test_a_class_that_inherits_too_little_is_refused(session: Driver) -> None:
    with pytest.raises(HookFailed, match=r"has no accumulate\(\)"):
        session.begin(aggregate("count", "x BIGINT", "BIGINT", "class count(dict):\n    pass"))
