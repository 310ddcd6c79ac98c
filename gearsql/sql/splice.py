"""Edits of a text that remember where everything came from, so that errors point into what the user wrote."""

from __future__ import annotations

from dataclasses import dataclass

from gearsql.errors import Position


@dataclass(frozen=True)
class Edit:
    """Put `text` in place of a span."""

    position: Position
    text: str


@dataclass(frozen=True)
class Spliced:
    """A text after edits."""

    text: str
    edits: tuple[Edit, ...] = ()

    def origin(self, position: Position) -> Position:
        """A span of the edited text → the span of the original that it came from."""
        return Position(self._offset(position.start, False), self._offset(position.end, True))

    def _offset(self, offset: int, at_end: bool) -> int:
        shift = 0
        for edit in self.edits:
            start = edit.position.start + shift
            if offset < start or (at_end and offset == start):
                break
            if offset < start + len(edit.text) or (at_end and offset == start + len(edit.text)):
                return edit.position.end if at_end else edit.position.start
            shift += len(edit.text) - (edit.position.end - edit.position.start)
        return offset - shift


def splice(text: str, edits: list[Edit]) -> Spliced:
    """Apply edits, which must not overlap."""
    ordered = tuple(sorted(edits, key=lambda edit: edit.position.start))
    pieces, last = [], 0
    for edit in ordered:
        pieces += [text[last : edit.position.start], edit.text]
        last = edit.position.end
    return Spliced("".join([*pieces, text[last:]]), ordered)
