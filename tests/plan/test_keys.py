"""Which keys a filter leaves: pairs of a condition and a point read's keys, None where keys are scanned."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.table import (
    Column,
    ConstantSource,
    FieldSource,
    Glob,
    KeyTemplate,
    PlaceholderSource,
    Table,
)
from gearsql.catalog.template import parse_template, with_placeholders
from gearsql.native import match_template
from gearsql.plan.keys import cut, keys_of, narrowed
from gearsql.plan.split import split
from gearsql.plan.stages import GearsPlan
from gearsql.sql.bind import Binder
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query

BINDER = Binder()


def table(template: str, **types: str) -> Table:
    """A table with typed placeholders and a field."""
    keys = parse_template(template)
    columns = tuple(
        Column(name, types.get(name, "VARCHAR"), PlaceholderSource(place))
        for place, name in enumerate(keys.placeholders)
    )
    return Table("t", keys, (*columns, Column("v", "BIGINT", FieldSource(b"v"))), True, null_values=(b"NA",))


def plan(table: Table, text: str, parameters: list[object] | None = None) -> GearsPlan:
    """Compile a query for three shards."""
    query = parse(text)
    assert isinstance(query, Query)
    return split(BINDER.bind(query, table, parameters), 3, "module")


def keys(table: Table, condition: str, *parameters: object) -> list[str] | None:
    """The keys of a point read."""
    made = plan(table, f"SELECT v FROM t WHERE {condition}", list(parameters))
    return [key.decode() for key in keys_of(made.shard.scans[0])] if made.reader == "point" else None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("id = 7", "u:7"),
        ("7 = id", "u:7"),
        ("id = '7'", "u:7"),
        ("id = -7 AND v > 3", "u:-7"),
        ("id IN (1, 2, 1, NULL)", "u:1 u:2"),
        ("id = 1 OR id IN (2, 3)", "u:1 u:2 u:3"),
        ("(id = 1 AND v = 1) OR (id = 2 AND v = 2)", "u:1 u:2"),
        ("id = 3000000000", ""),
        ("id = NULL", ""),
        ("id = 007", "u:7"),
        ("_key = 'u:7'", "u:7"),
        ("_key IN ('u:7', 'u:8') AND id = 7", "u:7 u:8"),
        ("id = 7.0", None),
        ("id = '007'", None),
        ("id = '7 '", None),
        ("id = 7::DOUBLE", None),
        ("id = 7 OR v = 1", None),
        ("NOT id = 7", None),
        ("id <> 7", None),
        ("id IN (1, v)", None),
        ("id NOT IN (1)", None),
        ("id + 0 = 7", None),
        ("id >= 7 AND id <= 7", None),
        ("_key = ''", None),
        ("_key LIKE 'u:7'", None),
        ("v = 7", None),
    ],
)
def test_a_filter_names_keys(condition: str, expected: str | None) -> None:
    assert keys(table("u:{id}", id="INTEGER"), condition) == (
        expected if expected is None else expected.split()
    )


@pytest.mark.parametrize(
    ("type_", "condition", "expected"),
    [
        ("VARCHAR", "id = '007'", "u:007"),
        ("VARCHAR", "id = 'it''s'", "u:it's"),
        ("VARCHAR", "id = 'NA'", ""),
        ("VARCHAR", "id = 7", None),
        ("VARCHAR", "id = 'x' COLLATE NOCASE", None),
        ("VARCHAR", "id = ''", None),
        ("UTINYINT", "id IN (255, 256, -1)", "u:255"),
        ("HUGEINT", "id = 99999999999999999999", "u:99999999999999999999"),
        ("UBIGINT", "id = 18446744073709551615", "u:18446744073709551615"),
        ("BIGINT", "id = 1e0", None),
        ("BIGINT", "id IN (9007199254740993, 1e40)", None),
        ("DATE", "id = DATE '2024-02-29'", "u:2024-02-29"),
        ("DATE", "id = '2024-02-29'", "u:2024-02-29"),
        ("DATE", "id = TIMESTAMP '2024-02-29'", "u:2024-02-29"),
        ("DATE", "id = TIMESTAMP '2024-02-29 00:00:01'", None),
        ("DATE", "id = '2024-2-29'", None),
        ("DOUBLE", "id = 7", None),
        ("DECIMAL(10,2)", "id = 7", None),
        ("TIMESTAMP", "id = TIMESTAMP '2024-02-29 00:00:00'", None),
        ("BOOLEAN", "id = true", None),
        ("UUID", "id = '00000000-0000-0000-0000-000000000000'", None),
    ],
)
def test_only_a_text_that_alone_is_read_as_the_value_counts(
    type_: str, condition: str, expected: str | None
) -> None:
    assert keys(table("u:{id}", id=type_), condition) == (expected if expected is None else expected.split())


@pytest.mark.parametrize(
    ("template", "condition", "expected"),
    [
        ("u:{c}:{id}", "c = 'de' AND id IN (1, 2)", "u:de:1 u:de:2"),
        ("u:{c}:{id}", "c IN ('de', 'fr') AND id = 1", "u:de:1 u:fr:1"),
        ("u:{c}:{id}", "c = 'de'", None),
        ("u:{c}:{id}", "c = 'd:e' AND id = 1", ""),
        ("u:{c}:{id}", "c = ':' AND id = 1", "u:::1"),
        ("{id}aa{c}", "c = 'x' AND id = 1", "1aax"),
        ("{c}aa{id}", "c = 'ba' AND id = 1", ""),
        ("{{t}}:{c}.{id}.end", "c = 'x' AND id = 1", "{t}:x.1.end"),
    ],
)
def test_a_whole_template_names_keys(template: str, condition: str, expected: str | None) -> None:
    made = keys(table(template, id="INTEGER"), condition)
    assert made == (expected if expected is None else expected.split())
    if made:
        assert match_template(
            parse_template(template), pa.array(made).cast(pa.binary())
        ).matched.to_pylist() == [True] * len(made)


@pytest.mark.parametrize(
    "template", ["{a}", "b{a}", "{a}b", "b{a}b", "{a}b{b}", "{a}bb{b}b{c}", "b{a}bb{b}", "ab"]
)
def test_keys_are_cut_as_the_readers_do(template: str) -> None:
    found = parse_template(template)
    names = ["".join(letters) for n in range(9) for letters in itertools.product("ab", repeat=n)]
    match = match_template(found, pa.array(names).cast(pa.binary()))
    captures = zip(*(capture.to_pylist() for capture in match.captures), strict=True)
    theirs = list(captures) if match.captures else [()] * len(names)
    for name, matched, texts in zip(names, match.matched.to_pylist(), theirs, strict=True):
        assert cut(found.literals, name.encode()) == (texts if matched else None), name


@pytest.mark.parametrize(
    ("template", "condition", "pattern"),
    [
        ("u:{c}:{id}", "c = 'de'", "u:de:*"),
        ("u:{c}:{id}", "c = 'de' AND v > 1", "u:de:*"),
        ("u:{c}:{id}", "c = 'd*'", r"u:d\*:*"),
        ("u:{c}:{id}", "c IN ('de')", "u:de:*"),
        ("{c}:{d}:{id}", "c = 'x' AND d = 'y'", "x:y:*"),
        ("{id}:{d}:{c}", "id = 7 AND c = 'x'", "7:*:*"),
        ("u:{c}:{id}", "c IN ('de', 'fr')", "u:*:*"),
        ("u:{c}:{id}", "c = 'd:e'", "u:*:*"),
        ("u:{c}::{id}", "c = 'd:'", "u:*::*"),
        ("u:{c}:{id}", "id = 7", "u:*:*"),
        ("u:{c}:{id}", "c = 'NA'", "u:*:*"),
        ("u:{c}:{id}", "c = 'de' OR v = 1", "u:*:*"),
        ("u:{c}:{id}", "c LIKE 'de'", "u:*:*"),
    ],
)
def test_a_filter_narrows_the_pattern(template: str, condition: str, pattern: str) -> None:
    (scan,) = plan(table(template, id="INTEGER"), f"SELECT v, c, id FROM t WHERE {condition}").shard.scans
    assert scan_pattern(narrowed(scan).keys) == pattern.encode()


@pytest.mark.parametrize("template", ["{a}b{b}", "a{a}bb{b}", "{a}b{b}b{c}", "b{a}ab{b}ab"])
@pytest.mark.parametrize("text", ["a", "b", "ab", "ba", "aab"])
def test_a_narrowed_scan_has_the_keys_that_meet_the_filter(template: str, text: str) -> None:
    (scan,) = plan(table(template), f"SELECT a, b FROM t WHERE a = '{text}'").shard.scans
    less = narrowed(scan)
    for key in ("".join(letters) for n in range(9) for letters in itertools.product("ab", repeat=n)):
        whole, found = (cut(one.keys.literals, key.encode()) for one in (scan, less))  # type: ignore[union-attr]
        if less is scan or whole is None or whole[0] != text.encode():
            assert less is scan or found is None
            continue
        sources = [column.source for column in less.columns]
        assert sources == [ConstantSource(text.encode()), PlaceholderSource(0)]
        assert found == whole[1:]


def test_parameters_are_constants() -> None:
    users = table("u:{id}", id="INTEGER")
    assert keys(users, "id = ?", 7) == keys(users, "id = ?", 7) == ["u:7"]
    assert keys(users, "id IN (?, ?)", 2**40, -1) == ["u:-1"]
    assert keys(users, "_key = ?", "u:a'b") == ["u:a'b"]
    assert keys(users, "_key = ?", "u:a\0b") is None
    assert keys(users, "id = ?", 7.0) is None
    assert keys(users, "id = ?", None) == []


def test_keys_of_an_undeclared_table_are_named_by_key_alone() -> None:
    users = Table("u:*", Glob(b"u:*"), (Column("v", "BIGINT", FieldSource(b"v")),), False)
    assert plan(users, "SELECT v FROM \"u:*\" WHERE _key = 'u:7'").reader == "point"
    assert plan(users, 'SELECT v FROM "u:*" WHERE v = 7').reader == "module"


def test_a_template_without_placeholders_is_one_key() -> None:
    assert with_placeholders((), KeyTemplate((b"config",), ())) == ()
    config = Table("t", KeyTemplate((b"config",), ()), (Column("v", "BIGINT", FieldSource(b"v")),), True)
    made = plan(config, "SELECT v FROM t WHERE v > 1")
    assert (made.reader, keys_of(made.shard.scans[0])) == ("point", [b"config"])


@pytest.mark.parametrize(
    ("query", "direct"),
    [
        ("SELECT v, id FROM t WHERE id = 7", (1, 0)),
        ("SELECT v AS w, v FROM t AS u WHERE u.id IN (1, 2)", (1, 1)),
        ("SELECT * FROM t WHERE _key = 'u:7'", (0, 1)),
        ("SELECT v FROM t WHERE id = 7 AND v > 1", None),
        ("SELECT v FROM t WHERE id = 7 OR id IN (8, 9)", (1,)),
        ("SELECT v FROM t WHERE id = 7 OR (id = 8 AND v > 1)", None),
        ("SELECT v FROM t WHERE id = 7 AND id = 8", None),
        ("SELECT v FROM t WHERE _key = 'u:7' AND id = 8", None),
        ("SELECT v + 1 FROM t WHERE id = 7", None),
        ("SELECT DISTINCT v FROM t WHERE id = 7", None),
        ("SELECT v FROM t WHERE id = 7 LIMIT 0", None),
        ("SELECT v FROM t WHERE id = 7 ORDER BY v", None),
        ("SELECT sum(v) FROM t WHERE id = 7", None),
    ],
)
def test_plain_columns_of_known_keys_are_the_answer(query: str, direct: tuple[int, ...] | None) -> None:
    made = plan(table("u:{id}", id="INTEGER"), query)
    assert (made.reader, made.direct) == ("point", direct)
