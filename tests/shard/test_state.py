"""States of aggregates travel as text and come back equal; what cannot travel is named, with its place."""

from __future__ import annotations

import json
from collections import Counter, deque
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearsql.shard.state import StateError, decode, encode, instance_of, state_of

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
KEYS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=OFFSETS),
    st.timedeltas(),
    st.uuids(),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = KEYS | st.tuples(KEYS) | st.frozensets(KEYS, max_size=2)
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, st.integers(), max_size=4).map(Counter),
        st.builds(deque, st.lists(inner, max_size=4), st.none() | st.integers(0, 5)),
        st.binary().map(bytearray),
    )


@given(st.recursive(KEYS, containers, max_leaves=12))
def test_plain_values_come_back_equal(value: Any) -> None:
    back = decode(encode(value))
    assert type(back) is type(value) and back == value


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), -0.0, 5e-324, True, 1, 1.0, 2**63, -(2**63)])
def test_numbers_come_back_as_they_are(value: Any) -> None:
    assert type(decode(encode(value))) is type(value) and decode(encode(value)) == value


def test_nan_comes_back() -> None:
    [back] = decode(encode([float("nan")]))
    assert back != back


class Slots:
    __slots__ = ("a", "b")


class Own:
    def __init__(self) -> None:
        self.lines = ["x"]

    def __getstate__(self) -> str:
        return ",".join(self.lines)

    def __setstate__(self, state: str) -> None:
        self.lines = state.split(",")


class Plain:
    def __init__(self, total: Any = 0) -> None:
        self.total = total


def test_an_instance_is_its_attributes() -> None:
    state = state_of(Plain(Decimal("1.50")))
    assert json.loads(state) == {"m": [["total", {"n": "1.50"}]]}
    assert vars(instance_of(Plain, state)) == {"total": Decimal("1.50")}


def test_an_instance_may_have_slots_a_state_of_its_own_or_nothing() -> None:
    slots = Slots()
    slots.a = 5  # type: ignore[attr-defined]
    back = instance_of(Slots, state_of(slots))
    assert back.a == 5 and not hasattr(back, "b")
    own = Own()
    own.lines = ["a", "b"]
    assert instance_of(Own, state_of(own)).lines == ["a", "b"]
    assert isinstance(instance_of(object, state_of(object())), object)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 1, "function is none: <function"),
        ({"seen": [1, object()]}, r"object is none: .* in seen\[1\]"),
        ({"by": {5: {"x": 1 + 2j}}}, r"complex is none: .* in by\[5\]\['x'\]"),
        (Plain(), "Plain is none"),
        (datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), "time zone that is not a fixed offset"),
    ],
)
def test_what_cannot_travel_is_named(value: object, message: str) -> None:
    with pytest.raises(StateError, match=message):
        encode(value)


def test_a_state_that_holds_itself_is_named() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(StateError, match="holds itself"):
        encode(loop)


@pytest.mark.parametrize("number", [10**5000, -(10**5000)], ids=["large", "small"])
def test_numbers_of_any_length_come_back(number: int) -> None:
    assert decode(encode(number)) == number


HOSTILE = """
{ {} {"x":1} {"b":5} {"b":"?"} {"n":"x"} {"a":1,"b":2} {"m":[1]} {"u":"x"} {"d":"x"} {"i":"x"}
{"s":[[]]} {"D":1} {"T":5} {"l":5} {"f":null}
"""


@pytest.mark.parametrize("text", ["", *HOSTILE.split(), "[" * 100_000])
def test_a_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


def test_times_keep_their_offset() -> None:
    value = datetime(2024, 1, 1, tzinfo=UTC)
    assert decode(encode(value)).tzinfo == UTC
