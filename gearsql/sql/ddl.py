"""Our own statements: lark's tree → dataclasses. CREATE FUNCTION is read in ddl_functions.py."""

from __future__ import annotations

from typing import cast, get_args

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from gearsql.catalog.elements import PARTS, WITH_FIELDS, column_source, with_parts
from gearsql.catalog.hook_types import column_type, column_type_names, nested_type
from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Cast, Column, KeyTemplate, KeyType, OnError
from gearsql.catalog.template import parse_template, with_placeholders
from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError
from gearsql.sql.ddl_errors import explain
from gearsql.sql.ddl_functions import create_function
from gearsql.sql.ddl_tree import direct, has, inside, named, place_of, strings, unquote
from gearsql.sql.grammar import load
from gearsql.sql.statements import (
    CreateTable,
    Describe,
    DescribeFunction,
    DropFunction,
    DropTable,
    FunctionStatement,
    ShowFunctions,
    ShowTables,
    TableStatement,
)
from gearsql.sql.tokens import tokens

_OPTIONS = ("key", "type", "cast", "on_error", "null_values")


def parse_ddl(text: str) -> TableStatement | FunctionStatement:
    """Parse a text that begins with one of our own words."""
    try:
        tree = cast("Tree[Token]", load("statements").parse(text).children[0])
    except UnexpectedInput as error:
        raise explain(error, text) from error
    match tree.data:
        case "create_table":
            return _create_table(tree, text)
        case "drop_table":
            return DropTable(text, *named(tree), if_exists=has(tree, "if_exists"))
        case "describe":
            return Describe(text, *named(tree))
        case "create_function":
            return create_function(tree, text)
        case "drop_function":
            return DropFunction(text, *named(tree), if_exists=has(tree, "if_exists"))
        case "show_functions":
            return ShowFunctions(text)
        case "describe_function":
            return DescribeFunction(text, *named(tree))
        case _:
            return ShowTables(text)


def _create_table(tree: Tree[Token], text: str) -> CreateTable:
    name, position = named(tree)
    options = _options(tree, text)
    keys = _template(options, tree, text)
    type_ = _key_type(options, text)
    columns = [_column(column, keys, type_, text) for column in tree.find_data("column")]
    _check_names(columns, text)
    cast_ = cast(Cast, _one_of("cast", get_args(Cast), options, text))
    _check_cast(cast_, columns, text)
    listed = tuple(column for column, _ in columns) if has(tree, "columns") else None
    if listed is None and type_ != "hash":
        listed = _default_columns(type_, name, position, text)
    return CreateTable(
        text,
        name,
        position,
        None if listed is None else with_parts(with_placeholders(listed, keys), type_),
        keys,
        on_error=cast(OnError, _one_of("on_error", get_args(OnError), options, text)),
        null_values=_null_values(options, text),
        replace=has(tree, "or_replace"),
        if_not_exists=has(tree, "if_not_exists"),
        type=type_,
        cast=cast_,
    )


def _default_columns(type: KeyType, name: str, position: Position, text: str) -> tuple[Column, ...]:
    """Without a list of columns: the parts of an element. Fields are inferred of hashes only."""
    if type not in WITH_FIELDS:
        return ()
    raise ProgrammingError(
        f"the columns of a table of type {type} have to be listed",
        position=position,
        text=text,
        hint=f"CREATE TABLE {name} (name VARCHAR, …) WITH (…)",
    )


def _column(tree: Tree[Token], keys: KeyTemplate, type: KeyType, text: str) -> tuple[Column, Position]:
    name, position = named(tree)
    place = place_of(next(direct(tree, "hook_type")))
    written = text[place.start : place.end]
    type_ = column_type(" ".join(token.text for token in tokens(written)))
    if type_ is None:
        raise NotSupportedError(
            f"a column cannot have the type {written}",
            position=place,
            text=text,
            hint="types are " + ", ".join(column_type_names()),
        )
    source = column_source(name, keys, type)
    if source is None:
        parts = " and ".join(part.name for part in PARTS[type])
        raise ProgrammingError(
            f"keys of type {type} have no {name}",
            position=position,
            text=text,
            hint=f"columns are {parts}, and the template's placeholders",
        )
    return Column(name, type_, source), position


def _check_cast(cast_: Cast, columns: list[tuple[Column, Position]], text: str) -> None:
    """DuckDB's TRY_CAST makes NULL of what does not fit inside of a value, and nobody would know."""
    for column, position in columns:
        if cast_ == "duckdb" and nested_type(column.type) is not None:
            raise NotSupportedError(
                f"cast = 'duckdb' does not read {column.type}",
                position=position,
                text=text,
                hint=f"declare {column.name} as VARCHAR or JSON, and cast it in the query",
            )


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
        name, position = word.lower(), place_of(word)
        if name not in _OPTIONS:
            raise ProgrammingError(
                f"unknown table option {word}",
                position=position,
                text=text,
                hint="options: " + ", ".join(_OPTIONS),
            )
        if name in found:
            raise ProgrammingError(f"option {name} is there twice", position=position, text=text)
        found[name] = (option, place_of(option))
    return found


def _template(options: Options, tree: Tree[Token], text: str) -> KeyTemplate:
    if "key" not in options:
        raise ProgrammingError(
            "a table needs a key template",
            position=place_of(tree),
            text=text,
            hint="WITH (key = 'user:{id}')",
        )
    literal = _one_string(options["key"], "key", text)
    try:
        return parse_template(unquote(literal))
    except Error as error:
        error.position = inside(literal, literal.start_pos or 0, error.position) if error.position else None
        error.text = text
        raise


def _key_type(options: Options, text: str) -> KeyType:
    if "type" not in options:
        return "hash"
    literal = _one_string(options["type"], "type", text)
    value = unquote(literal).lower()
    if value not in PARTS:
        choices = ", ".join(repr(choice) for choice in PARTS)
        raise ProgrammingError(f"type is one of {choices}", position=place_of(literal), text=text)
    return value


def _one_of(option: str, choices: tuple[str, ...], options: Options, text: str) -> str:
    """Return what an option says, by default the first choice."""
    if option not in options:
        return choices[0]
    literal = _one_string(options[option], option, text)
    value = unquote(literal).lower()
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ProgrammingError(f"{option} is one of {listed}", position=place_of(literal), text=text)
    return value


def _null_values(options: Options, text: str) -> tuple[bytes, ...]:
    if "null_values" not in options:
        return ()
    return tuple(unquote(literal).encode() for literal in strings(options["null_values"][0]))


def _one_string(option: tuple[Tree[Token], Position], name: str, text: str) -> Token:
    values = strings(option[0])
    if len(values) != 1:
        raise ProgrammingError(f"{name} takes one string", position=option[1], text=text)
    return values[0]
