"""An aggregate's state as text that travels: JSON, never a pickle.

JSON's own values are themselves, a list is a list, and all else is an object with one member, its name a tag:

    {"b": base64} bytes     {"B": base64} bytearray     {"n": text} Decimal     {"i": hex} int beyond 64 bits
    {"d"|"t"|"T": ISO text} date, time, datetime        {"z": [days, seconds, µs]} timedelta
    {"u": hex} UUID         {"l": […]} tuple            {"s": […]} set          {"f": […]} frozenset
    {"m": [[key, value], …]} dict                       {"C": [[key, count], …]} Counter
    {"D": [max, […]]} deque

Whoever reads makes plain values of it and nothing else: the worst that a hostile state can be is large.
"""

from __future__ import annotations

import copyreg
from base64 import b64decode, b64encode
from collections import Counter, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from json import dumps, loads
from typing import Any
from uuid import UUID

_WIDE = 2**63


class StateError(TypeError):
    """A state holds what cannot travel."""


def encode(value: object) -> bytes:
    """Return the text of a plain value; StateError names what is not one, and where it is."""
    try:
        return dumps(_told(value, ""), separators=(",", ":")).encode()
    except RecursionError:
        raise StateError("the state holds itself, or nests too deeply") from None


def decode(text: bytes | str) -> Any:
    """Return what encode() was given. ValueError: it is not such a text."""
    try:
        return _read(loads(text))
    except (TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not a state: {error}") from error


def state_of(instance: object) -> bytes:
    """Return the text of an aggregate's instance: of its __getstate__(), or of its attributes."""
    return encode(instance.__getstate__())


def instance_of(cls: type[Any], text: bytes) -> Any:
    """Return an instance with that state; its __init__ does not run."""
    state = decode(text)
    instance: Any = copyreg.__newobj__(cls)  # type: ignore[attr-defined]
    restore = getattr(instance, "__setstate__", None)
    if restore is not None:
        restore(state)
        return instance
    # As object.__getstate__ tells it: attributes, or attributes and slots.
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if not isinstance(attributes or {}, dict) or not isinstance(slots or {}, dict):
        raise StateError(f"{cls.__name__} has a __getstate__() of its own, and no __setstate__()")
    for name, value in {**(attributes or {}), **(slots or {})}.items():
        object.__setattr__(instance, name, value)
    return instance


def _told(value: Any, place: str) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_WIDE <= value < _WIDE else {"i": hex(value)}
    if kind is list:
        return _items(value, place)
    tell = _TELL.get(kind)
    if tell is None:
        where = f" in {place}" if place else ""
        what = f"{kind.__qualname__} is none: {value!r:.100}{where}"
        raise StateError(f"an aggregate's state travels as plain values, and {what}")
    tag, told = tell(value, place)
    return {tag: told}


def _items(values: Any, place: str) -> list[Any]:
    return [_told(value, f"{place}[{index}]") for index, value in enumerate(values)]


def _pairs(values: dict[Any, Any], place: str) -> list[Any]:
    return [[_told(key, f"{place} key"), _told(value, _inside(place, key))] for key, value in values.items()]


def _inside(place: str, key: object) -> str:
    return f"{place}[{key!r:.40}]" if place else f"{key:.40}" if isinstance(key, str) else f"{key!r:.40}"


def _zoned(tag: str) -> Callable[[Any, str], tuple[str, Any]]:
    def tell(value: Any, place: str) -> tuple[str, Any]:
        if value.tzinfo is not None and type(value.tzinfo) is not timezone:
            raise StateError(
                f"a time zone that is not a fixed offset cannot travel: {value!r:.100} in {place}"
            )
        return tag, value.isoformat()

    return tell


def _text(value: bytes | bytearray) -> str:
    return b64encode(value).decode()


_TELL: dict[type[Any], Callable[[Any, str], tuple[str, Any]]] = {
    bytes: lambda value, _: ("b", _text(value)),
    bytearray: lambda value, _: ("B", _text(value)),
    Decimal: lambda value, _: ("n", str(value)),
    date: lambda value, _: ("d", value.isoformat()),
    time: _zoned("t"),
    datetime: _zoned("T"),
    timedelta: lambda value, _: ("z", [value.days, value.seconds, value.microseconds]),
    UUID: lambda value, _: ("u", value.hex),
    tuple: lambda value, place: ("l", _items(value, place)),
    set: lambda value, place: ("s", _items(value, place)),
    frozenset: lambda value, place: ("f", _items(value, place)),
    dict: lambda value, place: ("m", _pairs(value, place)),
    Counter: lambda value, place: ("C", _pairs(value, place)),
    deque: lambda value, place: ("D", [value.maxlen, _items(value, place)]),
}


def _read(told: Any) -> Any:
    if isinstance(told, list):
        return [_read(item) for item in told]
    if not isinstance(told, dict):
        return told
    if len(told) != 1:
        raise ValueError("not a state: an object has one member, a tag")
    [(tag, inside)] = told.items()
    return _READ[tag](inside)


def _map(told: Any) -> dict[Any, Any]:
    return {_read(key): _read(value) for key, value in told}


_READ: dict[str, Callable[[Any], Any]] = {
    "b": lambda told: b64decode(told, validate=True),
    "B": lambda told: bytearray(b64decode(told, validate=True)),
    "n": Decimal,
    "i": lambda told: int(told, 16),
    "d": date.fromisoformat,
    "t": time.fromisoformat,
    "T": datetime.fromisoformat,
    "z": lambda told: timedelta(*told),
    "u": UUID,
    "l": lambda told: tuple(map(_read, told)),
    "s": lambda told: set(map(_read, told)),
    "f": lambda told: frozenset(map(_read, told)),
    "m": _map,
    "C": lambda told: Counter(_map(told)),
    "D": lambda told: deque(map(_read, told[1]), told[0]),
}
