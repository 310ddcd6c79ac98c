"""Writes parameters into a query: each `?` and `$name` becomes a typed constant, at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gearsql.errors import Position, ProgrammingError
from gearsql.sql.constants import Marker, constant
from gearsql.sql.splice import Edit
from gearsql.sql.syntax import Node, Syntax, children

Parameters = Sequence[Any] | Mapping[str, Any] | None


def parameter_edits(syntax: Syntax, parameters: Parameters) -> list[Edit]:
    """One edit for each parameter in the text; a wrong count or name is an error at its place."""
    places = list(find_parameters(syntax.select))
    values = by_identifier(parameters)
    for node in places:
        if node["identifier"] not in values:
            raise _missing(syntax, node, parameters)
    surplus = values.keys() - {node["identifier"] for node in places}
    if surplus:
        raise _surplus(syntax, places, sorted(surplus), parameters)
    counts = _limit_places(syntax.select)
    return [_edit(syntax, node, values[node["identifier"]], id(node) in counts) for node in places]


def find_parameters(node: Node) -> Iterator[Node]:
    """All PARAMETER nodes under a node."""
    if node.get("class") == "PARAMETER":
        yield node
    for child in children(node):
        yield from find_parameters(child)


def by_identifier(parameters: Parameters) -> dict[str, Any]:
    """The values by what the parser calls their parameters: `?` have numbers from 1."""
    if parameters is None:
        return {}
    if isinstance(parameters, Mapping):
        return {str(name): value for name, value in parameters.items()}
    return {str(number): value for number, value in enumerate(parameters, 1)}


def _edit(syntax: Syntax, node: Node, value: Any, counts: bool) -> Edit:
    place = _place(syntax, node)
    if counts and isinstance(value, Marker):
        return Edit(place, value.text)
    if counts and value is not None and type(value) is not int:
        raise ProgrammingError("LIMIT and OFFSET take an integer", position=place, text=syntax.text)
    try:
        # A count is written bare: DuckDB folds it at once, and a person reads it in a plan.
        return Edit(place, str(value) if counts and value is not None else constant(value))
    except (TypeError, ValueError) as error:
        raise ProgrammingError(f"parameter: {error}", position=place, text=syntax.text) from error


def _place(syntax: Syntax, node: Node) -> Position:
    place = syntax.position(node)
    if place is None or syntax.text[place.start] not in "?$":
        raise ProgrammingError(
            "a parameter's place is not clear", text=syntax.text, hint="replace Unicode blanks by plain ones"
        )
    return place


def _limit_places(node: Any) -> set[int]:
    found = {id(part) for part in (node["limit"], node["offset"])} if "limit_type" in node else set()
    return found.union(*(_limit_places(child) for child in children(node)))


def _missing(syntax: Syntax, node: Node, parameters: Parameters) -> ProgrammingError:
    place = _place(syntax, node)
    written = syntax.text[place.start : place.end]
    given = 0 if parameters is None else len(parameters)
    which = f"number {node['identifier']}" if written == "?" else written
    hint = f"{given} parameters were given"
    return ProgrammingError(f"no value for parameter {which}", position=place, text=syntax.text, hint=hint)


def _surplus(syntax: Syntax, places: list[Node], names: list[str], given: Parameters) -> ProgrammingError:
    place = _place(syntax, places[-1]) if places else Position(0, len(syntax.text))
    if isinstance(given, Mapping):
        message = "no such parameter in the query: " + ", ".join(f"${name}" for name in names)
    else:
        wanted = len({node["identifier"] for node in places})
        message = f"{len(given or ())} parameters for a query that has {wanted}"
    return ProgrammingError(message, position=place, text=syntax.text)
