"""Our own statements: CREATE TABLE, DROP TABLE, SHOW TABLES, DESCRIBE. lark's tree → dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast, get_args

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Column, KeyTemplate, OnError
from gearsql.catalog.template import parse_template, source_of, with_placeholders
from gearsql.catalog.types import canonical_type, readable_types
from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError
from gearsql.sql.ddl_errors import explain
from gearsql.sql.grammar import load
from gearsql.sql.statements import CreateTable, Describe, DropTable, ShowTables

_OPTIONS = ("key", "on_error", "null_values")


def parse_ddl(text: str) -> CreateTable | DropTable | ShowTables | Describe:
    """Parse a text that begins with one of our own words."""
    try:
        tree = cast("Tree[Token]", load("statements").parse(text).children[0])
    except UnexpectedInput as error:
        raise explain(error, text) from error
    match tree.data:
        case "create_table":
            return _create_table(tree, text)
        case "drop_table":
            name, position = _named(tree)
            return DropTable(text, name, position, if_exists=_has(tree, "if_exists"))
        case "describe":
            return Describe(text, *_named(tree))
        case _:
            return ShowTables(text)


def _create_table(tree: Tree[Token], text: str) -> CreateTable:
    name, position = _named(tree)
    options = _options(tree, text)
    keys = _template(options, tree, text)
    columns = [_column(column, keys, text) for column in tree.find_data("column")]
    _check_names(columns, text)
    listed = tuple(column for column, _ in columns)
    return CreateTable(
        text,
        name,
        position,
        with_placeholders(listed, keys) if _has(tree, "columns") else None,
        keys,
        on_error=_on_error(options, text),
        null_values=_null_values(options, text),
        replace=_has(tree, "or_replace"),
        if_not_exists=_has(tree, "if_not_exists"),
    )


def _column(tree: Tree[Token], keys: KeyTemplate, text: str) -> tuple[Column, Position]:
    name, position = _named(tree)
    place = _position(next(tree.find_data("type")))
    written = text[place.start : place.end]
    type_ = canonical_type(written)
    if type_ is None:
        raise NotSupportedError(
            f"a column cannot have the type {written}",
            position=place,
            text=text,
            hint="types are " + ", ".join(readable_types()),
        )
    return Column(name, type_, source_of(name, keys)), position


def _check_names(columns: list[tuple[Column, Position]], text: str) -> None:
    seen: set[str] = set()
    for column, position in columns:
        name = fold(column.name)
        if name == KEY_COLUMN.name:
            raise ProgrammingError("every table has the column _key already", position=position, text=text)
        if name in seen:
            raise ProgrammingError(f"column {column.name} is there twice", position=position, text=text)
        seen.add(name)


Options = dict[str, tuple[Tree[Token], Position]]


def _options(tree: Tree[Token], text: str) -> Options:
    found: Options = {}
    for option in tree.find_data("option"):
        word = cast(Token, option.children[0])
        name, position = word.lower(), _position(word)
        if name not in _OPTIONS:
            raise ProgrammingError(
                f"unknown table option {word}",
                position=position,
                text=text,
                hint="options: " + ", ".join(_OPTIONS),
            )
        if name in found:
            raise ProgrammingError(f"option {name} is there twice", position=position, text=text)
        found[name] = (option, _position(option))
    return found


def _template(options: Options, tree: Tree[Token], text: str) -> KeyTemplate:
    if "key" not in options:
        raise ProgrammingError(
            "a table needs a key template",
            position=_position(tree),
            text=text,
            hint="WITH (key = 'user:{id}')",
        )
    literal = _one_string(options["key"], "key", text)
    try:
        return parse_template(_unquote(literal))
    except Error as error:
        error.position = _inside(literal, error.position) if error.position else None
        error.text = text
        raise


def _inside(literal: Token, position: Position) -> Position:
    """A place in the unquoted value → the place in the statement, where a quote is doubled."""
    places = [literal.start_pos or 0]
    raw, index = str(literal), 1
    while index < len(raw) - 1:
        places.append((literal.start_pos or 0) + index)
        index += 2 if raw[index] == "'" else 1
    places += [(literal.end_pos or 0) - 1, literal.end_pos or 0]
    last = len(places) - 1
    return Position(places[min(position.start + 1, last)], places[min(position.end + 1, last)])


def _on_error(options: Options, text: str) -> OnError:
    if "on_error" not in options:
        return "error"
    literal = _one_string(options["on_error"], "on_error", text)
    value = _unquote(literal).lower()
    if value not in get_args(OnError):
        choices = ", ".join(repr(choice) for choice in get_args(OnError))
        raise ProgrammingError(f"on_error is one of {choices}", position=_position(literal), text=text)
    return cast(OnError, value)


def _null_values(options: Options, text: str) -> tuple[bytes, ...]:
    if "null_values" not in options:
        return ()
    return tuple(_unquote(literal).encode() for literal in _strings(options["null_values"][0]))


def _one_string(option: tuple[Tree[Token], Position], name: str, text: str) -> Token:
    values = _strings(option[0])
    if len(values) != 1:
        raise ProgrammingError(f"{name} takes one string", position=option[1], text=text)
    return values[0]


def _strings(tree: Tree[Token]) -> list[Token]:
    return list(tree.scan_values(lambda value: isinstance(value, Token) and value.type == "STRING"))


def _named(tree: Tree[Token]) -> tuple[str, Position]:
    token = cast(Token, next(iter(next(_direct(tree, "name")).children)))
    text = str(token)
    name = text[1:-1].replace('""', '"') if token.type == "QUOTED" else text
    return name, _position(token)


def _direct(tree: Tree[Token], rule: str) -> Iterator[Tree[Token]]:
    return iter([child for child in tree.children if isinstance(child, Tree) and child.data == rule])


def _has(tree: Tree[Token], rule: str) -> bool:
    return any(True for _ in _direct(tree, rule))


def _unquote(literal: Token) -> str:
    return literal[1:-1].replace("''", "'")


def _position(node: Token | Tree[Token]) -> Position:
    place = node if isinstance(node, Token) else node.meta
    return Position(place.start_pos or 0, place.end_pos or 0)
