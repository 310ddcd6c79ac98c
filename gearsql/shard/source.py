"""A definition → what is called: compiled once in a session, in a namespace of its own.

catalog.source knows the forms that a text can have. Here it is run, so this is where its imports happen.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from gearsql.catalog.function import Function
from gearsql.catalog.source import METHODS, SourceError, read_source
from gearsql.shard.faults import HookFault, file_name, show_lines, told

REFUSES = (
    "libraries in C may refuse to be loaded into a session of a server: CREATE FUNCTION … ISOLATION process"
)


def load(function: Function) -> Callable[..., Any]:
    """Return the function, or the aggregate's class. HookFault of kind 'definition': it is not to be had."""
    for module in function.requires:
        _require(function, module)
    try:
        source = read_source(function)
    except SourceError as error:
        fault = told(error, "definition", function.name, hint=error.hint)
        fault |= {"type": "", "traceback": "", "line": error.line, "column": error.column}
        raise HookFault(**fault) from None
    show_lines(function.name, source.text)
    names: dict[str, Any] = {"__name__": f"hook_{function.name}", "__builtins__": builtins}
    try:
        if source.is_body:
            lift_imports(source.module)
        exec(source.code(file_name(function.name)), names)
        return _checked(function, names[source.name])
    except HookFault:
        raise
    except BaseException as error:
        raise definition_fault(function, error) from None


def lift_imports(module: ast.Module) -> None:
    """Move the imports that a body begins with before its def: they cost 0.2 to 3 µs in every call.

    An import stays where it is if the body binds its name in another way, too.
    """
    (definition,) = module.body
    assert isinstance(definition, ast.FunctionDef)
    while len(definition.body) > 1:
        statement, *rest = definition.body
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return
        lifted = {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
        taken = {name for node in (definition.args, *rest) for name in _bound(node)}
        if lifted & taken or "*" in lifted:
            return
        definition.body = rest
        module.body.insert(-1, statement)


def _bound(tree: ast.AST) -> Iterator[str]:
    """Yield the names that may be bound in a tree, those of scopes inside included."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=asname):
                yield (asname or name).partition(".")[0]
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from names
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name


def definition_fault(function: Function, error: BaseException) -> HookFault:
    """Return the fault of a function that cannot be set up, at the line of its text that is to blame."""
    hint = REFUSES if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError) else None
    fault = told(error, "definition", function.name, hint=hint)
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file_name(function.name):
            line = trace.tb_lineno
        trace = trace.tb_next
    return HookFault(**fault, **({} if line is None else {"line": line}))


def _require(function: Function, module: str) -> None:
    try:
        import_module(module)
    except BaseException as error:
        raise definition_fault(function, error) from None


def _checked(function: Function, found: Callable[..., Any]) -> Callable[..., Any]:
    """What the text alone does not show: a class that inherits its methods, a def under a decorator."""
    if not callable(found):
        raise TypeError(f"{function.name} is {type(found).__name__}, not a function")
    if function.kind == "aggregate":
        if not isinstance(found, type):
            raise TypeError(f"{function.name} is {type(found).__name__}, not a class")
        for name in METHODS:
            if not callable(getattr(found, name, None)):
                raise TypeError(f"class {found.__name__} has no {name}()")
    elif iscoroutinefunction(found) or isasyncgenfunction(found):
        raise TypeError(f"{function.name} is async, and hooks are called without an event loop")
    return found
