"""CREATE FUNCTION: lark's tree → a Function, its Python read and every fault at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, cast, get_args

from lark import Token, Tree

from gearsql.catalog.function import Function, Isolation, Kind, OnHookError, Vectorised
from gearsql.catalog.hook_types import canonical_hook_type, hook_type_names, quoted
from gearsql.catalog.names import fold
from gearsql.catalog.source import LINE_END, SourceError, read_source, without_first_line_end
from gearsql.errors import (
    Error,
    FunctionDefinitionError,
    NotSupportedError,
    Position,
    SqlSyntaxError,
)
from gearsql.sql.ddl_tree import direct, has, inside, last_token, named, place_of, strings, unquote
from gearsql.sql.function_rules import faults
from gearsql.sql.statements import CreateFunction
from gearsql.sql.tokens import tokens

Clauses = Mapping[str, Tree[Token]]

# Clauses that exclude each other fill one place.
_PLACES = {
    "called_on_null": "nulls",
    "null_on_null": "nulls",
    "immutable": "stability",
    "volatile": "stability",
}


def create_function(tree: Tree[Token], text: str) -> CreateFunction:
    """Read the statement; what only a server can know (a missing package, say) is not checked here."""
    return _Creation(tree, text).statement()


def place_in_source(text: str, literal: Position, error: SourceError) -> Position:
    """Return where a fault in a function's source stands in the statement; `literal` holds the source."""
    raw = text[literal.start : literal.end]
    value = _value(raw)
    # Line 1 begins behind the opening quote's line end, if it has one.
    starts = ([] if LINE_END.match(value) else [0]) + [line.end() for line in LINE_END.finditer(value)]
    start = starts[min(error.line, len(starts)) - 1] + error.column - 1
    place = Position(start, start + error.end_column - error.column)
    if raw.startswith("'"):
        return inside(raw, literal.start, place)
    opening = literal.start + raw.index("$", 1) + 1
    return Position(min(opening + place.start, literal.end - 1), min(opening + place.end, literal.end))


def line_of_source(text: str, literal: Position, line: int) -> Position:
    """Return where a line of a function's source stands in the statement, its blanks left out."""
    lines = LINE_END.split(without_first_line_end(_value(text[literal.start : literal.end])))
    said = lines[min(max(line, 1), len(lines)) - 1]
    first = len(said) - len(said.lstrip()) + 1
    return place_in_source(text, literal, SourceError("", line, first, first + max(len(said.strip()), 1)))


def _value(literal: str) -> str:
    if literal.startswith("'"):
        return unquote(literal)
    tag = literal.index("$", 1) + 1
    return literal[tag:-tag]


class _Creation:
    def __init__(self, tree: Tree[Token], text: str) -> None:
        self._tree = tree
        self._text = text
        self._name, self._name_position = named(tree)
        self._parameters = list(direct(next(direct(tree, "parameters")), "parameter"))
        self._clauses = self._placed_clauses()

    def statement(self) -> CreateFunction:
        source = self._source()
        function = self._function(_value(source))
        self._check(function)
        literal = place_of(source)
        try:
            read_source(function)
        except SourceError as error:
            place = place_in_source(self._text, literal, error)
            self._fail(error.message, place, error.hint, FunctionDefinitionError)
        return CreateFunction(
            self._text,
            function,
            self._name_position,
            literal,
            replace=has(self._tree, "or_replace"),
            if_not_exists=has(self._tree, "if_not_exists"),
        )

    def _function(self, source: str) -> Function:
        rows = list(direct(self._tree, "rows"))
        kind: Kind = "table" if rows else "aggregate" if has(self._tree, "aggregate") else "scalar"
        if rows and has(self._tree, "aggregate"):
            self._fail("an aggregate returns one value", place_of(rows[0]), "RETURNS type", NotSupportedError)
        vectorised = self._vectorised()
        return Function(
            fold(self._name),
            kind,
            tuple((named(parameter)[0], self._type(parameter)) for parameter in self._parameters),
            self._rows(rows[0]) if rows else self._type(self._tree),
            source,
            vectorised,
            called_on_null=self._is("nulls", "called_on_null"),
            volatile=self._is("stability", "volatile"),
            isolation=self._isolation(vectorised),
            on_error=cast(OnHookError, self._last_word("on_error", "fail").lower()),
            requires=tuple(map(unquote, strings(self._clauses["requires"]))) if self._has("requires") else (),
        )

    def _check(self, function: Function) -> None:
        for fault in faults(function):
            self._fail(fault.message, self._place(fault.place, fault.index), fault.hint, fault.error)

    def _place(self, place: str, index: int) -> Position:
        match place:
            case "parameters":
                return named(self._parameters[index])[1]
            case "requires":
                return place_of(strings(self._clauses[place])[index])
            case "name":
                return self._name_position
            case _:
                return place_of(self._clauses[place])

    def _rows(self, tree: Tree[Token]) -> str:
        members: dict[str, str] = {}
        for column in direct(tree, "parameter"):
            name, place = named(column)
            if fold(name) in map(fold, members):
                self._fail(f"column {name} is there twice", place, None, FunctionDefinitionError)
            members[name] = self._type(column)
        return f"STRUCT({', '.join(f'{quoted(name)} {type_}' for name, type_ in members.items())})[]"

    def _type(self, tree: Tree[Token]) -> str:
        place = place_of(next(direct(tree, "hook_type")))
        written = " ".join(token.text for token in tokens(self._text[place.start : place.end]))
        type_ = canonical_hook_type(written)
        if type_ is None:
            hint = "types are " + ", ".join(hook_type_names())
            self._fail(f"a function cannot have the type {written}", place, hint, NotSupportedError)
        return type_

    def _placed_clauses(self) -> Clauses:
        found: dict[str, Tree[Token]] = {}
        for clause in self._tree.children:
            if not isinstance(clause, Tree) or clause.data not in _CLAUSES:
                continue
            place = _PLACES.get(clause.data, clause.data)
            if place in found:
                earlier = self._shown(found[place])
                message = f"{self._shown(clause)} after {earlier}: only one of them can be"
                self._fail(message, place_of(clause), None, SqlSyntaxError)
            found[place] = clause
        return found

    def _source(self) -> Token:
        for place, what, hint in (
            ("language", "its language", "LANGUAGE python"),
            ("source", "its source", "AS $$ … $$"),
        ):
            if not self._has(place):
                end = self._tree.meta.end_pos
                self._fail(f"a function needs {what}", Position(end, end + 1), hint, SqlSyntaxError)
        language = last_token(self._clauses["language"])
        if language.lower() != "python":
            message = f"functions are not written in {language}"
            self._fail(message, place_of(language), "LANGUAGE python", NotSupportedError)
        return last_token(self._clauses["source"])

    def _vectorised(self) -> Vectorised | None:
        if not self._has("vectorised"):
            return None
        words = self._clauses["vectorised"].children
        return cast(Vectorised, self._choice("vectorised", get_args(Vectorised)) if words[1:] else "lists")

    def _isolation(self, vectorised: Vectorised | None) -> Isolation:
        if self._has("isolation"):
            return cast(Isolation, self._choice("isolation", get_args(Isolation)))
        return default_isolation(vectorised)

    def _choice(self, place: str, choices: tuple[str, ...]) -> str:
        word = last_token(self._clauses[place])
        if word.lower() not in choices:
            message = f"{word} is none of {', '.join(choices)}"
            self._fail(message, place_of(word), None, SqlSyntaxError)
        return word.lower()

    def _has(self, place: str) -> bool:
        return place in self._clauses

    def _is(self, place: str, rule: str) -> bool:
        return self._has(place) and self._clauses[place].data == rule

    def _last_word(self, place: str, default: str) -> str:
        return str(last_token(self._clauses[place])) if self._has(place) else default

    def _shown(self, clause: Tree[Token]) -> str:
        if clause.data == "source":
            return "AS"
        place = place_of(clause)
        return " ".join(self._text[place.start : place.end].split())

    def _fail(self, message: str, place: Position, hint: str | None, error: type[Error]) -> NoReturn:
        raise error(message, position=place, hint=hint, text=self._text)


_CLAUSES = frozenset({
    "language", "vectorised", "called_on_null", "null_on_null", "immutable", "volatile", "isolation",
    "on_error", "requires", "source",
})  # fmt: skip


def default_isolation(vectorised: Vectorised | None) -> Isolation:
    """numpy and pyarrow refuse to load in a second interpreter of a process."""
    return "process" if vectorised in ("numpy", "arrow") else "session"
