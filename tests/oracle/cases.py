"""Reads the files of queries: texts apart by blank lines, each with options in comments before it.

-- with: [1, "x"]       the parameters, as JSON
-- within: 0.05         how far doubles may be off
-- among: SELECT …      the rows are any of these; how many must be right
-- native: SELECT …     what DuckDB's native table is asked instead
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlglot

OPTION = re.compile(r"-- (with|within|among|native): (.*)")


@dataclass(frozen=True)
class Case:
    """A query over the table that the file calls by one name."""

    name: str
    text: str
    parameters: Any = None
    within: float = 1e-9
    among: str | None = None
    native: str | None = None

    @cached_property
    def ordered(self) -> bool:
        """Whether the query says in which order its rows come."""
        return sqlglot.parse_one(self.text, read="duckdb").args.get("order") is not None

    def over(self, name: str, table: str) -> Case:
        """Ask another table than `name`."""
        texts = (self.text, self.among, self.native)
        text, among, native = (re.sub(rf"\b{name}\b", table, t) if t else t for t in texts)
        assert text is not None
        return Case(self.name, text, self.parameters, self.within, among, native)


def read_cases(file: Path) -> list[Case]:
    """Read all queries of a file."""
    blocks = re.split(r"\n\s*\n", file.read_text().strip())
    return [case for number, block in enumerate(blocks) if (case := _case(number, block)) is not None]


def _case(number: int, block: str) -> Case | None:
    lines = block.splitlines()
    options = {found[1]: found[2] for line in lines if (found := OPTION.fullmatch(line))}
    text = "\n".join(line for line in lines if not line.startswith("--"))
    if not text:
        return None
    name = f"{number:03} {' '.join(text.split())}"[:70]
    parameters = json.loads(options["with"]) if "with" in options else None
    within = float(options.get("within", 1e-9))
    return Case(name, text, parameters, within, options.get("among"), options.get("native"))
