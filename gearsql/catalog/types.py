"""The types that a column can have: DuckDB's names and aliases → one canonical name each."""

from __future__ import annotations

import re

_SPELLINGS = {
    "BOOLEAN": "BOOL LOGICAL",
    "TINYINT": "INT1",
    "SMALLINT": "INT2 INT16 SHORT",
    "INTEGER": "INT INT4 INT32 INTEGRAL SIGNED",
    "BIGINT": "INT8 INT64 LONG OID",
    "HUGEINT": "INT128",
    "UTINYINT": "UINT8",
    "USMALLINT": "UINT16",
    "UINTEGER": "UINT32",
    "UBIGINT": "UINT64",
    "UHUGEINT": "UINT128",
    "FLOAT": "FLOAT4 REAL",
    "DOUBLE": "FLOAT8 DOUBLE_PRECISION",
    "VARCHAR": "TEXT STRING CHAR BPCHAR NVARCHAR CHARACTER_VARYING",
    "BLOB": "BYTEA BINARY VARBINARY",
    "DATE": "",
    "TIME": "TIME_WITHOUT_TIME_ZONE",
    "TIME_NS": "",
    "TIME WITH TIME ZONE": "TIMETZ",
    "TIMESTAMP": "DATETIME TIMESTAMP_US TIMESTAMP_WITHOUT_TIME_ZONE",
    "TIMESTAMP_S": "",
    "TIMESTAMP_MS": "",
    "TIMESTAMP_NS": "",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "INTERVAL": "",
    "UUID": "GUID",
    "JSON": "",
}
_BLANK = re.compile("_(?!(?:U|M|N)?S$)")  # TIMESTAMP_US is one word
_CANONICAL = {
    _BLANK.sub(" ", spelling): name
    for name, spellings in _SPELLINGS.items()
    for spelling in (name, *spellings.split())
}
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC|DEC)(?: ?\( ?(\d+) ?(?:, ?(\d+) ?)?\))?")
_MAX_PRECISION = 38
_VALUE = r"'((?:[^'\0]|'')*)'"
_ENUM = re.compile(rf"\s*ENUM\s*\(\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*\)\s*", re.IGNORECASE)
_VALUES = re.compile(_VALUE)
_LENGTH = re.compile(r" ?\( ?\d+ ?\)$")  # DuckDB reads VARCHAR(10) and ignores the length


def readable_types() -> tuple[str, ...]:
    """The canonical names, DECIMAL and ENUM without their arguments."""
    return (*_SPELLINGS, "DECIMAL", "ENUM")


def enum_values(canonical: str) -> list[str]:
    """Return the values of an ENUM('a', 'b'), in their order."""
    return [value.replace("''", "'") for value in _VALUES.findall(canonical)]


def has_enum(type_: str) -> bool:
    """Whether an ENUM is in a type of DuckDB's: Arrow brings its values as VARCHAR."""
    return "ENUM(" in type_


def canonical_type(text: str) -> str | None:
    """Return the canonical name of a type as a user writes it, None if fields cannot be read as that type."""
    if _ENUM.fullmatch(text):
        return _enum(text)
    words = " ".join(text.upper().split())
    decimal = _DECIMAL.fullmatch(words)
    if decimal:
        return _decimal(decimal)
    unbounded = _CANONICAL.get(_LENGTH.sub("", words))
    return unbounded if unbounded == "VARCHAR" else _CANONICAL.get(words)


def _enum(text: str) -> str | None:
    values = _VALUES.findall(text)
    if len(set(values)) < len(values):
        return None
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"ENUM({quoted})"


def _decimal(match: re.Match[str]) -> str | None:
    precision = int(match[1]) if match[1] else 18
    scale = int(match[2]) if match[2] else (0 if match[1] else 3)
    if not 1 <= precision <= _MAX_PRECISION or scale > precision:
        return None
    return f"DECIMAL({precision},{scale})"
