"""What a user's function may be called, and which options go together: for SQL and for create_function."""

from __future__ import annotations

import functools
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gearsql.catalog.function import Function
from gearsql.errors import FunctionDefinitionError, NotSupportedError, ProgrammingError
from gearsql.sql.calls import CLAUSES
from gearsql.sql.sandbox import open_sandbox

# The parser knows them as calls; no catalog lists them.
_SYNTAX = frozenset({"try", "ifnull", "unpack"})
_OWN = re.compile(r"gears_.*|.*__(?:whole|merge)", re.DOTALL)
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Fault:
    """`place` says which part of the statement is meant, such as 'name', 'vectorised' or 'parameters'."""

    place: str
    error: type[ProgrammingError | NotSupportedError]
    message: str
    hint: str | None = None
    index: int = 0


def faults(function: Function) -> Iterator[Fault]:
    """Yield what is wrong with a function, whose types and source are right."""
    name = _name_fault(function.name)
    if name is not None:
        yield name
    yield from _parameter_faults(function)
    if function.kind != "scalar" and function.vectorised is not None:
        what = "an aggregate" if function.kind == "aggregate" else "a table function"
        yield Fault("vectorised", NotSupportedError, f"{what} is called row by row: it cannot be VECTORISED")
    if function.kind == "aggregate" and function.on_error == "null":
        hint = "catch the error in accumulate"
        yield Fault("on_error", NotSupportedError, "an aggregate cannot leave a failed row out", hint)
    for index, module in enumerate(function.requires):
        if not _MODULE.fullmatch(module):
            message = f"{module!r} is not the name of a module"
            yield Fault("requires", FunctionDefinitionError, message, "as in import: 'numpy'", index)


def _name_fault(name: str) -> Fault | None:
    taken = _taken()
    if name in taken.functions:
        message = f"{name} is a function of DuckDB's own"
    elif name in taken.keywords:
        message = f"{name} is a word of SQL"
    elif _OWN.fullmatch(name):
        message = f"names like {name} are GearsSQL's own"
    elif not name.isidentifier() or keyword.iskeyword(name):
        message = f"{name!r} cannot be the name of a function in Python"
    else:
        return None
    return Fault("name", FunctionDefinitionError, message, "choose another name")


def _parameter_faults(function: Function) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, (name, _) in enumerate(function.parameters):
        if not name.isidentifier() or keyword.iskeyword(name):
            message = f"{name!r} cannot be the name of a parameter in Python"
            yield Fault("parameters", FunctionDefinitionError, message, "choose another name", index)
        if name in seen:
            message = f"parameter {name} is there twice"
            yield Fault("parameters", FunctionDefinitionError, message, None, index)
        seen.add(name)
    if function.kind == "aggregate" and not function.parameters:
        yield Fault("name", NotSupportedError, "an aggregate needs a parameter", "give it any column")


@dataclass(frozen=True)
class _Taken:
    functions: frozenset[str]
    keywords: frozenset[str]


@functools.cache
def _taken() -> _Taken:
    """Read DuckDB's catalog once for each process."""
    with open_sandbox() as sandbox:
        functions = sandbox.execute("SELECT DISTINCT lower(function_name) FROM duckdb_functions()").fetchall()
        reserved = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        keywords = sandbox.execute(reserved).fetchall()
    return _Taken(
        frozenset(name for (name,) in functions) | _SYNTAX, frozenset(word for (word,) in keywords) | CLAUSES
    )
