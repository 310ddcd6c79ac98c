"""Rows as JSON without loss: all digits of HUGEINT and DECIMAL as numbers, bytes as hexadecimal text.

NaN and infinities, which JSON lacks, are the texts "NaN", "Infinity", "-Infinity"; dates, times, intervals
(in DuckDB's form: Python has neither months nor infinite dates) and UUIDs are texts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

# Keywords that are names have quotes, as have an ENUM's values; behind a bare name comes its type.
_QUOTED = r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\''
_MOMENT = r"\b(?:TIMESTAMP(?:_\w+)?|TIME(?:_NS)?|DATE|INTERVAL)(?: WITH TIME ZONE)?\b(?! )"


def moments_as_text(type_: str) -> str:
    """Return DuckDB's type with VARCHAR in place of dates, times and intervals, at any depth."""
    return re.sub(f"({_QUOTED})|{_MOMENT}", lambda found: found[1] or "VARCHAR", type_)


def json_line(names: Sequence[str], row: Sequence[Any]) -> str:
    """Return a row as an object."""
    return _object(dict(zip(names, row, strict=True)))


def json_value(value: Any) -> str:
    """Return any value that DuckDB fetches as JSON."""
    match value:
        case None | bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return repr(value) if math.isfinite(value) else json.dumps(_not_finite(value))
        case Decimal():
            return format(value, "f")
        case bytes():
            return json.dumps(value.hex())
        case dict():
            return _object(value)
        case list() | tuple():
            return "[" + ", ".join(map(json_value, value)) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names with `_1`, `_2`, … where one is there before: an object has each key once."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def _object(pairs: dict[Any, Any]) -> str:
    members = (
        f"{json.dumps(str(key), ensure_ascii=False)}: {json_value(value)}" for key, value in pairs.items()
    )
    return "{" + ", ".join(members) + "}"


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
