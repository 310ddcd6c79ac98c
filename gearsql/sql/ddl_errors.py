"""Says in human words where one of our own statements goes wrong, and what was expected there."""

from __future__ import annotations

import re

from lark.exceptions import UnexpectedInput

from gearsql.errors import NotSupportedError, Position, ProgrammingError, SqlSyntaxError
from gearsql.sql.tokens import Token, tokens

_OPENING = re.compile(r"\$(?:[^\W\d]\w*)?\$")
# What can follow CREATE, DROP and SHOW.
_THINGS = {"TABLE", "TABLES", "FUNCTION", "FUNCTIONS", "AGGREGATE", "OR"}
_WORDS = {
    "DOLLARS": "a text between $$ and $$",
    "WORD": "a name",
    "QUOTED": "a quoted name",
    "STRING": "a string in single quotes",
    "NUMBER": "a number",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "EQUAL": "=",
    "SEMICOLON": ";",
    "$END": "the end",
}


def explain(error: UnexpectedInput, text: str) -> NotSupportedError | ProgrammingError:
    """lark's error → ours, at its place."""
    expected = set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())
    expected |= getattr(error, "allowed", None) or set()
    place = error.pos_in_stream
    ended = getattr(getattr(error, "token", None), "type", None) == "$END"
    found = None if ended or place is None or place < 0 else _token_at(text, place)
    if found is not None and (opening := _OPENING.match(found.text)):
        message = f"the text that begins here has no end: {opening[0]} ends it"
        return SqlSyntaxError(message, position=found.position, text=text)
    if found is None:
        end = len(text.rstrip())
        message = f"the statement ends too early: expected {_human(expected)}"
        return SqlSyntaxError(message, position=Position(end, end + 1), text=text)
    if expected & {"TABLE", "TABLES"} and expected <= _THINGS:
        start = tokens(text)[0].text.upper()
        message = f"{start} {found.text.upper()} is not supported"
        return NotSupportedError(message, position=found.position, text=text)
    if expected == {"$END"}:
        message = "one statement at a time: a second one starts here"
        rest = Position(found.position.start, len(text.rstrip()))
        return ProgrammingError(message, position=rest, text=text)
    message = f"unexpected {found.text}: expected {_human(expected)}"
    return SqlSyntaxError(message, position=found.position, text=text)


def _token_at(text: str, place: int) -> Token | None:
    """DuckDB's tokens show a person what stands there; lark's place may be inside one (an open string)."""
    at_or_before = [token for token in tokens(text) if token.position.start <= place]
    if not at_or_before or place >= at_or_before[-1].position.end:
        return None
    return at_or_before[-1]


def _human(expected: set[str]) -> str:
    if "STRUCT" in expected:
        return "a type"
    words = sorted(_WORDS.get(terminal, terminal) for terminal in expected if terminal != "QUOTED")
    if "SEMICOLON" in expected and "$END" in expected:
        words.remove(";")
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
