"""Python's annotations → SQL's types, for create_function."""

from __future__ import annotations

import dataclasses
import datetime
import types
import typing
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, NewType, Union, get_args, get_origin

from gearsql.catalog.hook_types import canonical_hook_type, hook_type_names, quoted
from gearsql.errors import FunctionDefinitionError

_PLAIN: dict[Any, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bytes: "BLOB",
    datetime.date: "DATE",
    datetime.time: "TIME",
    datetime.datetime: "TIMESTAMP",
    datetime.timedelta: "INTERVAL",
    uuid.UUID: "UUID",
}
_HINTS: dict[Any, str] = {
    Decimal: 'say how many digits: Annotated[Decimal, "DECIMAL(10,2)"]',
    list: "say of what: list[int]",
    dict: "a TypedDict says which keys it has",
    tuple: "a TypedDict or a NamedTuple says what its values are called",
}
ROWS = (Iterator, Iterable, Generator)
ANNOTATE = 'Annotated[…, "TYPE"] names any SQL type'


def type_of(annotation: Any, what: str) -> str:
    """Return the canonical type of an annotation; `what` begins the sentence of the error."""
    annotation = _alias(annotation)
    said = _said_type(annotation, what)
    if said is not None:
        return said
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _optional(annotation, arguments, what)
    if origin is list:
        return f"{type_of(arguments[0], what)}[]"
    if members := members_of(annotation, what):
        return struct(members)
    raise _no_type(annotation, what)


def element_of(annotation: Any, what: str) -> str:
    """Return the type of one row's value for an annotation of a whole column: list[int] → BIGINT."""
    said = _said_type(annotation, what)
    if said is not None:
        return said
    if get_origin(annotation) in (list, Sequence) and get_args(annotation):
        return type_of(get_args(annotation)[0], what)
    hint = 'a column is list[int], say, or Annotated[numpy.ndarray, "BIGINT"]'
    raise FunctionDefinitionError(f"{what}: {shown(annotation)} does not say the type of a row", hint=hint)


def members_of(annotation: Any, what: str) -> dict[str, str]:
    """Return names and types of a TypedDict, NamedTuple or dataclass; {} for another annotation."""
    if not is_record(annotation):
        return {}
    return {name: type_of(hint, f"{what}.{name}") for name, hint in hints_of(annotation).items()}


def is_record(annotation: Any) -> bool:
    """Tell whether an annotation is a class with named and typed members."""
    named_tuple = isinstance(annotation, type) and issubclass(annotation, tuple)
    return (
        typing.is_typeddict(annotation)
        or (named_tuple and hasattr(annotation, "_fields"))
        or (isinstance(annotation, type) and dataclasses.is_dataclass(annotation))
    )


def hints_of(annotated: Any) -> dict[str, Any]:
    """Return the annotations of a function or class, names in them resolved."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise FunctionDefinitionError(
            f"the annotations of {annotated.__name__} cannot be read: {error}",
            hint="say the types by parameters= and returns=",
        ) from error


def struct(members: dict[str, str]) -> str:
    """Return the STRUCT of members whose types are canonical."""
    return f"STRUCT({', '.join(f'{quoted(name)} {type_}' for name, type_ in members.items())})"


def canonical(written: str, what: str) -> str:
    """Return the canonical text of a type that the user wrote."""
    type_ = canonical_hook_type(written)
    if type_ is None:
        hint = "types are " + ", ".join(hook_type_names())
        raise FunctionDefinitionError(f"{what}: a function cannot have the type {written}", hint=hint)
    return type_


def shown(annotation: Any) -> str:
    """Return an annotation as the user wrote it, about."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _alias(annotation: Any) -> Any:
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _said_type(annotation: Any, what: str) -> str | None:
    if get_origin(annotation) is not Annotated:
        return None
    inner, *notes = get_args(annotation)
    said = [note for note in notes if isinstance(note, str)]
    return canonical(said[0], what) if said else type_of(inner, what)


def _optional(annotation: Any, arguments: tuple[Any, ...], what: str) -> str:
    """Every type can be NULL, so `| None` changes nothing."""
    rest = [argument for argument in arguments if argument is not type(None)]
    if len(rest) != 1:
        raise _no_type(annotation, what)
    return type_of(rest[0], what)


def _no_type(annotation: Any, what: str) -> FunctionDefinitionError:
    hint = _HINTS.get(get_origin(annotation) or annotation, ANNOTATE)
    return FunctionDefinitionError(f"{what}: no SQL type belongs to {shown(annotation)}", hint=hint)
