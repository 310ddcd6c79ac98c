"""DuckDB is pinned to one version (docs/decisions/0008), and that one is tested."""

import importlib.util
import tomllib
from pathlib import Path

import duckdb
import pytest

from gearsql.embedded.module_line import duckdb_file
from gearsql.errors import InterfaceError

PIN = f"duckdb=={duckdb.__version__}"


def test_the_duckdb_that_is_tested_is_the_one_that_is_required() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert [line for line in project["dependencies"] if line.startswith("duckdb")] == [PIN]


def test_without_duckdb_the_hint_names_the_required_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InterfaceError) as caught:
        duckdb_file()
    assert caught.value.hint == f"pip install '{PIN}'"
