"""A Python function or class → the text that is shipped: its own source, which needs nothing around it."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import textwrap
import types
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from gearsql.catalog.source import compiled
from gearsql.errors import FunctionDefinitionError, Position

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORES = frozenset({"STORE_NAME", "STORE_GLOBAL"})
# What a module or a class body has without defining it.
_GIVEN = frozenset({"__name__", "__qualname__", "__module__", "__annotations__", "__doc__", "__builtins__"})


def source_of(subject: Any) -> str:
    """Return the source of a def or class, without decorators; an error if it needs more than itself."""
    _require_plain(subject)
    definition, lines = _definition(subject)
    _require_no_decorators(subject, definition)
    text = _dedented("\n".join(lines[definition.lineno - 1 : definition.end_lineno]))
    _require_nothing_else(subject, text)
    return text + "\n"


def _require_plain(subject: Any) -> None:
    name = getattr(subject, "__name__", type(subject).__name__)
    if name == "<lambda>":
        _fail("a lambda cannot be a function of SQL: its source cannot be cut out", "use def")
    if isinstance(subject, type):
        return
    if isinstance(subject, types.MethodType):
        _fail(f"{name} is bound to an object, which would not come along", "use def outside of a class")
    if hasattr(subject, "__wrapped__"):
        _fail(
            f"{name} is wrapped by a decorator, which would not come along", "give the undecorated function"
        )
    if not isinstance(subject, types.FunctionType):
        _fail(f"{name} has no source in Python", "use def, and call it in there")


def _definition(subject: Any) -> tuple[Definition, list[str]]:
    """Parse what inspect finds; line numbers are those of the lines returned."""
    try:
        text = inspect.getsource(subject)
    except (OSError, TypeError) as error:
        raise FunctionDefinitionError(
            f"the source of {subject.__name__} is not available: {error}",
            hint="define it in a file, or give the text to CREATE FUNCTION",
        ) from error
    lines = text.splitlines()
    indented = text[:1] in (" ", "\t")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.AST = ast.parse(f"if 1:\n{text}" if indented else text)
    except SyntaxError as error:
        _fail(
            f"the source of {subject.__name__} cannot be cut out: {error.msg}",
            "define it on lines of its own",
        )
    for node in ast.walk(tree):
        if isinstance(node, Definition) and node.name == subject.__name__:
            return (ast.increment_lineno(node, -1) if indented else node), lines
    _fail(f"the source of {subject.__name__} is not what it was", "its file has changed since it was loaded")


def _require_no_decorators(subject: Any, definition: Definition) -> None:
    """Our own decorator is the reason why we are here; what another one did to it would be lost."""
    for decorator in definition.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        named = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
        if named != "function":
            what = ast.unparse(decorator)
            _fail(f"the decorator @{what} of {subject.__name__} would not come along", "leave it out")


def _dedented(text: str) -> str:
    """At the margin, unless that would change a string that reaches over lines."""
    moved = textwrap.dedent(text)
    if moved == text or not text[:1].isspace():
        return text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = ast.parse(f"if 1:\n{text}").body[0]
        assert isinstance(block, ast.If)
        return moved if ast.dump(block.body[0]) == ast.dump(ast.parse(moved).body[0]) else text


def _require_nothing_else(subject: Any, text: str) -> None:
    indented = text[:1].isspace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(f"if 1:\n{text}" if indented else text)
    code = compiled(tree, "<function>")
    known = set(dir(builtins)) | _GIVEN | set(_names(code, _STORES))
    missing = next((name for name in _all_names(code) if name not in known), None)
    if missing is None:
        return
    place = next((node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == missing), None)
    raise FunctionDefinitionError(
        f"{subject.__name__} uses {missing}, which is defined outside of it and would not come along",
        hint=_way_out(subject, missing),
        position=None if place is None else _position(text, place, 1 if indented else 0),
        text=text,
    )


def _way_out(subject: Any, name: str) -> str:
    value = _outside(subject).get(name, _way_out)
    if isinstance(value, types.ModuleType):
        spelled = value.__name__ if value.__name__ == name else f"{value.__name__} as {name}"
        return f"import it inside the function: import {spelled}"
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) and value is not _way_out:
        module = getattr(value, "__module__", None)
        if module not in (None, "__main__", getattr(subject, "__module__", None)):
            return f"import it inside the function: from {module} import {value.__name__}"
        return "define it inside the function"
    return "make it a parameter, or write its value into the function"


def _outside(subject: Any) -> dict[str, Any]:
    """The globals and closures that a function, or a class's methods, can see."""
    seen: dict[str, Any] = {}
    functions = [subject] if isinstance(subject, types.FunctionType) else vars(subject).values()
    for function in functions:
        if isinstance(function, types.FunctionType):
            seen |= function.__globals__ | dict(inspect.getclosurevars(function).nonlocals)
    return seen


def _all_names(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a module's code and all code in it look up outside of functions."""
    # A class body sees its own names, a function in it does not.
    own = set() if code.co_flags & inspect.CO_OPTIMIZED else set(_names(code, _STORES))
    yield from (name for name in _names(code, _LOADS) if name not in own)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_names(constant)


def _names(code: types.CodeType, operations: frozenset[str]) -> Iterator[str]:
    return (step.argval for step in dis.get_instructions(code) if step.opname in operations)


def _position(text: str, node: ast.Name, lines_before: int) -> Position:
    lines = text.split("\n")
    line = node.lineno - 1 - lines_before
    column = len(lines[line].encode()[: node.col_offset].decode(errors="ignore"))
    start = sum(len(earlier) + 1 for earlier in lines[:line]) + column
    return Position(start, start + len(node.id))


def _fail(message: str, hint: str) -> NoReturn:
    raise FunctionDefinitionError(message, hint=hint)
