"""Refuses texts that DuckDB's parser would take very long to refuse, before it sees them.

DuckDB 2.0 reads a query in WITH that has a WITH of its own two to four times before it gives up, and those
inside of it as often each: eight unclosed ones, ninety characters, take half a minute. The shards look, too
(module/check_cost.c).
"""

from __future__ import annotations

from itertools import pairwise

from gearsql.errors import NotSupportedError, Position
from gearsql.sql.tokens import Token, tokens

MOST = 1 << 17
"""Characters; each counts four times for every query in WITH around it that has a WITH."""


def require_affordable(text: str) -> None:
    """NotSupportedError at the innermost WITH if the text is too long for so many around each other."""
    if text.upper().count("WITH") <= 2:
        return
    nested: list[Token | None] = []  # the parentheses that are open: their WITH, if it makes them nested
    queries: list[int] = []  # which of them are those of a query in WITH
    named = False
    cost = 0
    end = Token("", Position(len(text), len(text)), keyword=False)
    for token, following in pairwise([*tokens(text), end]):
        word = token.text.upper()
        if word == "WITH" and queries:
            nested[queries[-1]] = token
        if word == "(":
            queries += [len(nested)] if named else []
            nested.append(None)
        elif word == ")" and nested:
            nested.pop()
            queries = [at for at in queries if at < len(nested)]
        named = word in ("AS", "MATERIALIZED")
        around = [one for one in nested if one]
        if around:
            cost += (following.position.start - token.position.start) << 2 * len(around)
            if cost > MOST:
                raise NotSupportedError(
                    "WITH inside of WITH is nested too deeply for a text of this length",
                    position=around[-1].position,
                    text=text,
                    hint="name the queries one after the other: WITH a AS (…), b AS (…) SELECT …",
                )
