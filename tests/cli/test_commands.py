"""The subcommands: load, serve, module."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import status

Gearsql = Callable[..., subprocess.CompletedProcess[str]]

CSV = """id,code,name,empty
1,007,Zoë,
2,1_000,"a ""quoted"", one",""
3,NA,,
"""

KEYS = """id,name,twice
1,a,x
2,,x
3,c,y
"""


def hashes(cluster: Cluster, pattern: str) -> dict[bytes, dict[bytes, bytes]]:
    found = {}
    for shard in range(len(cluster.ports)):
        with cluster.client(shard) as client:
            found |= {key: client.hgetall(key) for key in client.scan_iter(pattern)}
    return found


def test_csv_is_loaded_as_it_stands(gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(CSV)
    run = gearsql("load", str(file), "--key", "csv:{id}", "-u", plain_shards.url, "--null", "NA")
    assert (run.returncode, run.stdout[:8]) == (0, "2 hashes")
    assert hashes(plain_shards, "csv:*") == {
        b"csv:1": {b"code": b"007", b"name": "Zoë".encode()},
        b"csv:2": {b"code": b"1_000", b"name": b'a "quoted", one', b"empty": b""},
    }
    assert run.stderr == "note: 1 row has no values and became no hash\n"


def test_parquet_is_loaded_in_the_text_that_casts_read_back(
    gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "rows.parquet"
    duckdb.connect().sql(
        r"""COPY (SELECT true AS yes, TIMESTAMP '2013-01-01 05:00:00.25' AS moment, 1e20 AS ratio,
            '\xFF\x00'::BLOB AS raw, 2::HUGEINT ** 100 AS big, 1.50::DECIMAL(5,2) AS price, NULL::INT AS none
            FROM range(2)) TO '"""
        + f"{file}' (FORMAT parquet)"
    )
    assert gearsql("load", str(file), "-k", "{{p}}:{_row}", "-u", plain_shards.url).returncode == 0
    found = hashes(plain_shards, "{p}:*")
    assert sorted(found) == [b"{p}:1", b"{p}:2"]
    assert found[b"{p}:1"][b"raw"] == b"\xff\x00"
    assert found[b"{p}:1"][b"yes"] == b"true"
    assert b"none" not in found[b"{p}:1"]
    sql = (
        "CREATE TABLE p (yes BOOLEAN, moment TIMESTAMP, ratio DOUBLE, raw BLOB, price DECIMAL(5,2)) "
        "WITH (key = '{{p}}:{row}'); SELECT * EXCLUDE (row) FROM p LIMIT 1"
    )
    run = gearsql("-u", plain_shards.url, "--format", "csv", "-c", sql)
    assert run.stdout.splitlines()[1] == r"true,2013-01-01 05:00:00.25,1e+20,\xFF\x00,1.50"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("unwritten:{idd}", "the file has no column idd"),
        ("unwritten:{id", "not closed"),
        ("unwritten:{name}", "is NULL in a row"),
        ("unwritten:", "the key has no placeholder"),
        ("unwritten:{twice}", "1 of 3 rows have the key of an earlier row, such as 'unwritten:x'"),
    ],
)
def test_a_key_that_does_not_fit_is_an_error(
    gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path, key: str, message: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(KEYS)
    run = gearsql("load", str(file), "--key", key, "-u", plain_shards.url)
    assert run.returncode == 1
    assert message in run.stderr
    assert hashes(plain_shards, "unwritten:*") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n4,5\n", "line 3: 1 value for 2 columns: column b has none"),
        (b'a,b\n"1\n",2\n3,4,5\n', "line 4: 3 values for 2 columns"),
        (b'a,b\n1,"x"y\n', "line 2: text follows the end of a quoted value"),
        (b'a,b\n1,2\n3,"x\n4,5\n', "line 3: a quoted value does not end"),
        (b"a,b\n1,2\n3,\xff\n", r"line 3, column 'b': b'\xff' is not UTF-8"),
        (b"a,A\n1,2\n", "line 1: column A is there twice"),
        (b"a,\n1,2\n", "line 1: column 2 of 2 has no name"),
        (b"a;b\n1;2\n", "line 1: one column, 'a;b'"),
        (b"", "line 1: there are no column names"),
    ],
)
def test_a_broken_file_is_an_error_before_the_first_hash(
    gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    run = gearsql("load", str(file), "--key", "unwritten:{_row}", "-u", plain_shards.url)
    assert (run.returncode, run.stdout) == (1, "")
    assert message in run.stderr
    assert hashes(plain_shards, "unwritten:*") == {}


def test_a_fault_far_down_is_found_before_the_first_hash(
    gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"a,b\n" + b"1,2\n" * 60_000 + b"3\n" + b"1,2\n" * 60_000)
    run = gearsql("load", str(file), "--key", "unwritten:{_row}", "-u", plain_shards.url)
    assert "line 60002: 1 value for 2 columns" in run.stderr
    assert hashes(plain_shards, "unwritten:*") == {}


@pytest.mark.parametrize(
    ("name", "sign", "words"), [("rows.tsv", "\t", []), ("rows.csv", "|", ["--delimiter", "|"])]
)
def test_fields_may_have_another_delimiter(
    gearsql: Gearsql, plain_shards: Cluster, tmp_path: Path, name: str, sign: str, words: list[str]
) -> None:
    file = tmp_path / name
    file.write_text(f"a{sign}b\n1{sign}x,y\n")
    assert gearsql("load", str(file), "-k", f"{name}:{{a}}", "-u", plain_shards.url, *words).returncode == 0
    assert hashes(plain_shards, f"{name}:*") == {f"{name}:1".encode(): {b"b": b"x,y"}}


def test_a_key_of_another_type_ends_the_load(gearsql: Gearsql, plain_server: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(CSV)
    with plain_server.client() as client:
        client.set("taken:1", "a string")
    run = gearsql("load", str(file), "--key", "taken:{id}", "-u", plain_server.url)
    assert run.returncode == 1
    assert "WRONGTYPE" in run.stderr
    assert "(2 hashes were written)" in run.stderr


def test_load_needs_to_know_where(gearsql: Gearsql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GEARSQL_URL", raising=False)
    file = tmp_path / "rows.csv"
    file.write_text(CSV)
    assert gearsql("load", str(file), "--key", "x:{id}").returncode == 2


def test_serve_runs_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-c", "from gearsql.cli import main; main()", "serve", "--shards", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        client = redis.Redis.from_url(url)
        assert client.ping()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_serve_on_a_taken_port_says_so(gearsql: Gearsql, plain_server: Cluster) -> None:
    port = plain_server.ports[0]
    run = gearsql("serve", "--port", str(port))
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"error: port {port} is taken by another program\n"


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_ctrl_c_ends_a_query_here_and_in_the_servers(one_server: Cluster, reader: str) -> None:
    with one_server.client() as client:
        with client.pipeline(transaction=False) as pipeline:
            for number in range(50_000):
                pipeline.hset(f"slow:{number}", "text", f"{number}" * 10)
            pipeline.execute()
        sql = 'SELECT sum(length(md5(repeat(text, 2000)))) FROM "slow:*"'
        words = ["-u", one_server.url, "--reader", reader, "-c", sql]
        command = [sys.executable, "-c", "from gearsql.cli import main; main()", *words]
        others = _asking(client)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while not _asking(client) - others:
                time.sleep(0.05)
            time.sleep(1.5)
            process.send_signal(signal.SIGINT)
            _, words_said = process.communicate(timeout=20)
        assert (process.returncode, words_said) == (130, "")
        # The server learns it when the client's connections close, and DuckDB when its chunk is done.
        deadline = time.monotonic() + 5
        while _stages_running(client):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        client.flushdb()


def _asking(client: redis.Redis) -> set[str]:
    return {one["id"] for one in client.client_list() if one["name"] == "gearsql"}


def test_ctrl_c_while_the_modules_load_is_as_quiet() -> None:
    program = """if True:
        import sys
        from gearsql.cli import main

        class Interrupted:
            @staticmethod
            def find_spec(name, path, target=None):
                if name == "pyarrow":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupted)
        main()
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def _stages_running(client: redis.Redis) -> int:
    return int(status(client)["stages_running"])


def test_the_module_line_loads_the_module(gearsql: Gearsql) -> None:
    word, *arguments = gearsql("module").stdout.split()
    assert word == "loadmodule"
    assert arguments[1::2] == ["PYTHON", "LIBPYTHON", "DUCKDB"]
    assert all(os.path.exists(path) for path in [arguments[0], *arguments[2::2]])
