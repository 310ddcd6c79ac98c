"""The fenced blocks of a Markdown document.

    ```python    ```sql    ```console    are run, in the document's order
    ```output    right after a python or sql block: what it prints
    any other    is read by people only

In expected output `…` stands for any text of a line, and a line of nothing else for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("python", "sql", "console")


@dataclass(frozen=True)
class Block:
    """`expected` is None where no output block follows; `line` is that of the fence."""

    language: str
    text: str
    line: int
    expected: str | None


def blocks(document: str) -> Iterator[Block]:
    """Yield the blocks that are run."""
    fences = list(FENCE.finditer(document))
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] in RUN:
            line = document.count("\n", 0, fence.start()) + 1
            yield Block(fence[1], fence[2], line, _output(document, fence, following))


def _output(document: str, fence: re.Match[str], following: re.Match[str] | None) -> str | None:
    if following is None or following[1] != "output" or document[fence.end() : following.start()].strip():
        return None
    return following[2]


@dataclass(frozen=True)
class Command:
    """A `$ ` line of a console block, with its continuations, and the lines under it."""

    text: str
    expected: str


def commands(console: str) -> Iterator[Command]:
    """Yield the commands of a console block; lines after `$ ` that start with `> ` continue the command."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        first, *lines = part.splitlines()
        while lines and lines[0].startswith("> "):
            first += "\n" + lines.pop(0)[2:]
        yield Command(first, "\n".join(lines))


def fits(expected: str, printed: str) -> bool:
    """Tell whether a text is what a document says it is."""
    lines = [re.escape(line).replace("…", ".*") for line in _trimmed(expected)]
    pattern = "".join(r"(?:.*\n)*" if line == ".*" else line + "\n" for line in lines)
    return re.fullmatch(pattern, "".join(line + "\n" for line in _trimmed(printed))) is not None


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]
