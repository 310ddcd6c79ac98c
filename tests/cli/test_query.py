"""gearsql -u URL -c SQL: formats, exit codes, errors. Each test runs the installed command's own entry."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gearsql.embedded import Cluster

Run = subprocess.CompletedProcess[str]
Gearsql = Callable[..., Run]


@pytest.fixture(scope="module")
def url(plain_server: Cluster) -> Iterator[str]:
    with plain_server.client() as client:
        client.hset("cli:1", mapping={"n": 1, "name": "Zoë", "big": "123456789.5"})
        client.hset("cli:2", mapping={"n": 20, "name": ""})
        client.hset("cli:3", mapping={"n": 300, "name": 'a,"b"\n\x1b[31m|'})
    yield plain_server.url


SELECT = 'SELECT n, name, big FROM "cli:*" ORDER BY n'


def test_a_table_shows_everything(gearsql: Gearsql, url: str) -> None:
    assert gearsql("-u", url, "-c", SELECT).stdout.splitlines() == [
        "┌─────┬──────────────────┬─────────────┐",
        "│ n   │ name             │ big         │",
        "├─────┼──────────────────┼─────────────┤",
        "│   1 │ Zoë              │ 123456789.5 │",
        "│  20 │                  │        NULL │",
        '│ 300 │ a,"b"\\n\\x1B[31m| │        NULL │',
        "└─────┴──────────────────┴─────────────┘",
        "(3 rows)",
    ]


def test_csv_tells_null_from_the_empty_text(gearsql: Gearsql, url: str) -> None:
    out = gearsql("-u", url, "-c", SELECT, "--format", "csv").stdout
    assert out == 'n,name,big\n1,Zoë,123456789.5\n20,"",\n300,"a,""b""\n\x1b[31m|",\n'


def test_json_is_an_array_and_jsonl_are_objects(gearsql: Gearsql, url: str) -> None:
    array = gearsql("-u", url, "-c", SELECT, "--format", "json").stdout
    lines = gearsql("-u", url, "-c", SELECT, "--format", "jsonl").stdout
    assert json.loads(array) == [json.loads(line) for line in lines.splitlines()]
    assert json.loads(array)[1] == {"n": 20, "name": "", "big": None}


def test_json_of_no_rows_is_an_empty_array(gearsql: Gearsql, url: str) -> None:
    assert gearsql("-u", url, "-c", 'SELECT n FROM "cli:*" WHERE n < 0', "--format", "json").stdout == "[]\n"


def test_json_numbers_keep_all_digits(gearsql: Gearsql, url: str) -> None:
    sql = (
        "SELECT max(n)::HUGEINT + 170141183460469231731687303715884105000 AS h, "
        "max(n) * 1.50::DECIMAL(30,2) AS d, 'nan'::DOUBLE AS x, min(name)::BLOB AS b FROM \"cli:*\""
    )
    out = gearsql("-u", url, "-c", sql, "--format", "jsonl").stdout
    assert out == '{"h": 170141183460469231731687303715884105300, "d": 450.00, "x": "NaN", "b": ""}\n'


def test_json_has_dates_and_intervals_that_python_has_not(gearsql: Gearsql, url: str) -> None:
    sql = (
        "SELECT DATE 'infinity' AS d, [TIMESTAMP '-infinity', '10000-01-01'] AS t, min(n) AS n, "
        "{'DATE': 'x', 'i': INTERVAL '1 year 2 months -3 days 04:05:06.7'} AS i, (1, TIME '24:00:00') AS u "
        'FROM "cli:*"'
    )
    out = gearsql("-u", url, "-c", sql, "--format", "jsonl").stdout
    assert json.loads(out) == {
        "d": "infinity",
        "t": ["-infinity", "10000-01-01 00:00:00"],
        "n": 1,
        "i": {"DATE": "x", "i": "1 year 2 months -3 days 04:05:06.7"},
        "u": [1, "24:00:00"],
    }


def test_vertical_has_a_line_for_each_value(gearsql: Gearsql, url: str) -> None:
    out = gearsql("-u", url, "-c", SELECT, "--format", "vertical").stdout
    assert out.splitlines()[:4] == ["─[ row 1 ]──────", "n     1", "name  Zoë", "big   123456789.5"]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("csv", '"(1, Zoë)",2013-01-31 03:00:00+00'),
        ("jsonl", '{"t": [1, "Zoë"], "m": "2013-01-31 03:00:00+00"}'),
    ],
)
def test_tuples_and_zones_are_written_alike(
    gearsql: Gearsql, url: str, monkeypatch: pytest.MonkeyPatch, form: str, line: str
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sql = "SELECT (n, name) AS t, '2013-01-31 05:00:00+02'::TIMESTAMPTZ AS m FROM \"cli:*\" WHERE n = 1"
    assert gearsql("-u", url, "-c", sql, "--format", form).stdout.splitlines()[-1] == line


def test_a_plan_stands_without_a_grid(gearsql: Gearsql, url: str) -> None:
    explain = f"-- why\nEXPLAIN {SELECT}"
    lines = gearsql("-u", url, "-c", explain).stdout.splitlines()
    with_header = gearsql("-u", url, "-c", explain, "--format", "jsonl").stdout.splitlines()
    assert lines == [json.loads(line)["plan"] for line in with_header]


def test_statements_come_from_files_stdin_and_options(gearsql: Gearsql, url: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(
        '-- a; comment\nSELECT count(*) AS \';\' FROM "cli:*"; ;\nSELECT 2 AS b FROM "cli:*" LIMIT 1;'
    )
    expected = ";\n3\nb\n2\n"
    assert gearsql("-u", url, "--format", "csv", "-f", str(script)).stdout == expected
    assert gearsql("-u", url, "--format", "csv", "-f", "-", stdin=script.read_text()).stdout == expected
    assert gearsql("-u", url, "--format", "csv", stdin=script.read_text()).stdout == expected
    both = ["-c", 'SELECT 1 AS a FROM "cli:*" LIMIT 1', "-c", 'SELECT 2 AS b FROM "cli:*" LIMIT 1']
    assert gearsql("-u", url, "--format", "csv", *both).stdout == "a\n1\nb\n2\n"


def test_an_error_has_a_caret_and_exit_code_1(gearsql: Gearsql, url: str) -> None:
    run = gearsql("-u", url, "-c", 'SELECT nme FROM "cli:*"')
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.splitlines()[:3] == [
        "error: no column nme in cli:*",
        '  line 1: SELECT nme FROM "cli:*"',
        "                 ^^^",
    ]


def test_the_first_error_ends_a_script(gearsql: Gearsql, url: str) -> None:
    run = gearsql("-u", url, "--format", "csv", "-c", "SHOW TABLES; SELEC 1; SHOW TABLES")
    assert (run.returncode, run.stdout.count("name,key")) == (1, 1)


def test_wrong_usage_is_exit_code_2(gearsql: Gearsql) -> None:
    assert gearsql("--format", "xml", "-c", "SHOW TABLES").returncode == 2
    assert gearsql("-u", "http://nowhere", "-c", "SHOW TABLES").returncode == 2
    assert gearsql("-f", "/no/such/file.sql").returncode == 2


def test_a_server_that_is_down_is_exit_code_3(gearsql: Gearsql) -> None:
    run = gearsql("-u", "redis://127.0.0.1:1", "-c", "SHOW TABLES")
    assert run.returncode == 3
    assert run.stderr.startswith("error: cannot reach 127.0.0.1:1")


def test_a_wrong_password_is_exit_code_3(gearsql: Gearsql, url: str) -> None:
    assert gearsql("-u", url.replace("redis://", "redis://:wrong@"), "-c", "SHOW TABLES").returncode == 3


def test_what_was_left_out_is_said_on_stderr(gearsql: Gearsql, url: str) -> None:
    declaration = "CREATE TABLE cli_lenient (name BIGINT) WITH (key = 'cli:{id}', on_error = 'skip')"
    run = gearsql(
        "-u", url, "--format", "csv", "-c", f"{declaration}; SELECT count(*), max(name) FROM cli_lenient"
    )
    assert run.stdout.splitlines()[1:] == ["0,"]
    assert run.stderr == "note: 3 rows had a value that did not fit and were left out\n"


def test_one_row_was_left_out(gearsql: Gearsql, url: str, plain_server: Cluster) -> None:
    with plain_server.client() as client:
        client.hset("one_cli:1", "n", "x")
        client.set("one_cli:2", "a string")
    declaration = "CREATE TABLE one_cli (n BIGINT) WITH (key = 'one_cli:{id}', on_error = 'skip')"
    run = gearsql("-u", url, "-c", f"{declaration}; SELECT count(n) FROM one_cli")
    assert run.stderr.splitlines() == [
        "note: 1 row had a value that did not fit and was left out",
        "note: 1 key of another type than hash was left out",
    ]


def test_a_reader_that_has_seen_enough_is_no_error(url: str) -> None:
    command = f"{sys.executable} -c 'from gearsql.cli import main; main()' -u {url} --format csv"
    sql = 'SELECT unnest(range(100000)) FROM "cli:*"'
    run = subprocess.run(
        ["/bin/sh", "-c", f"echo '{sql}' | {command} | head -1"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("redirected", "why"),
    [
        (">/dev/full", "No space left on device"),
        (">&-", "standard output is closed"),
        ("| cat; exit ${PIPESTATUS[0]}", "ascii has no '┌'"),
    ],
)
def test_an_answer_that_cannot_be_written_is_an_error(url: str, redirected: str, why: str) -> None:
    command = f'"$0" -c "from gearsql.cli import main; main()" -u "$1" -c "$2" {redirected}'
    words = ["bash", "-c", command, sys.executable, url, SELECT]
    run = subprocess.run(
        words,
        env={**os.environ, "PYTHONIOENCODING": "ascii"} if "cat" in redirected else None,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, "Traceback" in run.stderr) == (1, False)
    assert f"the answer cannot be written: {why}" in run.stderr
