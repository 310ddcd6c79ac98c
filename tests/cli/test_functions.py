"""Functions in scripts: semicolons and quotes inside of $$ belong to the Python."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gearsql.embedded import Cluster

Gearsql = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT = """
-- A script; with functions.
CREATE OR REPLACE FUNCTION cli_shout(name VARCHAR) RETURNS VARCHAR LANGUAGE python AS $$
mark = ';'; text = "it's -- no /* comment"   # nor is this; $ either
return name.upper() + mark
$$;
CREATE OR REPLACE FUNCTION cli_quoted(name VARCHAR) RETURNS VARCHAR LANGUAGE python AS 'return name + '';''';
SELECT cli_shout(name) AS a, cli_quoted(name) AS b FROM "clif:*";
"""


@pytest.fixture(scope="module")
def url(one_server: Cluster) -> Iterator[str]:
    with one_server.client() as client:
        client.hset("clif:1", mapping={"name": "zoë"})
    yield one_server.url


def test_a_script_defines_and_calls(gearsql: Gearsql, url: str, tmp_path: Path) -> None:
    file = tmp_path / "functions.sql"
    file.write_text(SCRIPT)
    run = gearsql("-u", url, "--format", "csv", "-f", str(file))
    assert (run.stderr, run.stdout) == ("", "a,b\nZOË;,zoë;\n")


def test_a_description_shows_the_source_as_it_is(gearsql: Gearsql, url: str) -> None:
    gearsql("-u", url, "-c", SCRIPT)
    lines = gearsql("-u", url, "-c", "DESCRIBE FUNCTION cli_shout").stdout.splitlines()
    assert lines[0] == "name        cli_shout"
    assert lines[1] == "signature   cli_shout(name VARCHAR) → VARCHAR"
    assert lines[-2:] == [
        """source      mark = ';'; text = "it's -- no /* comment"   # nor is this; $ either""",
        "            return name.upper() + mark",
    ]


def test_a_fault_in_the_python_is_under_a_caret(gearsql: Gearsql, url: str) -> None:
    sql = "CREATE FUNCTION cli_wrong(x INT) RETURNS INT LANGUAGE python AS $$\nreturn x)\n$$"
    run = gearsql("-u", url, "-c", sql)
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "error: SyntaxError: unmatched ')'",
        "  line 2: return x)",
        "                  ^",
    ]


def test_an_error_in_a_hook_shows_the_users_lines(gearsql: Gearsql, url: str) -> None:
    gearsql("-u", url, "-c", SCRIPT.replace("name.upper()", "name[9]"))
    run = gearsql("-u", url, "-c", 'SELECT cli_shout(name) FROM "clif:*"')
    assert run.returncode == 1
    first = (
        "error: cli_shout() failed for key 'clif:1': IndexError: string index out of range (shard 127.0.0.1:"
    )
    assert run.stderr.startswith(first)
    assert "  name = 'zoë'" in run.stderr.splitlines()
    assert "    return name[9] + mark" in run.stderr
    gearsql("-u", url, "-c", "DROP FUNCTION cli_shout; DROP FUNCTION cli_quoted")
