"""CREATE VIEW and DROP VIEW, and what becomes of a view's name in FROM: its query in parentheses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gearsql.catalog.names import fold
from gearsql.catalog.view import View
from gearsql.errors import Position, ProgrammingError
from gearsql.sql.ddl_words import Words, blanked, require_syntax
from gearsql.sql.parameters import find_parameters
from gearsql.sql.splice import Edit, Spliced, splice
from gearsql.sql.statements import CreateView, DropView, Named
from gearsql.sql.syntax import Node, Syntax, children

Read = Callable[[str, str], Any]


def is_view_statement(text: str) -> bool:
    """Tell whether a text is CREATE [OR REPLACE] VIEW or DROP VIEW."""
    words = Words(text)
    if words.takes("DROP"):
        return words.sees("VIEW")
    return words.takes("CREATE") and (words.takes("OR", "REPLACE") or True) and words.sees("VIEW")


def parse_view(text: str, read: Read) -> CreateView | DropView:
    """Parse such a text; a view's query is checked to be one that could run."""
    require_syntax(text)
    words = Words(text)
    if words.takes("DROP", "VIEW"):
        if_exists = words.takes("IF", "EXISTS")
        name, position = words.name()
        words.end()
        return DropView(text, name, position, if_exists)
    words.expect("CREATE")
    replace = words.takes("OR", "REPLACE")
    words.expect("VIEW")
    if_not_exists = words.takes("IF", "NOT", "EXISTS")
    name, position = words.name()
    columns = _columns(words) if words.sees("(") else ()
    words.expect("AS")
    span = words.span_until()
    words.end()
    query = read(text, blanked(text, span))
    for parameter in find_parameters(query.syntax.select):
        place = query.syntax.position(parameter)
        raise ProgrammingError("a view's query has no parameters", position=place, text=text)
    view = View(name, text[span.start : span.end], tuple(column for column, _ in columns))
    return CreateView(text, view, position, query, replace, if_not_exists)


def expanded(syntax: Syntax, view: View) -> Spliced:
    """Return a query's text with a view's query in place of its name, wherever that stands in FROM."""
    if fold(view.name) in _names_of_with(syntax.select):
        return Spliced(syntax.text)
    edits = []
    for table in _tables(syntax.select):
        if fold(table["table_name"]) == fold(view.name):
            start = syntax.offset(table["query_location"])
            place = Position(start, _end_of_name(syntax.text, start))
            alias = "" if table["alias"] else f" AS {_quoted(view.name)}"
            edits.append(Edit(place, _subquery(view) + alias))
    return splice(syntax.text, edits)


def _subquery(view: View) -> str:
    if not view.columns:
        return f"({view.text})"
    names = ", ".join(map(_quoted, view.columns))
    return f"(SELECT * FROM ({view.text}) AS {_quoted(view.name)}({names}))"


def _columns(words: Words) -> tuple[Named, ...]:
    found: list[Named] = []
    words.expect("(")
    while True:
        found.append(words.name("a column"))
        if words.takes(")"):
            return tuple(found)
        words.expect(",")


def _tables(node: Any) -> Iterator[Node]:
    if node.get("type") == "BASE_TABLE":
        yield node
    for child in children(node):
        yield from _tables(child)


def _names_of_with(node: Any) -> set[str]:
    found = {fold(entry["key"]) for entry in (node.get("cte_map") or {}).get("map", ())}
    for child in children(node):
        found |= _names_of_with(child)
    return found


def _end_of_name(text: str, start: int) -> int:
    end = start + 1
    if text[start] == '"':
        end = text.index('"', end)
        while text[end : end + 2] == '""':
            end = text.index('"', end + 2)
        return end + 1
    while end < len(text) and (text[end].isalnum() or text[end] in "_$"):
        end += 1
    return end


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
