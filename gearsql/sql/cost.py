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
"""Characters; each counts four times for every such query or call around it."""


def require_affordable(text: str) -> None:
    """NotSupportedError at the innermost WITH or call if a text is too long for so many around each other."""
    if text.upper().count("WITH") <= 2 and text.count("->") <= 2:
        return
    # The parentheses that are open: their WITH or call, if it makes them nested.
    nested: list[Token | None] = []
    queries: list[int] = []  # which of them are those of a query in WITH
    arrows = [False]  # whether there was an arrow, by how many parentheses were open
    before, cost = "", 0
    end = Token("", Position(len(text), len(text)), keyword=False)
    for token, following in pairwise([*tokens(text), end]):
        word = token.text.upper()
        if word == "WITH" and queries:
            nested[queries[-1]] = token
        if word == "(":
            queries += [len(nested)] if before in ("AS", "MATERIALIZED") else []
            nested.append(token if before == "POSITION" and arrows[-1] else None)
            arrows.append(False)
        elif word == ")" and nested:
            nested.pop()
            arrows.pop()
            queries = [at for at in queries if at < len(nested)]
        if word.startswith("->") and not word.startswith("->>"):
            arrows[-1] = True
        before = word
        around = [one for one in nested if one]
        if around:
            cost += (following.position.start - token.position.start) << 2 * len(around)
            if cost > MOST:
                raise _refusal(text, around[-1])


def _refusal(text: str, at: Token) -> NotSupportedError:
    if at.text == "(":
        what = "position() behind -> inside of the same is"
        hint = "strpos(text, part) is the same; or compute the inner ones in a subquery"
    else:
        what = "WITH inside of WITH is"
        hint = "name the queries one after the other: WITH a AS (…), b AS (…) SELECT …"
    message = f"{what} nested too deeply for a text of this length"
    return NotSupportedError(message, position=at.position, text=text, hint=hint)
