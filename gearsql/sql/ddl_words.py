"""Reads statements that hold queries (INSERT, UPDATE, COPY, CREATE VIEW, …): our words, DuckDB's expressions.

DuckDB's parser has taken the text before (syntax.py), so what is cut out here is what DuckDB would run.
"""

from __future__ import annotations

from collections.abc import Sequence

from gearsql.catalog.names import fold
from gearsql.errors import Error, NotSupportedError, Position, ProgrammingError, SqlSyntaxError
from gearsql.sql.syntax import read_query
from gearsql.sql.tokens import Token, tokens

_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")


def require_syntax(text: str) -> None:
    """Raise what DuckDB's parser has against a statement."""
    try:
        read_query(text)
    except NotSupportedError:
        # The text is right, and no SELECT.
        return
    except Error as error:
        error.text = text
        raise


class Words:
    """A cursor over a statement's tokens."""

    def __init__(self, text: str) -> None:
        """The semicolon at the end is no token here."""
        self.text = text
        self._tokens = tokens(text)
        while self._tokens and self._tokens[-1].text == ";":
            self._tokens = self._tokens[:-1]
        self._at = 0

    def sees(self, *words: str) -> bool:
        """Tell whether these words follow."""
        following = self._tokens[self._at : self._at + len(words)]
        return tuple(token.text.upper() for token in following) == words

    def takes(self, *words: str) -> bool:
        """Step over these words if they follow."""
        if not self.sees(*words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Step over these words, which must follow."""
        for word in words:
            if not self.takes(word):
                raise self.unexpected(word)

    def name(self, what: str = "a name") -> tuple[str, Position]:
        """Step over a name; one with dots is refused."""
        token = self.next(what)
        if not (token.keyword or token.text.startswith('"')) or token.text.startswith("'"):
            self._at -= 1
            raise self.unexpected(what)
        if self.sees("."):
            raise self.refused("a name with dots", self.here)
        return unquoted(token.text), token.position

    def names(self, what: str) -> tuple[tuple[str, Position], ...]:
        """Step over names in parentheses, with commas between them; one that is there twice is an error."""
        found: list[tuple[str, Position]] = []
        self.expect("(")
        while True:
            name, position = self.name(what)
            if fold(name) in (fold(other) for other, _ in found):
                raise ProgrammingError(f"column {name} is there twice", position=position, text=self.text)
            found.append((name, position))
            if self.takes(")"):
                return tuple(found)
            self.expect(",")

    def next(self, what: str) -> Token:
        """Step over any token."""
        if self.ended:
            raise self.unexpected(what)
        self._at += 1
        return self._tokens[self._at - 1]

    def span_until(self, *stops: Sequence[str]) -> Position:
        """Step over everything up to the first of some runs of words outside of brackets, or the end."""
        first, depth = self._at, 0
        while not self.ended:
            token = self._tokens[self._at]
            if depth == 0 and any(self.sees(*stop) for stop in stops):
                break
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            if depth < 0:
                break
            self._at += 1
        if self._at == first:
            raise self.unexpected("an expression")
        return Position(self._tokens[first].position.start, self._tokens[self._at - 1].position.end)

    def finds(self, *words: str) -> bool:
        """Tell whether these words follow somewhere, outside of brackets."""
        at, depth = self._at, 0
        try:
            while not self.ended:
                if depth == 0 and self.sees(*words):
                    return True
                token = self._tokens[self._at]
                depth += (token.text in _OPEN) - (token.text in _CLOSE)
                self._at += 1
            return False
        finally:
            self._at = at

    def end(self) -> None:
        """Nothing may follow."""
        if not self.ended:
            raise self.unexpected("the end")

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self._at >= len(self._tokens)

    @property
    def here(self) -> Position:
        """The place of the next token."""
        if not self.ended:
            return self._tokens[self._at].position
        end = len(self.text.rstrip())
        return Position(end, end + 1)

    def unexpected(self, wanted: str) -> Error:
        """Return the error for what stands here in place of `wanted`."""
        if self.ended:
            message = f"the statement ends too early: expected {wanted}"
        else:
            message = f"unexpected {self._tokens[self._at].text}: expected {wanted}"
        return SqlSyntaxError(message, position=self.here, text=self.text)

    def refused(self, what: str, place: Position, hint: str | None = None) -> NotSupportedError:
        """Return the error for what is right and not supported."""
        return NotSupportedError(f"{what} is not supported", position=place, text=self.text, hint=hint)


def unquoted(name: str) -> str:
    """Return a name without its double quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def blanked(text: str, span: Position) -> str:
    """Return what stands in a span, at its own place: all positions stay."""
    before = "".join("\n" if sign == "\n" else " " for sign in text[: span.start])
    return before + text[span.start : span.end]
