"""What is written into a row is made of that row: no aggregates, windows or UNNEST outside of subqueries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gearsql.errors import Position, TypeMismatchError
from gearsql.sql.composed import Composed
from gearsql.sql.functions import known_functions
from gearsql.sql.syntax import Node, Syntax, children

AGGREGATES = "aggregate functions are not allowed in UPDATE"


def require_scalars(composed: Composed, syntax: Syntax, values: Sequence[Node], otherwise: Position) -> None:
    """Raise at the first of `values`, expressions of a composed text, that takes or makes several rows."""
    for node, message in (found for value in values for found in _of_several_rows(value)):
        place = syntax.position(node)
        position = (composed.origin(place) if place else None) or otherwise
        raise TypeMismatchError(message, position=position, text=composed.original)


def _of_several_rows(node: Node) -> Iterator[tuple[Node, str]]:
    name = node.get("function_name", "").lower()
    if node.get("class") == "WINDOW":
        yield node, "window functions are not allowed in UPDATE"
    elif node.get("class") == "FUNCTION" and name in known_functions().aggregates:
        yield node, AGGREGATES
    elif node.get("class") == "FUNCTION" and name == "unnest":
        yield node, "UNNEST is not allowed in UPDATE"
    inner = node if node.get("class") != "SUBQUERY" else {"child": node.get("child")}
    for child in children(inner):
        yield from _of_several_rows(child)
