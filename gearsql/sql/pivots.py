"""PIVOT without its values: a query of its own finds them, and they are written in before the pivot is bound.

To DuckDB's parser such a text is several statements, none of them a SELECT. So it is found by its words, and
read with a mark in place of each list that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gearsql.catalog.names import fold
from gearsql.errors import Error, NotSupportedError, Position
from gearsql.sql.constants import quote
from gearsql.sql.splice import Edit, Spliced, splice
from gearsql.sql.syntax import Node, children, read_query, write_query
from gearsql.sql.tokens import Token, tokens

_PIVOT = ("PIVOT", "PIVOT_WIDER")
_BODIES = ("SELECT", "FROM", "VALUES", "TABLE", *_PIVOT)
_AFTER_ON = ("USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT")
_DEPTH = {"(": 1, "[": 1, "{": 1, "CASE": 1, ")": -1, "]": -1, "}": -1, "END": -1}
_QUERIES = [["(", word] for word in ("SELECT", "FROM", "WITH", "VALUES", "(")]
_HINT = "leave IN out, or write the values there"
_MARK = "gears pivot "


@dataclass(frozen=True)
class OpenPivot:
    """A PIVOT of a text: where it stands, and the expressions of its ON that lack a list."""

    position: Position
    places: tuple[Position, ...]


@dataclass(frozen=True)
class Opened:
    """A query that takes the columns of `pivot` from the data: those that each of `queries` gives."""

    text: str
    pivot: OpenPivot
    queries: tuple[str, ...]

    def closed(self, values: Sequence[Sequence[str]]) -> Spliced:
        """Return the text with the values written in, in DuckDB's order.

        Where there are none, a column with a name of ours stands in for them, and is left out again.
        """
        lists = zip(self.pivot.places, values, strict=True)
        edits = [
            edit for place, some in lists for edit in _edits(place, sorted(some, key=str.encode) or [_MARK])
        ]
        if not all(values):
            start, end = self.pivot.position.start, self.pivot.position.end
            left = f"SELECT COLUMNS(lambda name: NOT contains(name, '{_MARK}')) FROM ("
            edits += [Edit(Position(start, start), left), Edit(Position(end, end), ")")]
        return splice(self.text, edits)

    def place(self, error: Error) -> Position:
        """Where the text has what an error of one of the queries is about: the PIVOT, if nobody can tell."""
        found = []
        if error.position is not None and error.text is not None:
            piece = error.text[error.position.start : error.position.end]
            found = [place for place in self.pivot.places if self.text[place.start : place.end] == piece]
            found += [token.position for token in tokens(self.text) if token.text == piece]
        inside = range(self.pivot.position.start, self.pivot.position.end)
        return next((place for place in found if place.start in inside), self.pivot.position)


class ValuesWantedError(NotSupportedError):
    """A query's PIVOT lacks its values; the query goes on with them written in."""

    def __init__(self, opened: Opened) -> None:
        super().__init__("PIVOT without its values is not supported", position=opened.pivot.position)
        self.opened = opened


def find_open(text: str) -> list[OpenPivot]:
    """Return the PIVOTs without values, those first that others may be about."""
    if "pivot" not in fold(text):
        return []
    found = [token for token in tokens(text) if token.text != ";"]
    pivots = [_open(found, index) for index in _beginnings(found)]
    return sorted((pivot for pivot in pivots if pivot.places), key=lambda pivot: pivot.places[0].start)


def marked(text: str, pivots: Sequence[OpenPivot]) -> Spliced:
    """Return the text with a mark for each list that is missing."""
    places = [place for pivot in pivots for place in pivot.places]
    return splice(text, [edit for place in places for edit in _edits(place, [_mark(place)])])


def opened(text: str, tree: Node, pivot: OpenPivot) -> Opened:
    """Return what finds the values of a PIVOT in the tree of a marked text."""
    found = dict(_queries(tree, ()))
    return Opened(text, pivot, tuple(found[_mark(place)] for place in pivot.places))


def _mark(place: Position) -> str:
    return f"{_MARK}{place.start}"


def _edits(place: Position, values: Sequence[str]) -> Iterator[Edit]:
    yield Edit(Position(place.start, place.start), "(")
    yield Edit(Position(place.end, place.end), f") IN ({', '.join(map(quote, values))})")


def _beginnings(found: Sequence[Token]) -> Iterator[int]:
    """Where a query is a PIVOT: at its begin, or behind its WITH."""
    levels = [""]
    for index, token in enumerate(found):
        word = token.text.upper()
        if _DEPTH.get(word) == 1:
            levels.append("")
        elif _DEPTH.get(word) == -1:
            levels = levels[:-1] or [""]
        else:
            if word in _PIVOT and levels[-1] in ("", "WITH"):
                yield index
            if not levels[-1] or word in _BODIES:
                levels[-1] = word


def _open(found: Sequence[Token], begin: int) -> OpenPivot:
    end = _until(found, begin, ())
    position = Position(found[begin].position.start, found[end - 1].position.end)
    at, places = _until(found, begin, ("ON",)), []
    while at < end and found[at].text.upper() in ("ON", ","):
        first, at = at + 1, _until(found, at + 1, (",", *_AFTER_ON))
        listed = _until(found, first, ("IN",))
        place = Position(found[first].position.start, found[at - 1].position.end) if at > first else position
        if listed < at and [token.text.upper() for token in found[listed + 1 : listed + 3]] in _QUERIES:
            raise NotSupportedError("a query in the IN of PIVOT is not supported", position=place, hint=_HINT)
        if listed >= at > first:
            places.append(place)
    return OpenPivot(position, tuple(places))


def _until(found: Sequence[Token], index: int, stops: Sequence[str]) -> int:
    """The first of some words outside of brackets, or where the brackets or the text end."""
    depth = 0
    while index < len(found):
        word = found[index].text.upper()
        if depth == 0 and word in stops:
            return index
        depth += _DEPTH.get(word, 0)
        if depth < 0:
            return index
        index += 1
    return index


def _queries(node: Any, ctes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """The marks under a node, and the queries for what they stand for."""
    own: list[Node] = []
    for entry in node["cte_map"]["map"] if "cte_map" in node else ():
        yield from _queries(entry, [*ctes, *own])
        own.append(entry)
    if node.get("type") == "PIVOT" and "pivots" in node:
        for pivot in node["pivots"]:
            if mark := _mark_of(pivot):
                yield mark, _query(pivot["pivot_expressions"][0], node["source"], ctes)
    for child in children({part: value for part, value in node.items() if part != "cte_map"}):
        yield from _queries(child, [*ctes, *own])


def _mark_of(pivot: Node) -> str | None:
    entries = pivot["entries"]
    text = ((entries[0]["star_expr"] or {}).get("literal") or {}).get("text") if len(entries) == 1 else None
    return text if isinstance(text, str) and text.startswith(_MARK) else None


def _query(expression: Node, source: Node, ctes: Sequence[Node]) -> str:
    select = read_query("SELECT DISTINCT CAST(x AS VARCHAR) FROM t WHERE x IS NOT NULL").select
    select["select_list"][0]["child"] = {**expression, "alias": ""}
    select["where_clause"]["children"] = [{**expression, "alias": ""}]
    visible: dict[str, Node] = {}
    for entry in ctes:  # of two with one name the inner one is meant
        visible.pop(fold(entry["key"]), None)
        visible[fold(entry["key"])] = entry
    return write_query({**select, "from_table": source, "cte_map": {"map": list(visible.values())}})
