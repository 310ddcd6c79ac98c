"""Reads a query with DuckDB's own parser: what is checked is exactly what would run.

The tree is DuckDB's serialised one: dicts and lists, each expression with a class and its place in the text.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from gearsql.errors import NotSupportedError, Position, ProgrammingError, SqlSyntaxError
from gearsql.sql.cost import require_affordable
from gearsql.sql.mends import syntax_hint
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.tokens import first_word, tokens

Node = dict[str, Any]

_NOWHERE = 2**64 - 1  # DuckDB's location of a node that no text stands for
_KEPT_TEXT = 4_000  # characters; a tree takes some hundred bytes for each
_parser_lock = threading.Lock()


@dataclass(frozen=True)
class Syntax:
    """A query's text and its SELECT_NODE."""

    text: str
    select: Node

    def position(self, node: Any) -> Position | None:
        """The span of a node and everything under it; None for what has no place in the text."""
        spans = [(start, end) for start, end in _spans(node)]
        if not spans:
            return None
        start, end = min(start for start, _ in spans), max(end for _, end in spans)
        return Position(self.offset(start), self.offset(end))

    def offset(self, byte: int) -> int:
        """DuckDB counts UTF-8 bytes, positions count characters."""
        return byte_to_character(self.text, byte)


def read_query(text: str) -> Syntax:
    """Parse one SELECT; anything else is a named error at its place. Nothing is bound or run."""
    serialize = _kept if len(text) <= _KEPT_TEXT else _serialized
    answer = json.loads(serialize(text))
    if answer["error"]:
        raise _refusal(text, answer)
    statements = answer["statements"]
    if len(statements) != 1:
        raise _several(text)
    statement = statements[0]
    return Syntax(text, statement["node"])


def write_query(select: Node) -> str:
    """DuckDB's own SQL for a tree."""
    return _call("json_deserialize_sql", json.dumps({"error": False, "statements": [{"node": select}]}))


def write_expression(expression: Node) -> str:
    """DuckDB's own SQL for an expression, without its alias."""
    select = read_query("SELECT 1").select
    select["select_list"] = [{**expression, "alias": ""}]
    return write_query(select).removeprefix("SELECT ")


def children(node: Any) -> list[Node]:
    """The nearest dicts under a node."""
    found = []
    for value in node.values() if type(node) is dict else node:
        kind = type(value)
        if kind is dict:
            found.append(value)
        elif kind is list and value:
            found += children(value)
    return found


def byte_to_character(text: str, byte: int) -> int:
    """Turn an offset into the UTF-8 text into one into the text."""
    return byte if text.isascii() else len(text.encode()[:byte].decode(errors="ignore"))


def _spans(node: Any) -> Iterator[tuple[int, int]]:
    start = node.get("query_location", _NOWHERE)
    if start != _NOWHERE:
        yield start, start + max(node.get("query_location_length", 0), 1)
    for child in children(node):
        yield from _spans(child)


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    return open_sandbox()


def _serialized(text: str) -> str:
    require_affordable(text)
    return _call("json_serialize_sql", text)


@functools.lru_cache(256)
def _kept(text: str) -> str:
    """As _serialized: a query's parts are read again and again while it is planned."""
    return _serialized(text)


def ask_parser(text: str, *values: str) -> tuple[Any, ...]:
    """The only row of a SELECT without a table, that our code writes, from the DuckDB that parses."""
    with _parser_lock:
        [row] = _parser().execute(text, values).fetchall()
    return tuple(row)


def _call(function: str, argument: str) -> str:
    """RecursionError where DuckDB's own bound on a tree's depth is met, as where a tree is read here."""
    try:
        return str(ask_parser(f"SELECT {function}(?)", argument)[0])
    except duckdb.SerializationException as error:
        raise RecursionError(str(error)) from None


def _refusal(text: str, answer: Node) -> Exception:
    if "position" in answer:
        start = byte_to_character(text, int(answer["position"]))
        length = json.loads(answer.get("location", "[0,1]"))[1]
        end = byte_to_character(text, int(answer["position"]) + max(length, 1))
        return _unreadable(text, answer, Position(start, end))
    if "Only SELECT" not in answer["error_message"]:
        return _unreadable(text, answer, Position(0, len(text)))
    if len(duckdb.extract_statements(text)) > 1:
        return _several(text)
    word = first_word(text)
    return NotSupportedError(f"{word.text.upper()} is not supported", position=word.position, text=text)


def _unreadable(text: str, answer: Node, place: Position) -> SqlSyntaxError:
    message = answer["error_message"]
    if message.startswith("Max expression depth"):
        raise RecursionError(message)
    hint = syntax_hint(text, place) if message.startswith("syntax error") else None
    return SqlSyntaxError(message, position=place, hint=hint, text=text)


def _several(text: str) -> ProgrammingError:
    ends = [token for token in tokens(text) if token.text == ";"]
    if not ends:
        return SqlSyntaxError("an empty statement", position=Position(0, len(text)), text=text)
    after = [token for token in tokens(text) if token.position.start > ends[0].position.start]
    second = next(token for token in after if token.text != ";")
    return ProgrammingError(
        "one statement at a time: a second one starts here",
        position=Position(second.position.start, len(text.rstrip())),
        text=text,
    )
