"""Columns of lists, structs and maps against a reference in Python, which reads with json."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from gearsql import native
from gearsql.catalog.hook_types import (
    ArrayOf,
    HookType,
    ListOf,
    MapOf,
    Plain,
    StructOf,
    column_type,
    parse_type,
)
from gearsql.native import cast_column

MISFIT = object()
TYPES = [
    "INTEGER[]",
    "VARCHAR[][]",
    'STRUCT("a" INTEGER, "b" VARCHAR)',
    'STRUCT("a" JSON, "b" STRUCT("c" DOUBLE[], "d" BOOLEAN), "é ""x""" DECIMAL(4,1))[]',
    "MAP(VARCHAR, BIGINT)",
    'MAP(VARCHAR, MAP(VARCHAR, STRUCT("a" DATE[])))',
    'STRUCT("m" MAP(VARCHAR, VARCHAR)[])',
    "INTEGER[1]",
    "VARCHAR[][2]",
    "INTEGER[2][]",
    'STRUCT("a" INTEGER[1], "b" VARCHAR[2])[2]',
    "MAP(BOOLEAN, INTEGER)",
    "MAP(DECIMAL(4,1), MAP(DATE, VARCHAR))",
]
TEXTS = """
null| null |[]|[1]|[ 1 , null,2 ]|[1,]|[,1]|[1 2]|[1|1|"[1]"|["1","x"]|["7"]|[1.0]|[2147483648]|[true]
[[]]|[[],null,["a",1.50]]|{}|{"a":1}|{"a":1,"b":"x"}|{"b":null,"a":null}|{"a":"1","b":[1, {"x":2}]}
{"a":1,"a":2}|{"a":1,"z":{"y":[1]}}|{"A":1}|{"a":}|{"a":1,}|{a:1}|{"a":1}{}|{"a":1} x|{"\\u0061":3}
{"\\ud800":3}|{"a":1,"\\u0061":2}|{"b":"\\u0000\\ud83d\\ude00\\n"}|{"b":"\\ud800"}
[{"a":[1, 2.50],"b":{"c":[1e3,"NaN",null,-0.5],"d":"TRUE"},"é \\"x\\"":1.50}]|[{"b":{"c":[1e400]}}]
[{"é \\"x\\"":12345}]|[{"b":[]}]|{"x":{"y":{"a":["2024-02-29"]}},"":null}
{"x":{"y":{"a":["2023-02-29"]}}}|{"x":{"y":1,"y":1}}|{"m":[{"k":"v"},{},null]}|{"m":[{"k":1,"k":2}]}
{"x":1}|[[],null]|[null,["a"]]|[[1,2],null,[3,null]]|[[1],[2]]|[{"a":[1],"b":["x",null]},null]|[null,{}]|[{"a":[1,2]},null]
{"true":1,"FALSE":null}|{"true":1,"1":2}|{"0":1,"2":2}|{"1.5":{}}|{"1.5":null,"-2":{"2024-02-29":"x"}}
{"1.5":null,"1.50":null}|{"1":{"2024-02-30":"x"}}|{"\\u0031":{"2024-02-29":1}}|{"m":{}}|nul|nullx
[null]|["longer than twelve bytes, and more",""]||\ufeff[]
"""
CASES = [text for line in TEXTS.strip().split("\n") for text in line.split("|")]


class MisfitError(Exception):
    """The text is not of the type."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object."""


class Written(str):
    """A number, as it is written."""


@pytest.fixture(scope="module", autouse=True)
def native_calls_the_leafs() -> Iterator[None]:
    """Here it calls the module, which has DuckDB beside it."""
    native._library.cache_clear()
    yield
    native._library.cache_clear()


def parsed(text: str) -> Any:
    def refuse(_: str) -> Any:
        raise ValueError

    value = json.loads(
        text, object_pairs_hook=Pairs, parse_int=Written, parse_float=Written, parse_constant=refuse
    )
    json.dumps(value, ensure_ascii=False).encode()
    return value


def read(type_: HookType, value: Any) -> Any:
    match type_, value:
        case _, None:
            return None
        case ListOf(element), list() if not isinstance(value, Pairs):
            return [read(element, item) for item in value]
        case ArrayOf(element, size), list() if not isinstance(value, Pairs) and len(value) == size:
            return [read(element, item) for item in value]
        case StructOf(members), Pairs():
            found = {name: read(dict(members)[name], v) for name, v in value if name in dict(members)}
            return {name: found.get(name) for name, _ in members}
        case MapOf(key, element), Pairs():
            entries = [(leaf(key.name, name), read(element, item)) for name, item in value]
            if len({repr(name) for name, _ in entries}) < len(entries):
                raise MisfitError
            return entries
        case Plain(name), _:
            return leaf(name, value)
    raise MisfitError


def leaf(name: str, value: Any) -> Any:
    """By the casts of columns, which have tests of their own; what has parts is told by its text, below."""
    if isinstance(value, list):
        raise NotImplementedError
    is_text = isinstance(value, str) and not isinstance(value, Written)
    text = json.dumps(value, ensure_ascii=False) if name == "JSON" and is_text else str(value)
    text = text.lower() if isinstance(value, bool) else text
    cast = cast_column(name, pa.array([text.encode()], pa.binary()), "null")
    if cast.misfits:
        raise MisfitError
    return cast.array[0].as_py()


def expected(type_: HookType, text: str) -> Any:
    try:
        return read(type_, parsed(text))
    except (MisfitError, ValueError):
        return MISFIT


@pytest.mark.parametrize("type_", TYPES)
def test_texts_are_read_as_json_reads_them(type_: str) -> None:
    tree = parse_type(type_)
    assert tree is not None and str(tree) == type_ == column_type(type_)
    cast = cast_column(type_, pa.array([text.encode() for text in CASES], pa.binary()), "skip")
    assert cast.misfit_rows is not None
    for text, value, is_misfit in zip(
        CASES, cast.array.to_pylist(), cast.misfit_rows.to_pylist(), strict=True
    ):
        try:
            wanted = expected(tree, text)
        except NotImplementedError:
            continue
        assert is_misfit == (wanted is MISFIT), text
        assert repr(value) == repr(None if is_misfit else wanted), text


def test_what_has_parts_is_text_for_a_leaf() -> None:
    text = b'{"a": {"x": [1, 2]} , "b": [1 ,2]}'
    cast = cast_column('STRUCT("a" JSON, "b" VARCHAR)', pa.array([text]), "error")
    assert cast.array.to_pylist() == [{"a": '{"x": [1, 2]}', "b": "[1 ,2]"}]


def test_columns_of_many_chunks() -> None:
    """Values of all sizes and NULLs, in more chunks than one; the first misfit ends an `error`."""
    chosen = random.Random(7)
    values = [
        None
        if chosen.random() < 0.2
        else [
            None if chosen.random() < 0.3 else {"a": chosen.choice(["x" * 40, "", None]), "m": {"k": i}}
            for _ in range(chosen.choice([0, 1, 3, 90]))
        ]
        for i in range(5000)
    ]
    texts = [None if value is None else json.dumps(value).encode() for value in values]
    type_ = 'STRUCT("a" VARCHAR, "m" MAP(VARCHAR, INTEGER))[]'
    cast = cast_column(type_, pa.array(texts, pa.binary()), "error")
    found = [
        None if row is None else [item and {**item, "m": dict(item["m"])} for item in row]
        for row in cast.array.to_pylist()
    ]
    assert found == values and cast.misfit is None
    texts[4500] = b"[1]"
    cast = cast_column(type_, pa.array(texts, pa.large_binary()), "error")
    assert cast.misfit == 4500 and cast.misfits == 1


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (f"STRUCT({', '.join(f'm{i} INTEGER' for i in range(1000))})[]", "[" + "{}," * 100_000 + "{}]"),
        ("INTEGER[]", "[" + "1," * 20_000_000 + "1]"),
        ("INTEGER" + "[]" * 15, "[" * 100_000),
        ("JSON[]", "[" * 2000 + "]" * 2000),
        ("MAP(VARCHAR, JSON)", "{" + ",".join(f'"{i // 2}":1' for i in range(200_000)) + "}"),
    ],
)
def test_texts_that_would_take_too_much_are_misfits(type_: str, text: str) -> None:
    canonical = column_type(type_)
    assert canonical is not None
    assert cast_column(canonical, pa.array([text.encode()], pa.binary()), "null").misfits == 1


@pytest.mark.parametrize(
    "written",
    [
        "BLOB[]",
        "INTEGER[0]", "INTEGER[8193]", "INTEGER[100][100]", "STRUCT(a INTEGER[8192])",
        "BLOB[3]", "MAP(INTERVAL, INTEGER)", "MAP(INTEGER[], INTEGER)", "MAP(VARCHAR)", "STRUCT()",
        "STRUCT(a INTEGER, A INTEGER)", "STRUCT(a BLOB)", "INTEGER" + "[]" * 17, "UNION(a INTEGER)",
    ],
)  # fmt: skip
def test_types_that_no_column_can_have(written: str) -> None:
    assert column_type(written) is None
