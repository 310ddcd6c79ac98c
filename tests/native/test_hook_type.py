"""Types of hooks: canonical text prints as itself, anything else is refused; names of signatures."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

PLAIN = [
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"),
    *("DECIMAL(1,0)", "DECIMAL(10,2)", "DECIMAL(38,38)", "VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP"),
    *("TIMESTAMP WITH TIME ZONE", "INTERVAL", "UUID"),
]


class HookTypes:
    """The C functions, with their texts as Python's."""

    def __init__(self, leafs: ctypes.CDLL) -> None:
        self.leafs = leafs
        for name in ("parse", "text", "call", "signature"):
            getattr(leafs, f"gears_hook_type_{name}").restype = ctypes.c_void_p
        self.free = ctypes.CDLL(None).free
        self.free.argtypes = [ctypes.c_void_p]

    def parse(self, text: str | bytes) -> ctypes.c_void_p | None:
        data = text.encode() if isinstance(text, str) else text
        type = self.leafs.gears_hook_type_parse(data, ctypes.c_size_t(len(data)))
        return ctypes.c_void_p(type) if type else None

    def taken(self, address: int) -> str:
        text = ctypes.string_at(address).decode()
        self.free(address)
        return text

    def round_trip(self, text: str | bytes) -> str | None:
        type = self.parse(text)
        if type is None:
            return None
        printed = self.taken(self.leafs.gears_hook_type_text(type))
        self.leafs.gears_hook_type_free(type)
        return printed

    def named(self, what: str, aggregate: bool, volatile: bool, parameters: list[str], returns: str) -> str:
        types = [self.parse(text) for text in [*parameters, returns]]
        array = (ctypes.c_void_p * len(types))(*types)
        name = self.taken(
            getattr(self.leafs, f"gears_hook_type_{what}")(
                ctypes.c_bool(aggregate),
                ctypes.c_bool(volatile),
                array,
                ctypes.c_size_t(len(parameters)),
                types[-1],
            )
        )
        for type in types:
            self.leafs.gears_hook_type_free(type)
        return name


@pytest.fixture(scope="module")
def types(leafs: ctypes.CDLL) -> HookTypes:
    return HookTypes(leafs)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def struct_of(members: dict[str, str]) -> str:
    return "STRUCT(" + ", ".join(f"{quoted(name)} {type}" for name, type in members.items()) + ")"


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
members = st.lists(names, min_size=1, max_size=4, unique_by=str.lower).filter(
    lambda found: len({name.encode().lower() for name in found}) == len(found)
)
canonical = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: (
        inner.map(lambda type: f"{type}[]")
        | members.flatmap(lambda found: st.fixed_dictionaries(dict.fromkeys(found, inner)).map(struct_of))
    ),
    max_leaves=8,
)


@given(text=canonical)
def test_canonical_text_prints_as_itself(types: HookTypes, text: str) -> None:
    assert types.round_trip(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "bigint",
            " BIGINT",
            "BIGINT ",
            "BIGINT[",
            "BIGINT]",
            "BIGINT[03]",
            "BIGINT[0]",
            "BIGINT[8193]",
            "BIGINT []",
            "[]",
        ),
        *("DECIMAL", "DECIMAL(10, 2)", "DECIMAL(010,2)", "DECIMAL(39,2)", "DECIMAL(2,3)", "DECIMAL(10,2"),
        *("TIMESTAMPTZ", "TIMESTAMP WITH TIME", "INTERVALS", "INTERVAL[", "VARCHAR(10)"),
        *(
            "STRUCT()",
            "STRUCT(a BIGINT)",
            'STRUCT("a" BIGINT',
            'STRUCT("a" BIGINT,"b" DATE)',
            'STRUCT("a"BIGINT)',
        ),
        *('STRUCT("a" BIGINT, "A" DATE)', 'STRUCT("" BIGINT)', 'STRUCT("a)', 'STRUCT("a', 'STRUCT("a" )'),
        *(
            'STRUCT("a" BIGINT, )',
            'STRUCT("a" BIGINT)x',
            "MAP(INTERVAL, BIGINT)",
            "BIGINT, BIGINT",
            "ENUM('a')",
        ),
        *(b'STRUCT("\xff" BIGINT)', b'STRUCT("a\0" BIGINT)', b"BIGINT\0", "BIGINT" + "[]" * 17),
    ],
)
def test_what_is_not_canonical_is_no_type(types: HookTypes, text: str | bytes) -> None:
    assert types.round_trip(text) is None


def test_sixteen_levels_are_the_most(types: HookTypes) -> None:
    def deep(levels: int) -> str:
        return 'STRUCT("a" ' * levels + "BIGINT" + ")" * levels

    assert types.round_trip(deep(16)) == deep(16)
    assert types.round_trip(deep(17)) is None
    assert types.round_trip(deep(8) + "[]" * 8) == deep(8) + "[]" * 8
    assert types.round_trip(deep(8) + "[]" * 9) is None
    assert types.round_trip('STRUCT("a" ' * 100_000) is None


@given(text=st.text() | st.text('STRUC(")abBIGNT[],DEMAL129 '))
def test_no_text_breaks_the_parser(types: HookTypes, text: str) -> None:
    assert types.round_trip(text) in (None, text)


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def test_a_signature_has_one_name_everywhere(types: HookTypes) -> None:
    signature = "scalar immutable (VARCHAR, DECIMAL(10,2)[]) -> BIGINT"
    arguments = (False, False, ["VARCHAR", "DECIMAL(10,2)[]"], "BIGINT")
    assert types.named("signature", *arguments) == signature
    assert types.named("call", *arguments) == f"gears_hook_{fnv1a(signature.encode()):016x}"
    assert types.named("signature", True, True, [], "BLOB") == "aggregate volatile () -> BLOB"


def test_signatures_that_differ_have_different_names(types: HookTypes) -> None:
    signatures = [
        (aggregate, volatile, parameters, returns)
        for aggregate in (False, True)
        for volatile in (False, True)
        for parameters in ([], ["BIGINT"], ["BIGINT", "BIGINT"], ["BIGINT[]"], ['STRUCT("a" BIGINT)'])
        for returns in PLAIN
    ]
    assert len({types.named("call", *signature) for signature in signatures}) == len(signatures)
