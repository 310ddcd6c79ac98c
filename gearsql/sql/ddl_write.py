"""INSERT, UPDATE and DELETE: text → dataclasses. What is an expression in them stays a span of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gearsql.catalog.names import fold
from gearsql.errors import Position, ProgrammingError
from gearsql.sql.ddl_words import Words, blanked, require_syntax
from gearsql.sql.statements import AnyQuery, Assignment, Conflict, Delete, Insert, Update, Values
from gearsql.sql.syntax import read_query

Read = Callable[[str, str], AnyQuery]
"""(the statement, its query at its place, all else blank) → the query."""

WRITES = ("INSERT", "UPDATE", "DELETE")
_ON_CONFLICT = (("ON", "CONFLICT", "("), ("ON", "CONFLICT", "DO"))


def parse_write(text: str, read: Read) -> Insert | Update | Delete:
    """Parse a text that begins with one of WRITES."""
    require_syntax(text)
    words = Words(text)
    if words.takes("INSERT"):
        return _insert(words, read)
    if words.takes("UPDATE"):
        return _update(words)
    words.expect("DELETE")
    return _delete(words)


def _insert(words: Words, read: Read) -> Insert:
    begun = words.here
    kind = None
    if words.takes("OR"):
        kind = words.next("REPLACE").text.upper()
    words.expect("INTO")
    name, position = words.name()
    if words.takes("AS"):
        raise words.refused("an alias of the table", words.here)
    by_name = words.takes("BY", "NAME") or (words.takes("BY", "POSITION") and False)
    columns = words.names("a column") if words.sees("(") and not _is_query(words) else None
    if words.sees("DEFAULT"):
        raise words.refused("DEFAULT VALUES", words.here, "columns have no defaults but NULL")
    span = words.span_until(*_ON_CONFLICT, ("RETURNING",))
    source = _source(words.text, span, read)
    conflict = _conflict(words) if words.takes("ON", "CONFLICT") else None
    _no_returning(words)
    words.end()
    if kind is not None:
        if conflict is not None:
            raise ProgrammingError(
                "INSERT OR … and ON CONFLICT both say what to do", position=conflict.position, text=words.text
            )
        conflict = Conflict("replace" if kind == "REPLACE" else "nothing", begun)
    return Insert(words.text, name, position, columns, source, conflict, by_name)


def _is_query(words: Words) -> bool:
    return any(words.sees("(", word) for word in ("SELECT", "FROM", "WITH", "VALUES", "("))


def _source(text: str, span: Position, read: Read) -> AnyQuery | Values:
    query = blanked(text, span)
    syntax = read_query(query)
    source = syntax.select.get("from_table", {})
    plain = not syntax.select.get("modifiers") and not syntax.select.get("cte_map", {}).get("map")
    if source.get("type") == "EXPRESSION_LIST" and plain and _leads(query, "VALUES"):
        rows: list[Sequence[dict[str, object]]] = source["values"]
        return Values(text, syntax, tuple(map(tuple, rows)))
    return read(text, query)


def _leads(query: str, word: str) -> bool:
    return Words(query).sees(word)


def _conflict(words: Words) -> Conflict:
    position = words.here
    target = words.names("a column") if words.sees("(") else ()
    if words.sees("WHERE"):
        raise words.refused("a condition of the conflict's columns", words.here)
    words.expect("DO")
    if words.takes("NOTHING"):
        return Conflict("nothing", position, target)
    words.expect("UPDATE", "SET")
    sets, where = _sets(words), _where(words)
    return Conflict("update", position, target, sets, where)


def _update(words: Words) -> Update:
    name, position = words.name()
    alias = _alias(words, "SET")
    words.expect("SET")
    sets = _sets(words)
    if words.sees("FROM"):
        raise words.refused("UPDATE … FROM", words.here, "a subquery in SET or WHERE may read other tables")
    where = _where(words)
    _no_returning(words)
    words.end()
    return Update(words.text, name, position, alias, sets, where)


def _delete(words: Words) -> Delete:
    words.expect("FROM")
    name, position = words.name()
    alias = _alias(words, "WHERE")
    if words.sees("USING"):
        raise words.refused("DELETE … USING", words.here, "a subquery in WHERE may read other tables")
    where = _where(words)
    _no_returning(words)
    words.end()
    return Delete(words.text, name, position, alias, where)


def _alias(words: Words, stop: str) -> Position | None:
    if words.takes("AS") or not (words.ended or any(words.sees(w) for w in (stop, "USING", "RETURNING"))):
        return words.name("an alias")[1]
    return None


def _sets(words: Words) -> tuple[Assignment, ...]:
    found: list[Assignment] = []
    while True:
        if words.sees("("):
            raise words.refused("SET with several columns at once", words.here, "SET a = 1, b = 2")
        name, position = words.name("a column")
        if fold(name) in (fold(other.name) for other in found):
            raise ProgrammingError(f"column {name} is set twice", position=position, text=words.text)
        words.expect("=")
        value = words.span_until((",",), ("WHERE",), ("FROM",), ("RETURNING",))
        found.append(Assignment(name, position, value))
        if not words.takes(","):
            return tuple(found)


def _where(words: Words) -> Position | None:
    return words.span_until(("RETURNING",)) if words.takes("WHERE") else None


def _no_returning(words: Words) -> None:
    if words.sees("RETURNING"):
        raise words.refused("RETURNING", words.here, "SELECT the rows in a statement of their own")
