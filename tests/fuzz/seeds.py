"""What the fuzzers start from: whole inputs, and the words that they are changed with."""

# ruff: noqa: E501

from __future__ import annotations

import struct
from pathlib import Path

from gearsql.version import VERSION
from tests.module.raw import Scan, execute_words

PART = b"\xff"


def _joined(*words: object) -> bytes:
    return PART.join(word if isinstance(word, bytes) else str(word).encode() for word in words)


def _stages() -> list[bytes]:
    """The DuckDB of fake.c is 0.0.0."""
    plain = execute_words("SELECT 1", Scan(), engine="0.0.0")
    full = execute_words(
        "SELECT 1",
        Scan(template=("user:", ":", ""), columns=[("a", "BIGINT", "p0"), ("b", "DECIMAL(10,2)", "p1")]),
        Scan(glob="*[a-z]?\\", nulls=["", "null"], on_error="null"),
        Scan(columns=[("k", "VARCHAR", "k"), ("f", "TIMESTAMP", "ff\0g")], on_error="skip", cast="duckdb"),
        Scan(columns=[("j", "JSON", "fj"), ("l", 'STRUCT("a" MAP(VARCHAR, JSON))[]', "fl")]),
        engine="0.0.0",
    )
    slots = [*plain[:6], "SLOTS", 2, 0, 99, 200, 16383, *plain[6:]]
    hooks = [*plain[:-2], "HOOKS", "session", 2, "f", "abc", "f", "abc", *plain[-2:]]
    mode = [*plain[:6], "MODE", "snapshot", *plain[6:]]
    number, name = struct.pack("<Qq", 1, 5), 'STRUCT("a" VARCHAR[])'
    given = [
        *plain[:-2],
        "GIVEN",
        1,
        1,
        "n",
        "BIGINT",
        number,
        "GIVEN",
        3,
        2,
        "a",
        name,
        "b",
        "DATE",
        "",
        *plain[-2:],
    ]
    return [_joined(*words) for words in (plain, full, slots, hooks, mode, given)]


def _patterns() -> list[bytes]:
    globs = ("user:*", "*", "**a*b*c", "h[^a-e]llo", "h\\*[a-", "[", "\\", "?b?", "[z-a]", "[\\]-x]*")
    keys = ("user:1", "", "aabbcc", "hello", "h*a", "]", "\\", "abc", "m", "]x")
    templates = [
        _joined("user:", ":", "", "user:1:2"),
        _joined("", "x", "axbx"),
        _joined("a", "", "b", "axyb"),
    ]
    return [_joined(glob, key) for glob, key in zip(globs, keys, strict=True)] + templates


_VALUES = {
    "BOOLEAN": "true",
    "TINYINT": "-128",
    "UBIGINT": "18446744073709551615",
    "UHUGEINT": "340282366920938463463374607431768211455",
    "HUGEINT": "-170141183460469231731687303715884105728",
    "FLOAT": "3.4028235e38",
    "DOUBLE": "2.2250738585072011e-308",
    "DECIMAL(38,10)": "1234567890123456789012345678.0123456789",
    "DATE": "2024-02-29",
    "TIME": "23:59:59.999999",
    "TIME_NS": "23:59:59.999999999",
    "TIME WITH TIME ZONE": "23:59:59.9-15:59:59",
    "TIMESTAMP": "9999-12-31T23:59:59.1",
    "TIMESTAMP_S": "9999-12-31 23:59:59",
    "TIMESTAMP_MS": "1969-12-31 23:59:59.999",
    "TIMESTAMP_NS": "1677-09-21 00:12:43.145224193",
    "TIMESTAMP WITH TIME ZONE": "2024-02-29 01:02:03.5-15:59",
    "INTERVAL": "-1 year 2 months -3 days 100:05:06.7",
    "ENUM('a', 'b''c', '')": "b'c",
    "UUID": "01234567-89ab-cdef-0123-456789abcdef",
    "VARCHAR": "é𝄞\0a",
    "BLOB": "abc",
    "JSON": '{"a": [1, "\\u00e9"]}',
}
_HOOK_TYPES = ("BIGINT[]", 'STRUCT("a" BIGINT, "b""c" VARCHAR[][])[]', "INTERVAL[]")


def _casts() -> list[bytes]:
    return [_joined(type, value) for type, value in _VALUES.items()] + [_joined(t, "x") for t in _HOOK_TYPES]


def _nested() -> list[bytes]:
    return [
        _joined("INTEGER[]", "[1, null, 3]"),
        _joined(
            'STRUCT("a" VARCHAR, "b" DOUBLE[])[]',
            '[{"a": "longer than twelve", "b": []}, {"b": [1e3]}, null]',
        ),
        _joined(
            'MAP(VARCHAR, STRUCT("j" JSON, "m" MAP(VARCHAR, BOOLEAN)))',
            '{"x": {"m": {"\\u0061": true, "b": null}}}',
        ),
        _joined(
            'STRUCT("a" INTEGER[2][], "b" DATE[2])[2]',
            '[{"a": [[1, null], null], "b": null}, {"b": ["2024-02-29", null]}]',
        ),
        _joined("MAP(DECIMAL(4,1), MAP(TIME_NS, DOUBLE[1]))", '{"1.5": {"01:02:03": [1]}, "-2": null}'),
    ]


def _nodes() -> list[bytes]:
    me, other = "a" * 40, "b" * 40
    lines = (
        f"{other} 127.0.0.1:7001@17001 master - 0 1700000000000 2 connected 8192-16383",
        f"{me} 127.0.0.1:7000@17000,host myself,master - 0 0 1 connected 0-99 200 [300->-{other}] [400-<-{other}]",
    )
    return ["\n".join(lines).encode(), lines[1].replace("master", f"slave {other}").encode(), b""]


def _functions() -> list[bytes]:
    scalar = (7, "abc123", "f", "SCALAR", "SESSION", "IMMUTABLE", "PARAMS", 2, "BIGINT", "VARCHAR[]")
    one = (*scalar, "RETURNS", 'STRUCT("a" BIGINT)', "DEFINITION", '{"a": 1}')
    two = (
        8,
        "0",
        "é",
        "AGGREGATE",
        "process",
        "VOLATILE",
        "PARAMS",
        0,
        "RETURNS",
        "BLOB",
        "DEFINITION",
        "{}",
    )
    parts = (str(word).encode() for word in one)
    record = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    dropped = b"".join(struct.pack("<I", len(part)) + part for part in (b"9", b"f"))
    return [_joined(*one), _joined(*two), _joined(9, "f"), record, dropped]


def _batches() -> list[bytes]:
    """Columns of three rows, the second one NULL."""
    valid = struct.pack("<Q", 0b101)
    offsets = struct.pack("<4Q", 0, 1, 1, 3)
    numbers = struct.pack("<3q", 1, 0, -3)
    cells = {
        "BOOLEAN": valid + bytes([1, 0, 0, 0, 0, 0, 0, 0]),
        "INTEGER": valid + struct.pack("<4i", 1, 2, 3, 0),
        "BIGINT": valid + numbers,
        "DECIMAL(4,1)": valid + struct.pack("<4h", 9999, 0, -1, 0),
        "UUID": valid + bytes(48),
        "DATE": valid + struct.pack("<4i", 0, -719162, 2932896, 0),
        "TIMESTAMP": valid + numbers,
        "TIMESTAMP WITH TIME ZONE": valid + numbers,
        "VARCHAR": valid + offsets + b"a\xc3\xa9".ljust(8, b"\0"),
        "BLOB": valid + offsets + b"abc".ljust(8, b"\0"),
        "BIGINT[]": valid + offsets + struct.pack("<Q", 7) + numbers,
        "VARCHAR[][]": valid + offsets + struct.pack("<Q", 7) + struct.pack("<4Q", 0, 0, 1, 2)
        + struct.pack("<Q", 3) + struct.pack("<3Q", 0, 1, 2) + b"ab".ljust(8, b"\0"),
        'STRUCT("a" BIGINT, "b" VARCHAR)': valid + valid + numbers + valid + offsets + b"abc".ljust(8, b"\0"),
        'STRUCT("a" INTEGER[])[]': valid + offsets + struct.pack("<Q", 7) + struct.pack("<Q", 7)
        + struct.pack("<4Q", 0, 1, 1, 1) + struct.pack("<Q", 1) + struct.pack("<2i", 5, 0),
    }  # fmt: skip
    return [type.encode() + PART + bytes([3]) + column for type, column in cells.items()]


_STAGE_WORDS = "VERSION DUCKDB SLOTS SCAN error null skip GLOB TEMPLATE NULLS COLUMNS GIVEN HOOKS SQL MODE LIMITS RELATION CAST duckdb"
_NUMBERS = "0 1 2 3 255 4096 16383 16384 -1 99999999999999999999 9223372036854775807"
_TYPES = " ".join([*_VALUES, "BIGINT", "SMALLINT", "UTINYINT", "DECIMAL(4,1)"])

SEEDS = {
    "stage": _stages,
    "pattern": _patterns,
    "cast": _casts,
    "batch": _batches,
    "slots": _nodes,
    "function": _functions,
    "nested": _nested,
}
WORDS = {
    "stage": f"{_STAGE_WORDS} {_NUMBERS} {_TYPES} {VERSION} 0.0.0 k p0 p1 p999 fage f abc user:* auto sliced snapshot",
    "pattern": "* ? [ ] \\ [^ a-z - ** user: : a",
    "cast": f"{_NUMBERS} {_TYPES} ENUM( ' [] STRUCT( ) \" , DECIMAL( e E . - + nan inf Infinity : T Z +02:00 year months day - e400 00000000000000000000",
    "batch": f'{_TYPES} [] STRUCT("a" , ) INTERVAL',
    "slots": f"myself master slave connected [ ] ->- -<- - 0-16383 , {_NUMBERS}",
    "function": f"{_NUMBERS} {_TYPES} SCALAR AGGREGATE SESSION PROCESS MAIN VOLATILE PARAMS RETURNS DEFINITION {{}} [] STRUCT(",
    "nested": f'{_NUMBERS} {_TYPES} JSON [] STRUCT("a" MAP(VARCHAR, {{ }} [ ] : , null true "a" \\u0061 \\ud800',
}


def write_seeds(target: str, folder: Path) -> list[Path]:
    """Write a target's seeds into files, and its words into `words`, one a line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words").write_text("\n".join(WORDS[target].split()) + "\n")
    paths = []
    for number, seed in enumerate(SEEDS[target]()):
        paths.append(folder / f"seed-{number}")
        paths[-1].write_bytes(seed)
    return paths
