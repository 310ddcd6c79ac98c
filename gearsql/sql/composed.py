"""A text put together from pieces of a user's and our own words, so that errors point into the user's."""

from __future__ import annotations

from dataclasses import dataclass

from gearsql.errors import Error, Position

Piece = Position | str


@dataclass(frozen=True)
class Composed:
    """`pieces` are spans of `original`, or words of ours."""

    original: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(map(self._written, self.pieces))

    def origin(self, place: Position) -> Position | None:
        """A span of the whole → that of the original; None where it stands in words of ours alone."""
        offset = 0
        for piece in self.pieces:
            end = offset + len(self._written(piece))
            if isinstance(piece, Position) and place.start < end and place.end > offset:
                first = max(place.start - offset, 0) + piece.start
                return Position(first, max(min(place.end - offset + piece.start, piece.end), first + 1))
            offset = end
        return None

    def locate(self, error: Error, otherwise: Position) -> Error:
        """Let an error about the whole point into the original."""
        if error.position is not None and error.text != self.original:
            error.position = self.origin(error.position) or otherwise
        error.text = self.original
        return error

    def _written(self, piece: Piece) -> str:
        return piece if isinstance(piece, str) else self.original[piece.start : piece.end]
