"""Constant folding: what a filter computes from no row is computed once, before its keys are looked for.

`id = 3 + 4` is about one key, `_key = 'user:' || '7'` too, and `1 = 0` about none. Only what may tell keys is
folded: DuckDB folds all else where it runs. What fails, or would change its type, stays as it is, so DuckDB
raises its error if a row reaches it, and compares as it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from gearsql.plan.keys import INTEGERS, key_columns, only_text
from gearsql.plan.text import sql
from gearsql.sql.bound import BoundQuery
from gearsql.sql.evaluate import MUCH_OF_LITTLE, Value, evaluate
from gearsql.sql.functions import VOLATILE, known_functions
from gearsql.sql.slots import has_marker

_Fold = tuple[exp.Expr, exp.Expr]
"""A part of a filter, and the constant that it is."""

_NOT_HERE = VOLATILE | MUCH_OF_LITTLE
_MIDNIGHT = " 00:00:00"
_NO_CONSTANTS = (exp.Column, exp.Query, exp.Lambda, exp.Star, exp.Collate, exp.AggFunc, exp.Window)


def folded(bound: BoundQuery) -> BoundQuery:
    """Return the query with constants for the expressions in its filter that may tell its keys."""
    if bound.tree is None or not bound.tree.args.get("where") or bound.exploded:
        return bound
    types = {column.name: column.type for column in key_columns(bound.table)}
    if next(_folds(bound.tree, types), None) is None:
        return bound
    tree = bound.tree.copy()
    for part, constant in list(_folds(tree, types)):
        while isinstance(part.parent, exp.Paren):
            part = part.parent
        part.replace(constant)
    return replace(bound, tree=tree)


def _folds(tree: exp.Select, types: Mapping[str, str]) -> Iterator[_Fold]:
    for condition in _conditions(tree.args["where"].this):
        match condition:
            case exp.EQ():
                sides = [condition.left, condition.right]
            case exp.In() if condition.expressions:
                sides = [condition.this, *condition.expressions]
            case _:
                sides = []
        sides = [side.unnest() for side in sides]
        column = next((side for side in sides if isinstance(side, exp.Column)), None)
        if column is not None:
            others = [side for side in sides if side is not column]
            yield from _operands(others, types.get(column.name))
        elif _is_constant(condition):
            yield from _never(condition)


def _conditions(node: exp.Expr) -> Iterator[exp.Expr]:
    """The conditions that AND and OR join: a row is left out by NULL as it is by false."""
    node = node.unnest()
    if isinstance(node, exp.And | exp.Or):
        yield from _conditions(node.left)
        yield from _conditions(node.right)
    else:
        yield node


def _operands(others: Sequence[exp.Expr], type_: str | None) -> Iterator[_Fold]:
    """What a column of the key is compared to; `type_` is the column's, None if it is of no key."""
    if type_ is None:
        return
    parts = [other for other in others if only_text(other, type_) is None]
    if all(map(_is_constant, parts)) and (values := evaluate(tuple(map(sql, parts)))):
        constants = [_typed(value, type_) for value in values]
        yield from ((part, constant) for part, constant in zip(parts, constants, strict=True) if constant)


def _never(condition: exp.Expr) -> Iterator[_Fold]:
    values = evaluate((f"CAST({sql(condition)} AS BOOLEAN)",))
    if values and values[0].text != "true":
        yield condition, exp.false()


def _is_constant(node: exp.Expr) -> bool:
    """Whether a part is to be computed: no row tells it, and it is no constant yet."""
    if isinstance(node, exp.Boolean | exp.Null):
        return False
    calls = known_functions().allowed
    for part in node.walk():
        if isinstance(part, _NO_CONSTANTS):
            return False
        if isinstance(part, exp.Anonymous) and (part.name not in calls or part.name in _NOT_HERE):
            return False
    return not has_marker(sql(node))


def _typed(value: Value, type_: str) -> exp.Expr | None:
    """The value as a constant of its type, None if a column of `type_` would be cast to compare them."""
    if value.type == "TIMESTAMP" and type_ == "DATE" and value.text and value.text.endswith(_MIDNIGHT):
        # A day is compared as the moment that it begins at.
        value = Value("DATE", value.text.removesuffix(_MIDNIGHT))
    if value.type != type_ and not (value.type in INTEGERS and type_ in INTEGERS):
        return None
    if value.text is None:
        return exp.null()
    literal = exp.Literal.string(value.text)
    if type_ == "VARCHAR":
        return None if "\0" in value.text else literal
    return exp.cast(literal, value.type, dialect="duckdb")
