"""CREATE VIEW and DROP VIEW, and what becomes of a view's name in FROM: its query in parentheses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.catalog.view import View
from gearsql.errors import NotSupportedError, ProgrammingError
from gearsql.sql.ddl_words import Words, blanked, require_syntax
from gearsql.sql.parameters import find_parameters
from gearsql.sql.sources import name_position
from gearsql.sql.splice import Edit, Spliced, splice
from gearsql.sql.statements import CreateView, DropView
from gearsql.sql.syntax import Syntax, read_query
from gearsql.sql.walks import references, scoped_references

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
    columns = words.names("a column") if words.sees("(") else ()
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
    edits = []
    for table, hidden in scoped_references(syntax.select):
        if fold(table["table_name"]) == fold(view.name):
            place = name_position(syntax, table)
            if captured := [name for name in read_by(view) if fold(name) in hidden]:
                raise NotSupportedError(
                    f"the view {view.name} is not supported where WITH gives {captured[0]} another meaning",
                    position=place,
                    text=syntax.text,
                    hint=f"the view reads {captured[0]}: give the query in WITH another name",
                )
            alias = "" if table["alias"] else f" AS {quoted(view.name)}"
            edits.append(Edit(place, _subquery(view) + alias))
    return splice(syntax.text, edits)


def read_by(view: View) -> list[str]:
    """The tables and views that a view names."""
    return [table["table_name"] for table in references(read_query(view.text).select)]


def _subquery(view: View) -> str:
    if not view.columns:
        return f"({view.text})"
    names = ", ".join(map(quoted, view.columns))
    return f"(SELECT * FROM ({view.text}) AS {quoted(view.name)}({names}))"
