"""Users' functions in a query: which names are theirs, and their calls in a form that DuckDB binds.

A scalar function is bound as a stub of its signature (stubs.py). Aggregates cannot be declared to DuckDB from
Python, so `mean(x, w ORDER BY t) FILTER (…)` is bound, and run in the merge, as

    "mean.whole"(list("mean.row"(x, w) ORDER BY t) FILTER (…))

which has the same arguments, implicit casts and type. The split rules make two calls of an aggregate: on the
shards its partial state, `"mean.state"(x, w)`, and `"mean.merge"(list(s0))` in the merge.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gearsql.catalog.function import Known
from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.errors import NotSupportedError, Position, ProgrammingError, UnknownFunctionError
from gearsql.sql.calls import find_calls
from gearsql.sql.functions import known_functions
from gearsql.sql.splice import Edit, splice
from gearsql.sql.syntax import Node, Syntax, children

Hooks = tuple[Known, ...]
"""The users' functions that a query calls, each once."""

Near = Callable[[str], Iterable[str]]
ROW, WHOLE, STATE, MERGE = ".row", ".whole", ".state", ".merge"


def called_names(syntax: Syntax) -> dict[str, Position | None]:
    """The functions that a query calls and DuckDB does not know, folded, with a place of each."""
    found: dict[str, Position | None] = {}
    for node, place in _calls(syntax, syntax.select):
        found.setdefault(fold(node["function_name"]), place)
    return found


def is_foreign(call: Node) -> bool:
    """Whether a FUNCTION node calls what DuckDB does not know."""
    name, functions = call["function_name"].lower(), known_functions()
    return not call["is_operator"] and name not in functions.allowed and name not in functions.refused


def explodes(node: Node) -> bool:
    """Whether a TABLE_FUNCTION in FROM is one that DuckDB does not know."""
    name = node["function"]["function_name"].lower()
    return name not in known_functions().tables and is_foreign(node["function"])


def require(syntax: Syntax, hooks: Mapping[str, Known], near: Near | None = None) -> Hooks:
    """The functions that a query calls, of those that were found; each stands where its kind may.

    A name that was not found is an error with the near names; `near` tells those among all users' functions.
    """
    for name, place in called_names(syntax).items():
        if name not in hooks:
            raise _unknown(syntax, name, place, [*hooks, *(near(name) if near else ())])
    for node, place in _calls(syntax, syntax.select):
        _check_kind(syntax, hooks[fold(node["function_name"])], node, place)
    _check_written(syntax, hooks)
    return tuple(hooks[name] for name in called_names(syntax))


def aggregates_among(hooks: Iterable[Known]) -> frozenset[str]:
    """The names of the aggregates."""
    return frozenset(known.function.name for known in hooks if known.function.kind == "aggregate")


def bindable(text: str, hooks: Iterable[Known]) -> str:
    """A text with its aggregates in the form that DuckDB binds, and the merge runs."""
    return splice(text, bindable_edits(text, hooks)).text


def bindable_edits(text: str, hooks: Iterable[Known]) -> list[Edit]:
    """The edits that bindable() makes."""
    forms = {name + kind: (name, form) for name in aggregates_among(hooks) for kind, form in _FORMS.items()}
    edits = []
    for call in find_calls(text, forms):
        name, form = forms[call.name]
        edits.append(Edit(call.at, f"{quoted(name + form)}(list"))
        # DuckDB orders distinct values by themselves only, and these are rows.
        for place in (call.inside, *(call.keys if call.distinct else ())):
            edits.append(Edit(Position(place.start, place.start), f"{quoted(name + ROW)}("))
            edits.append(Edit(Position(place.end, place.end), ")"))
        edits.append(Edit(Position(call.end, call.end), ")"))
    return edits


_FORMS = {"": WHOLE, STATE: STATE}
_INTERNAL = re.compile(r'"?(\w+)\.(?:row|whole|state|merge)"?(?=\()')


def as_written(message: str) -> str:
    """DuckDB's words about a bound text, with the names that the user wrote."""
    return _INTERNAL.sub(r"\1", message)


def hooks_in(text: str, hooks: Iterable[Known]) -> Hooks:
    """The functions that a text calls, in any form."""
    forms = {known.function.name + form: known for known in hooks for form in ("", ROW, WHOLE, STATE, MERGE)}
    return tuple({forms[call.name]: None for call in find_calls(text, forms)})


def served(text: str, hooks: Iterable[Known]) -> str:
    """A text with its calls as the servers know them; `hooks` are a stage's, in their order.

    The first argument is a hook's number in the stage. DuckDB tells an aggregate over no rows no argument, so
    the number stands in the names of aggregates, too.
    """
    forms = {
        name: (form, index) for index, known in enumerate(hooks) for name, form in _served_forms(known, index)
    }
    edits = []
    for call in find_calls(text, forms):
        form, index = forms[call.name]
        start = Position(call.inside.start, call.inside.start)
        edits += [Edit(call.at, form), Edit(start, f"{index}" if call.empty else f"{index}, ")]
    return splice(text, edits).text


def _served_forms(known: Known, index: int) -> list[tuple[str, str]]:
    name = known.function.name
    if known.function.kind != "aggregate":
        return [(name, known.call)]
    return [(name, f"{known.call}_{index}"), (name + STATE, f"{known.call}_{index}_state")]


def _calls(syntax: Syntax, node: Any) -> Iterator[tuple[Node, Position | None]]:
    """Foreign calls with their places; a table function has its place on its reference."""
    for child in children(node):
        if child.get("type") == "TABLE_FUNCTION":
            if explodes(child):
                yield {**child["function"], "in_from": True}, syntax.position(child)
            yield from _calls(syntax, child["function"])
            continue
        if child.get("class") == "FUNCTION" and is_foreign(child):
            yield child, syntax.position(child)
        if child.get("type") == "WINDOW_AGGREGATE" and is_foreign({**child, "is_operator": False}):
            yield {**child, "windowed": True}, syntax.position(child)
        yield from _calls(syntax, child)


def _check_kind(syntax: Syntax, known: Known, node: Node, place: Position | None) -> None:
    name, kind = known.function.name, known.function.kind
    if node.get("windowed"):
        message = f"a user's function over a window, as {name} here, is not supported"
        raise NotSupportedError(message, position=place, text=syntax.text)
    if node.get("in_from") and kind != "table":
        _refuse(syntax, f"{name} gives no rows, so it cannot stand in FROM", place)
    if kind == "table" and not node.get("in_from"):
        _refuse(syntax, f"{name} gives rows: it stands in FROM, as in FROM t, {name}(…)", place)
    if kind == "scalar" and (node["distinct"] or node["filter"] or node["order_bys"]["orders"]):
        _refuse(syntax, f"{name} is no aggregate: DISTINCT, FILTER and ORDER BY are for aggregates", place)


def _check_written(syntax: Syntax, hooks: Mapping[str, Known]) -> None:
    """An aggregate's calls are found by their tokens; what cannot be bound by them is refused."""
    names = aggregates_among(hooks.values())
    starts = {call.at.start for call in find_calls(syntax.text, names)}
    for node, place in _calls(syntax, syntax.select):
        name = node["function_name"]
        if fold(name) in names and (place is None or place.start not in starts):
            message = f"{name} in this form is not supported"
            raise NotSupportedError(message, position=place, text=syntax.text, hint=f"write {name}(…)")
        if fold(name) in names and node["distinct"] and node["order_bys"]["orders"] and node["arguments"][1:]:
            message = f"DISTINCT with ORDER BY over several arguments of {name} is not supported"
            raise NotSupportedError(message, position=place, text=syntax.text)


def _refuse(syntax: Syntax, message: str, place: Position | None) -> None:
    raise ProgrammingError(message, position=place, text=syntax.text)


def _unknown(syntax: Syntax, name: str, place: Position | None, users: list[str]) -> ProgrammingError:
    if name in known_functions().windows:
        message, hint = f"{name} is a window function: it stands before OVER", f"{name}(…) OVER (…)"
        return ProgrammingError(message, position=place, hint=hint, text=syntax.text)
    near = difflib.get_close_matches(name, dict.fromkeys([*users, *known_functions().allowed]), n=3)
    near = [name for name in near if name.isidentifier()]
    hint = (
        "did you mean " + " or ".join(near) + "?" if near else "SHOW FUNCTIONS lists those that users defined"
    )
    return UnknownFunctionError(
        f"no function {name}", candidates=tuple(near), position=place, hint=hint, text=syntax.text
    )
