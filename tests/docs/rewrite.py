"""Puts what is really printed into a document where it does not fit: python -m tests.docs.rewrite PAGE …"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.blocks import Block, blocks
from tests.docs.reader import Exchange, Reader


def rewrite(page: Path) -> None:
    """Follow the whole document, then write it anew."""
    text = page.read_text()
    with tempfile.TemporaryDirectory() as home, Reader(Path(home)) as reader:
        for block in blocks(text):
            for said in reader.follow(block):
                if not said.good:
                    text = _replaced(text, block, said)
    page.write_text(text)


def _replaced(text: str, block: Block, said: Exchange) -> str:
    printed = "".join(line.rstrip() + "\n" for line in said.printed.strip("\n").splitlines())
    if block.language == "console":
        shown = f"$ {said.typed}\n".replace("\n", "\n> ", said.typed.count("\n"))
        return text.replace(f"{shown}{said.expected}".rstrip("\n") + "\n", shown + printed, 1)
    source = f"```{block.language}\n{said.typed}```\n"
    if block.expected is None:
        return text.replace(source, f"{source}\n```output\n{printed}```\n", 1)
    return text.replace(
        f"{source}\n```output\n{block.expected}```\n", f"{source}\n```output\n{printed}```\n", 1
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name).resolve())
