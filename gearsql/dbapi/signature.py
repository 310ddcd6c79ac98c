"""The signature of a Python function or class in SQL: types from annotations, or as the user says them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin, is_typeddict

from gearsql.catalog.function import Kind
from gearsql.dbapi.annotations import (
    ROWS,
    canonical,
    element_of,
    hints_of,
    is_record,
    members_of,
    shown,
    struct,
    type_of,
)
from gearsql.errors import FunctionDefinitionError, InterfaceError

Parameters = Mapping[str, str] | Sequence[str]
Returns = str | Mapping[str, str] | Sequence[str]

TABLE = "TABLE"


class Signature:
    """What a def takes and gives; of a class, what accumulate takes and finish gives."""

    def __init__(
        self,
        subject: Callable[..., Any] | type,
        parameters: Parameters | None,
        returns: Returns | None,
        vectorised: bool,
    ) -> None:
        """`parameters` and `returns` go before annotations; `vectorised`: these are of whole columns."""
        self._name = subject.__name__
        self._said, self._returns = parameters, returns
        self._type = element_of if vectorised else type_of
        aggregate = isinstance(subject, type)
        self._takes = _method(subject, "accumulate") if isinstance(subject, type) else subject
        self._gives = _method(subject, "finish") if isinstance(subject, type) else subject
        self._bound = 1 if aggregate else 0
        self.kind: Kind = "aggregate" if aggregate else "table" if self._gives_rows() else "scalar"

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """Return names and canonical types."""
        names = self._names()
        said = self._said_types(names)
        hints = {} if all(name in said for name in names) else hints_of(self._takes)
        found: list[tuple[str, str]] = []
        for name in names:
            what = f"parameter {name}"
            if name in said:
                found.append((name, canonical(said[name], what)))
            elif name in hints:
                found.append((name, self._parameter(hints[name], what)))
            else:
                hint = f"annotate it, {name}: str, or say parameters={{{name!r}: 'VARCHAR'}}"
                raise FunctionDefinitionError(f"parameter {name} of {self._name} has no type", hint=hint)
        return tuple(found)

    def returns(self) -> str:
        """Return the canonical type of the result, of a table function the list of its rows."""
        if self.kind == "table":
            return f"{self._rows()}[]"
        match self._returns:
            case None:
                return self._type(self._result(), "the result")
            case str(said):
                return canonical(said, "the result")
            case Mapping() as members:
                return struct({name: canonical(type_, name) for name, type_ in members.items()})
            case _:
                raise InterfaceError("returns is a type, or names and types of a table function's columns")

    def _names(self) -> list[str]:
        """The parameters that come by place. A default without a type keeps its parameter out of SQL."""
        takes = list(inspect.signature(self._takes).parameters.values())[self._bound :]
        by_place = [p for p in takes if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names = [p.name for p in by_place]
        if any(p.kind is p.VAR_POSITIONAL for p in takes):
            return self._any_number(names)
        if self._said is not None and not isinstance(self._said, Mapping):
            return names[: len(self._said)]
        typed = {*(self._said or ()), *self._takes.__annotations__}
        return [p.name for p in by_place if p.default is p.empty or p.name in typed]

    def _any_number(self, names: list[str]) -> list[str]:
        match self._said:
            case None:
                hint = "say them: parameters={'x': 'VARCHAR', …}"
                raise FunctionDefinitionError(f"{self._name} takes any number of arguments", hint=hint)
            case Mapping() as said:
                return list(said)
            case said:
                return [*names, *(f"a{index}" for index in range(len(names), len(said)))][: len(said)]

    def _said_types(self, names: list[str]) -> Mapping[str, str]:
        match self._said:
            case None:
                return {}
            case Mapping() as said:
                unknown = [name for name in said if name not in names]
                if unknown:
                    raise FunctionDefinitionError(f"{self._name} has no parameter {unknown[0]}")
                return said
            case str() | bytes():
                raise InterfaceError("parameters is a mapping from name to type, or a list of types")
            case said:
                if len(said) != len(names):
                    message = f"{self._name} takes {len(names)} arguments, parameters= says {len(said)}"
                    raise FunctionDefinitionError(message)
                return dict(zip(names, said, strict=True))

    def _parameter(self, annotation: Any, what: str) -> str:
        if is_record(annotation) and not is_typeddict(annotation):
            message = f"{what}: a STRUCT comes as a dict, not as {shown(annotation)}"
            raise FunctionDefinitionError(message, hint="annotate it with a TypedDict")
        return self._type(annotation, what)

    def _result(self) -> Any:
        hints = hints_of(self._gives)
        if hints.get("return", type(None)) is type(None):
            where = f"{self._name}.finish" if self.kind == "aggregate" else self._name
            hint = "annotate it, -> str, or say returns='VARCHAR'"
            raise FunctionDefinitionError(f"the result of {where} has no type", hint=hint)
        return hints["return"]

    def _gives_rows(self) -> bool:
        match self._returns:
            case str(said):
                return said.strip().upper().startswith(TABLE)
            case Mapping():
                return inspect.isgeneratorfunction(self._gives) or self._annotated_rows()
            case None:
                return inspect.isgeneratorfunction(self._gives) or self._annotated_rows()
            case _:
                return True

    def _annotated_rows(self) -> bool:
        if "return" not in self._gives.__annotations__:
            return False
        return get_origin(hints_of(self._gives).get("return")) in ROWS

    def _rows(self) -> str:
        match self._returns:
            case str(said):
                return canonical(f"STRUCT{said.strip()[len(TABLE) :]}", "the result")
            case Mapping() as columns:
                return struct({name: canonical(type_, f"column {name}") for name, type_ in columns.items()})
            case names:
                return struct(self._columns(tuple(names or ())))

    def _columns(self, names: tuple[str, ...]) -> dict[str, str]:
        row = self._row()
        members = members_of(row, "column")
        names = names or tuple(members)
        types = [*members.values()] or [
            type_of(part, f"column {index}") for index, part in enumerate(get_args(row), 1)
        ]
        if len(names) != len(types):
            message = f"{self._name} yields {len(types)} columns, and {len(names)} have names"
            hint = "returns=('word', 'count') names them, or Iterator[a NamedTuple]"
            raise FunctionDefinitionError(message, hint=hint)
        return dict(zip(names, types, strict=True))

    def _row(self) -> Any:
        """The annotation of one row: a tuple[…] or a record."""
        result = self._result()
        row = get_args(result)[0] if get_origin(result) in ROWS else None
        if is_record(row) or (get_origin(row) is tuple and Ellipsis not in get_args(row)):
            return row
        hint = "annotate it: -> Iterator[tuple[str, int]], or say returns={'word': 'VARCHAR', …}"
        raise FunctionDefinitionError(f"the rows of {self._name} have no types", hint=hint)


def _method(subject: type, name: str) -> Callable[..., Any]:
    method = getattr(subject, name, None)
    if not inspect.isfunction(method):
        hint = "an aggregate has accumulate(self, …), merge(self, other) and finish(self)"
        raise FunctionDefinitionError(f"class {subject.__name__} has no {name}", hint=hint)
    return method
