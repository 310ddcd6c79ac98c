"""The Python text of a function, read but not run: a body or a module, and what is wrong with its shape.

The client reads it before anything is sent; a session reads it again and compiles `module`. It needs only the
standard library.
"""

from __future__ import annotations
import __future__

import ast
import re
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from gearsql.catalog.function import Function
from gearsql.catalog.names import fold

# Annotations are not evaluated where the function runs, so what they name need not be there.
FLAGS = __future__.annotations.compiler_flag
LINE_END = re.compile(r"\r\n|\r|\n")  # as Python counts lines
METHODS = ("accumulate", "merge", "finish")


class SourceError(Exception):
    """The text is not the Python of such a function. `line` and the columns count characters from 1."""

    def __init__(
        self, message: str, line: int, column: int, end_column: int, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.end_column = end_column
        self.hint = hint


@dataclass(frozen=True)
class Source:
    """`text` is what lines and columns count in: the source without one leading line end.

    Running `module` defines `name`: a function of the parameters, or an aggregate's class. `is_body`: the
    text is what that function does, and its def is ours.
    """

    text: str
    module: ast.Module
    name: str
    is_body: bool = False

    def code(self, filename: str) -> types.CodeType:
        """Compile the module; tracebacks show `filename`."""
        return compiled(self.module, filename)


def read_source(function: Function) -> Source:
    """Read a function's source; raises SourceError at the place of the fault."""
    text = without_first_line_end(function.source)
    module = _Reading(function, text)
    found = module.aggregate() if function.kind == "aggregate" else module.callable()
    module.compile(found.module)
    return found


def without_first_line_end(source: str) -> str:
    """Cut the line end behind the opening $$: the line after it is line 1."""
    end = LINE_END.match(source)
    return source[end.end() :] if end else source


def compiled(module: ast.Module, filename: str) -> types.CodeType:
    """Compile a hook's module, whatever this module's own flags are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: types.CodeType = compile(module, filename, "exec", flags=FLAGS, dont_inherit=True)
        return code


class _Reading:
    def __init__(self, function: Function, text: str) -> None:
        self._function = function
        self._text = text
        self._lines = LINE_END.split(text)
        self._tree = self._parse()

    def callable(self) -> Source:
        """A body becomes a function of the parameters; a module defines one."""
        name = self._function.name
        definitions = [node for node in self._tree.body if isinstance(node, _Definition)]
        named = [node for node in definitions if fold(node.name) == name]
        if not named and len(definitions) == 1:
            named = definitions  # the only one may have another name
        ends = next(_of_scope(self._tree.body, ast.Return, ast.Yield, ast.YieldFrom), None)
        if not named and ends is None:
            hint = f"end the body with return, or define {name}({self._names})"
            self._fail(self._last(), "the source returns nothing", hint)
        if not named or ends is not None:
            self._check_rows(self._tree.body)
            return Source(self._text, self._wrapped(), name, is_body=True)
        definition = named[-1]
        if not isinstance(definition, ast.FunctionDef):
            self._fail(definition, f"{definition.name} is {_WHAT[type(definition)]}", "define it with def")
        self._check_parameters(definition.args, definition)
        self._check_rows(definition.body)
        return Source(self._text, self._tree, definition.name)

    def aggregate(self) -> Source:
        classes = [node for node in self._tree.body if isinstance(node, ast.ClassDef)]
        named = [node for node in classes if fold(node.name) == self._function.name]
        if not named and len(classes) != 1:
            what = "defines no class" if not classes else "defines several classes"
            hint = f"class {self._function.name}: with {', '.join(METHODS)}"
            self._fail(classes[-1] if classes else self._last(), f"the source of an aggregate {what}", hint)
        definition = (named or classes)[-1]
        self._check_methods(definition)
        return Source(self._text, self._tree, definition.name)

    def compile(self, module: ast.Module) -> None:
        """What only the compiler finds: a second parameter of a name, a return in a class."""
        with self._named_errors():
            compiled(module, "<hook>")

    def _parse(self) -> ast.Module:
        """Text that is indented as a whole stays as it is, since strings in it may reach over lines."""
        indented = next((line[:1] in (" ", "\t") for line in self._lines if _is_code(line)), False)
        with self._named_errors(1 if indented else 0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(f"if 1:\n{self._text}" if indented else self._text)
        if not indented:
            return tree
        match tree.body:
            case [ast.If(body=body, orelse=[])]:
                return ast.Module([ast.increment_lineno(node, -1) for node in body], [])
            case [ast.If(orelse=[out, *_])] | [_, out, *_]:
                ast.increment_lineno(out, -1)
                self._fail(out, "unindent does not match any outer indentation level", None)
        raise AssertionError

    def _wrapped(self) -> ast.Module:
        module = ast.parse(f"def {self._function.name}({self._names}): pass")
        definition = module.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.body = self._tree.body
        return module

    @property
    def _parameters(self) -> tuple[tuple[str, str], ...]:
        return self._function.parameters

    @property
    def _names(self) -> str:
        return ", ".join(name for name, _ in self._parameters)

    def _check_parameters(self, takes: ast.arguments, place: ast.AST, bound: int = 0) -> None:
        """`bound`: 1 for self."""
        given = len(self._parameters)
        most = len(takes.posonlyargs) + len(takes.args) - bound
        least = most - len(takes.defaults)
        by_name = [arg.arg for arg, d in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if d is None]
        if by_name:
            self._fail(place, f"{by_name[0]} has to be given by name, and arguments come by place", None)
        if given < least or (given > most and takes.vararg is None):
            self._fail(place, f"this takes {most} argument{'s'[: most != 1]}, {given} are declared", None)

    def _check_rows(self, body: list[ast.stmt]) -> None:
        place = next(_of_scope(body, ast.Yield, ast.YieldFrom), None)
        if place is not None and self._function.kind == "scalar":
            self._fail(
                place, "a function of one value cannot yield", "RETURNS TABLE (name type, …) yields rows"
            )

    def _check_methods(self, definition: ast.ClassDef) -> None:
        methods = {node.name: node for node in definition.body if isinstance(node, ast.FunctionDef)}
        missing = [name for name in METHODS if name not in methods]
        if missing and not definition.bases:
            hint = "an aggregate has accumulate(self, …), merge(self, other) and finish(self)"
            self._fail(definition, f"class {definition.name} has no {missing[0]}", hint)
        accumulate = methods.get("accumulate")
        if accumulate is not None and not accumulate.decorator_list:
            self._check_parameters(accumulate.args, accumulate, bound=1)

    def _last(self) -> ast.AST:
        return self._tree.body[-1] if self._tree.body else ast.Pass(lineno=1, col_offset=0)

    def _fail(self, place: ast.AST, message: str, hint: str | None) -> NoReturn:
        line: int = getattr(place, "lineno", 1)
        column = self._characters(line, getattr(place, "col_offset", 0))
        one_line = getattr(place, "end_lineno", None) == line
        end = self._characters(line, getattr(place, "end_col_offset", 0)) if one_line else 0
        shown = self._lines[line - 1].rstrip()
        raise SourceError(message, line, column, max(end or len(shown) + 1, column + 1), hint)

    def _characters(self, line: int, byte: int) -> int:
        return len(self._lines[line - 1].encode()[:byte].decode(errors="ignore")) + 1

    def _named_errors(self, lines_before: int = 0) -> _NamedErrors:
        return _NamedErrors(lines_before)


class _NamedErrors:
    """Python's own errors about a text → SourceError."""

    def __init__(self, lines_before: int) -> None:
        self._lines_before = lines_before

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case SyntaxError():
                line = max((error.lineno or 1) - self._lines_before, 1)
                column = max(error.offset or 1, 1)
                same = error.end_lineno == error.lineno
                end = error.end_offset if same and error.end_offset else 0
                message = f"{type(error).__name__}: {error.msg}"
                raise SourceError(message, line, column, max(end, column + 1)) from error
            case ValueError() | RecursionError() | MemoryError():
                # A NUL, or brackets that nest too deeply.
                raise SourceError(f"{type(error).__name__}: {error}", 1, 1, 2) from error


_WHAT: dict[type[ast.stmt], str] = {ast.AsyncFunctionDef: "async", ast.ClassDef: "a class"}
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _of_scope(body: Iterable[ast.AST], *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that belong to this function itself, not to one inside."""
    # Trees can be deeper than Python recurses.
    waiting = [*body][::-1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, kinds):
            yield node
        if not isinstance(node, (*_Definition.__args__, ast.Lambda)):
            waiting += [*ast.iter_child_nodes(node)][::-1]
