"""Parts of the module in C alone, under the sanitizers of the fuzzers; each facets_*.c says which.

Which test has which file of module/, all of them:

    facets_calls      given, grow, hook_signature
    facets_functions  function, function_bus, function_save
    facets_hooks      hook, hook_call, hook_message
    facets_keys       slots, names, repeat
    facets_lenient    scan_lenient
    facets_pages      scan_page; the room in a load of snapshot_child
    facets_reads      read, read_list, read_members, read_stream, read_string
    facets_replies    reply
    facets_scans      scan_turn, scan_slots, scan_snapshot; of scan, which keys are rows
    facets_sessions   session, session_process, session_thread
    facets_snapshots  snapshot, snapshot_child
    facets_stages     worker (its queue and threads), stage, flush
    facets_texts      check, check_cost, json, elements
    facets_turns      lock, shrink, stage_limits, session_turn
    tests/fuzz        words, stage_parse, stage_parse_scan (stage.c), function_parse (function.c), slots, and
                      readers of bytes below
    test_arrow_ipc    arrow_ipc, arrow_layout, arrow_schema, arrow_flat
    test_batch        batch_read, batch_write
    test_cast         cast and cast_*
    test_hook_type    hook_type
    test_nested       nested, nested_column, json_text
    test_pattern      pattern, pattern_template, pattern_column

What is left calls the server, DuckDB or Python in nearly each line, and is tested on real servers:

    tests/module      scan (the table function), logical, duckdb_api, worker (a stage's run), rights,
                      command_stage, command_status, command_function, module, server
    tests/hooks       hook_logical, interpreter, python_api
"""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.fuzz import native

# All of the module is compiled for it.
pytestmark = pytest.mark.timeout(900)

FACETS = [
    "calls",
    "functions",
    "hooks",
    "keys",
    "lenient",
    "pages",
    "reads",
    "replies",
    "scans",
    "sessions",
    "snapshots",
    "stages",
    "texts",
    "turns",
]


@pytest.mark.parametrize("facets", FACETS)
def test_the_facets_hold_without_a_server(facets: str) -> None:
    program = native.link(Path(__file__).with_name(f"facets_{facets}.c"))
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_file_of_the_module_is_named_with_its_tests() -> None:
    named = set(re.findall(r"[a-z_*]+", __doc__ or ""))
    files = sorted(path.stem for path in (native.ROOT / "module").glob("*.c"))
    assert [file for file in files if not any(fnmatch(file, name) for name in named)] == []
