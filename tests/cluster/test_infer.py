"""What sampled hashes become: a type only if every sample survives the trip."""

import random

import pytest

from gearsql.catalog.infer import infer, infer_type
from gearsql.catalog.store import undeclared
from gearsql.catalog.suggest import create_table_line
from gearsql.catalog.table import Column, FieldSource, Table
from gearsql.catalog.template import parse_template
from gearsql.sql.ddl import parse_ddl
from gearsql.sql.statements import CreateTable

TYPES = [
    ("0 -1 9223372036854775807", "BIGINT"),
    ("1 007", "VARCHAR"),
    ("9223372036854775808", "VARCHAR"),
    ("-0", "DOUBLE"),
    ("1 2.5 1e3", "DOUBLE"),
    ("2.5 9007199254740993", "VARCHAR"),
    ("1e400", "VARCHAR"),
    (".5", "VARCHAR"),
    ("+1", "VARCHAR"),
    ("0x10", "VARCHAR"),
    ("1_000", "VARCHAR"),
    ("nan", "VARCHAR"),
    ("true false", "BOOLEAN"),
    ("True", "VARCHAR"),
    ("1 true", "VARCHAR"),
    ("2013-01-01", "VARCHAR"),
    ("x", "VARCHAR"),
]


@pytest.mark.parametrize(("samples", "type_"), TYPES)
def test_a_type_needs_every_sample(samples: str, type_: str) -> None:
    assert infer_type([sample.encode() for sample in samples.split()]) == type_


@pytest.mark.parametrize(
    ("sample", "type_"),
    [
        (b"2013-01-01 05:00:00", "TIMESTAMP"),
        (b"2013-01-01 05:00:00.25", "TIMESTAMP"),
        (b"2013-01-01 05:00:00.250", "VARCHAR"),
        (b"2013-01-01T05:00:00", "VARCHAR"),
        (b"2013-02-30 05:00:00", "VARCHAR"),
        (b"2013-01-01 05:00:00Z", "VARCHAR"),
        (b" 7", "VARCHAR"),
        (b"", "VARCHAR"),
        (b"\xff", "BLOB"),
        (b"a\0b", "VARCHAR"),
    ],
)
def test_texts_that_only_look_like_a_type_stay_texts(sample: bytes, type_: str) -> None:
    assert infer_type([sample]) == type_


def test_the_order_of_samples_is_nothing() -> None:
    hashes = [(b"k%d" % n, [(b"f%d" % (n % 7), b"1"), (b"g%d" % (n % 3), b"x")]) for n in range(30)]
    expected = infer(hashes)
    for seed in range(5):
        random.Random(seed).shuffle(hashes)
        assert infer(hashes) == expected


def test_columns_come_as_in_the_fullest_hash() -> None:
    found = infer([(b"a", [(b"z", b"1"), (b"y", b"1")]), (b"b", [(b"x", b"1"), (b"z", b"1"), (b"y", b"1")])])
    assert [column.name for column in found.columns] == ["x", "z", "y"]


def test_names_that_only_differ_in_case_are_told_apart() -> None:
    found = infer([(b"a", [(b"Name", b"1"), (b"name", b"x"), (b"_KEY", b"x")])])
    assert found.columns == (
        Column("Name", "BIGINT", FieldSource(b"Name")),
        Column("name_1", "VARCHAR", FieldSource(b"name")),
        Column("_KEY_1", "VARCHAR", FieldSource(b"_KEY")),
    )


def test_a_field_name_that_is_no_text_is_left_out_and_said() -> None:
    found = infer([(b"a", [(b"\xff", b"1"), (b"ok", b"1")])])
    assert [column.name for column in found.columns] == ["ok"]
    assert found.notes == ("the field b'\\xff' is no column: its name is not UTF-8 text",)


def test_the_suggested_declaration_is_one() -> None:
    names = ["id", "order", "with space", 'with "quotes"', "Übel", "group"]
    columns = tuple(Column(name, "BIGINT", FieldSource(name.encode())) for name in names)
    line = create_table_line(Table("a{b}'c:*:x:*", undeclared("a{b}'c:*:x:*").keys, columns, False), "order")
    assert line is not None
    created = parse_ddl(line)
    assert isinstance(created, CreateTable)
    assert created.keys == parse_template("a{{b}}'c:{id2}:x:{id3}")
    assert created.columns is not None
    assert created.columns[:6] == tuple(
        Column(name, "VARCHAR" if name == "order" else "BIGINT", FieldSource(name.encode())) for name in names
    )


@pytest.mark.parametrize("pattern", ["h?llo", "h[ae]llo:*", r"a\*b"])
def test_a_pattern_that_is_no_template_has_no_declaration(pattern: str) -> None:
    assert create_table_line(undeclared(pattern), "x") is None
