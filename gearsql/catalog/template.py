"""Key templates: 'user:{id}' → KeyTemplate, and the columns that its placeholders add to a table."""

from __future__ import annotations

from lark import Token
from lark.exceptions import UnexpectedInput

from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Column, FieldSource, KeyTemplate, PlaceholderSource
from gearsql.errors import Position, ProgrammingError, SqlSyntaxError
from gearsql.sql.grammar import load


def parse_template(text: str) -> KeyTemplate:
    """Parse a key template; errors carry positions in `text`.

    Two placeholders need a literal between them, else no key could tell where one ends.
    """
    literals, last = [""], None
    placeholders: list[str] = []
    for token in _tokens(text):
        if token.type == "TEXT":
            literals[-1] += token.replace("{{", "{").replace("}}", "}")
        else:
            _check_placeholder(token, placeholders, last, text)
            placeholders.append(str(token))
            literals.append("")
        last = token
    return KeyTemplate(tuple(literal.encode() for literal in literals), tuple(placeholders))


def with_placeholders(columns: tuple[Column, ...], keys: KeyTemplate) -> tuple[Column, ...]:
    """Append a VARCHAR column for each placeholder that no column reads yet."""
    named = {fold(column.name) for column in columns}
    added = [
        Column(name, "VARCHAR", PlaceholderSource(index))
        for index, name in enumerate(keys.placeholders)
        if fold(name) not in named
    ]
    return (*columns, *added)


def source_of(name: str, keys: KeyTemplate) -> PlaceholderSource | FieldSource:
    """A column named as a placeholder reads the key ; others read their field."""
    lowered = [fold(placeholder) for placeholder in keys.placeholders]
    if fold(name) in lowered:
        return PlaceholderSource(lowered.index(fold(name)))
    return FieldSource(name.encode())


def _tokens(text: str) -> list[Token]:
    try:
        tree = load("key_template").parse(text)
    except UnexpectedInput as error:
        ended = getattr(getattr(error, "token", None), "type", None) == "$END"
        start = len(text) if ended or error.pos_in_stream is None else error.pos_in_stream
        raise SqlSyntaxError(
            _explain(text, start), position=Position(start, start + 1), text=text, hint=_BRACES
        ) from error
    return list(tree.scan_values(lambda value: isinstance(value, Token) and value.type in _KINDS))


_KINDS = ("TEXT", "NAME")
_BRACES = "a placeholder is an identifier in braces, {id}; {{ and }} stand for braces"


def _explain(text: str, start: int) -> str:
    if not text:
        return "an empty key template"
    if start >= len(text):
        return "a placeholder is not closed in the key template"
    return f"unexpected {text[start]!r} in the key template"


def _check_placeholder(name: Token, earlier: list[str], last: Token | None, text: str) -> None:
    start = name.start_pos or 0
    position = Position(start - 1, start + len(name) + 1)
    if last is not None and last.type == "NAME":
        raise ProgrammingError(
            f"no literal between {{{last}}} and {{{name}}}",
            position=position,
            text=text,
            hint="put a separator between two placeholders, as in '{a}:{b}'",
        )
    if fold(name) in (fold(other) for other in earlier):
        raise ProgrammingError(f"placeholder {{{name}}} is there twice", position=position, text=text)
    if fold(name) == KEY_COLUMN.name:
        raise ProgrammingError("_key is the whole key, not a placeholder", position=position, text=text)
