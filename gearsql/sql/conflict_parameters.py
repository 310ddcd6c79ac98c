"""The parameters of DO UPDATE become constants in it; those of the INSERT's rows are left to its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gearsql.errors import Error, Position, ProgrammingError
from gearsql.sql.composed import Composed
from gearsql.sql.ddl_conflict import conflict_items
from gearsql.sql.parameters import Parameters, by_identifier, find_parameters, parameter_edits
from gearsql.sql.statements import Conflict, Insert
from gearsql.sql.syntax import Node, Syntax, read_query


def share_parameters(statement: Insert, parameters: Parameters) -> tuple[Insert, Parameters]:
    """Return the statement with DO UPDATE's parameters written in, and the others.

    The `?` of DO UPDATE go on where those before it end. A wrong count or name is an error at its place.
    """
    conflict = statement.conflict
    if conflict is None or not conflict.sets:
        return statement, parameters
    items = conflict_items(statement, conflict)
    syntax = read_query(items.text)
    own = list(find_parameters(syntax.select))
    if not own:
        return statement, parameters
    source = list(find_parameters(statement.source.syntax.select))
    lead = len(source) if any(_is_mark(statement.source.syntax, node) for node in source) else 0
    names = {node["identifier"]: _name(syntax, node, lead) for node in own}
    values = by_identifier(parameters)
    others = {node["identifier"] for node in source}
    _check(statement, conflict, others | {*names.values()}, parameters)
    mine = {number: values[name] for number, name in names.items()}
    filled = replace(conflict, constants=_constants(items, syntax, mine, conflict))
    return replace(statement, conflict=filled), {name: values[name] for name in others}


def _is_mark(syntax: Syntax, node: Node) -> bool:
    place = syntax.position(node)
    return place is not None and syntax.text[place.start] == "?"


def _name(syntax: Syntax, node: Node, lead: int) -> str:
    identifier = str(node["identifier"])
    return str(int(identifier) + lead) if _is_mark(syntax, node) else identifier


def _check(statement: Insert, conflict: Conflict, wanted: set[str], parameters: Parameters) -> None:
    given = by_identifier(parameters).keys()
    if given == wanted:
        return
    message = f"{len(given)} parameters for a statement that has {len(wanted)}"
    if isinstance(parameters, Mapping):
        message += ": " + ", ".join(f"${name} is {_fault(name, wanted)}" for name in sorted(given ^ wanted))
    raise ProgrammingError(message, position=conflict.position, text=statement.text)


def _fault(name: str, wanted: set[str]) -> str:
    return "missing" if name in wanted else "none of them"


def _constants(
    items: Composed, syntax: Syntax, values: Mapping[str, object], conflict: Conflict
) -> tuple[tuple[Position, str], ...]:
    try:
        edits = parameter_edits(syntax, values)
    except Error as error:
        raise items.locate(error, conflict.position) from None
    edits.sort(key=lambda edit: edit.position.start)
    found = [(items.origin(edit.position), edit.text) for edit in edits]
    return tuple((place, text) for place, text in found if place is not None)
