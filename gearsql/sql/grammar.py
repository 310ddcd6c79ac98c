"""Loads the lark grammars: from the package that the wheel maps them to, or from the source tree."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from lark import Lark


@functools.cache
def load(name: str) -> Lark:
    """Return the parser of grammar/<name>.lark; its start rule is `start`."""
    return Lark(_text(f"{name}.lark"), parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _text(file: str) -> str:
    try:
        return resources.files("gearsql.grammar").joinpath(file).read_text("utf-8")
    except ModuleNotFoundError:
        return (Path(__file__).parents[2] / "grammar" / file).read_text("utf-8")
