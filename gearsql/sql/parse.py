"""Text → Statement: our own statements by our grammar, everything else is a query."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gearsql.catalog.names import table_key
from gearsql.errors import Error, NotSupportedError, Position, SqlSyntaxError
from gearsql.sql.blocks import is_block
from gearsql.sql.clock import find_clocks
from gearsql.sql.ddl import parse_ddl
from gearsql.sql.ddl_copy import parse_copy
from gearsql.sql.ddl_summarize import QUERIES, parse_summarize
from gearsql.sql.ddl_view import is_view_statement, parse_view
from gearsql.sql.ddl_write import WRITES, parse_write
from gearsql.sql.hooks import called_names
from gearsql.sql.parameters import find_parameters
from gearsql.sql.pivots import OpenPivot, find_open, marked, opened
from gearsql.sql.shape import check_shape
from gearsql.sql.sources import name_position, source
from gearsql.sql.statements import AnyQuery, DescribeQuery, Explain, Query, Source, Statement, WideQuery
from gearsql.sql.syntax import read_query
from gearsql.sql.tokens import Token, first_word, tokens
from gearsql.sql.walks import references

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_BEFORE_TABLE = ("(", "UNION", "INTERSECT", "EXCEPT", "ALL", "NAME")
_OWN = ("CREATE", "DROP", "SHOW", "DESCRIBE", "DESC")


def parse(text: str) -> Statement:
    """Parse one statement. Errors know their place; a query is checked to have a supported shape.

    Names are not looked up here: Query.table_name says which table bind() wants.
    """
    _check_characters(text)
    word = first_word(text).text.upper()
    if word in _OWN and is_view_statement(text):
        return parse_view(text, parse_query)
    if word in _OWN:
        described = _after_describe(text)
        return DescribeQuery(text, parse_query(text, described)) if described else parse_ddl(text)
    if word == "SUMMARIZE":
        return parse_summarize(text, parse_query)
    if word == "COPY":
        return parse_copy(text, parse_query)
    if word in WRITES:
        return parse_write(text, parse_query)
    if word == "EXPLAIN":
        query, analyze = _after_explain(text)
        return Explain(text, parse_query(text, query), analyze)
    return parse_query(text, text)


def _check_characters(text: str) -> None:
    """NUL ends a text for DuckDB, and a lone surrogate is no character."""
    bad = _UNWRITABLE.search(text)
    if bad:
        raise SqlSyntaxError(f"no text can hold {bad[0]!r}", position=Position(*bad.span()), text=text)


def _after_explain(text: str) -> tuple[str, bool]:
    """Blank EXPLAIN [ANALYZE] out, so that all positions stay; returns whether ANALYZE is there."""
    words = tokens(text)[:2]
    analyze = len(words) == 2 and words[1].text.upper() == "ANALYZE"
    return _without(text, words if analyze else words[:1]), analyze


def _after_describe(text: str) -> str | None:
    """Blank DESCRIBE out before a query; None: it is not before one."""
    word, *after = tokens(text)[:2]
    describes = word.text.upper() in ("DESCRIBE", "DESC") and after and after[0].text.upper() in QUERIES
    return _without(text, [word]) if describes else None


def _without(text: str, words: Sequence[Token]) -> str:
    for word in words:
        text = text[: word.position.start] + " " * len(word.text) + text[word.position.end :]
    return text


def parse_query(text: str, query: str) -> AnyQuery:
    """Parse a query that is a part of a statement, at its place in it, all else blank."""
    try:
        query = _with_from(query)
        if pivots := find_open(query):
            return _open_query(text, query, pivots)
        syntax = read_query(query)
        check_shape(syntax)
    except Error as error:
        error.text = text
        raise
    calls = tuple(called_names(syntax))
    timed = any(True for _ in find_clocks(syntax.select, ()))
    if is_block(syntax.select):
        name, position = source(syntax)
        return Query(text, syntax, name, position, calls, timed)
    named = [Source(table["table_name"], name_position(syntax, table)) for table in references(syntax.select)]
    once = {table_key(one.name): one for one in reversed(named)}
    return WideQuery(text, syntax, tuple(once.values()), calls, timed)


def _with_from(query: str) -> str:
    """Return the text with FROM t in place of each TABLE t, which says the same; all places stay."""
    found = tokens(query) if "TABLE" in query.upper() else ()
    for before, token, after in zip((None, *found), found, found[1:], strict=False):
        begins = before is None or before.text.upper() in _BEFORE_TABLE
        if begins and token.text.upper() == "TABLE" and after.keyword:
            start, end = token.position.start, token.position.end
            query = f"{query[:start]}FROM {query[end:]}"
    return query


def _open_query(text: str, query: str, pivots: Sequence[OpenPivot]) -> WideQuery:
    """Check a query with PIVOTs that lack their values, and say what finds those of the first."""
    whole = marked(query, pivots)
    try:
        syntax = read_query(whole.text)
        check_shape(syntax)
        for parameter in find_parameters(syntax.select):
            place = syntax.position(parameter)
            raise NotSupportedError(
                "a parameter beside PIVOT without its values is not supported", position=place
            )
    except Error as error:
        error.position = whole.origin(error.position) if error.position else None
        raise
    return WideQuery(text, syntax, (), opened=opened(query, syntax.select, pivots[0]))
