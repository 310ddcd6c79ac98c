"""Everything that a document shows happens: its blocks are typed in, one after the other."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.docs.reader import REPOSITORY, Reader

DOCUMENTS = (
    "README.md",
    "docs/tutorial.md",
    "docs/sql.md",
    "docs/hooks.md",
    "docs/operations.md",
    "docs/security.md",
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEARSQL_URL", raising=False)
    document = (REPOSITORY / name).read_text()
    with Reader(tmp_path) as reader:
        for block in blocks(document):
            for said in reader.follow(block):
                shown = f"{said.typed}\nshows\n{said.expected}\nbut prints\n{said.printed}"
                assert said.good, f"{name}, line {block.line}:\n{shown}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    page = REPOSITORY / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), f"{name} links to {target}"
