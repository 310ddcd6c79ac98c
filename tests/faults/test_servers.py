"""Servers that are down, die, refuse the login or do not serve all slots."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import Error, ShardUnreachableError, SlotsNotCoveredError
from tests.faults.scene import (
    COUNT,
    RIGHT,
    SLOWLY,
    Background,
    assert_well,
    fill,
    wait_until,
    wait_until_busy,
)
from tests.servers import binary


def test_a_server_that_is_down_is_named_at_connect() -> None:
    with Cluster(1, module=False) as server:
        url, port = server.url, server.ports[0]
    with pytest.raises(ShardUnreachableError, match=f"127.0.0.1:{port}") as caught:
        gearsql.connect(url)
    assert caught.value.shard == f"127.0.0.1:{port}"


@pytest.fixture
def doomed() -> Iterator[Cluster]:
    """Three slow shards for one test alone."""
    with Cluster(3, module_options=SLOWLY) as cluster:
        fill(cluster.url)
        yield cluster


def test_a_shard_killed_between_queries_is_named_and_comes_back() -> None:
    with Cluster(3) as doomed, gearsql.connect(doomed.url) as connection:
        fill(doomed.url)
        assert connection.execute(COUNT).fetchall() == RIGHT
        doomed.kill(1)
        with pytest.raises(ShardUnreachableError, match=str(doomed.ports[1])):
            connection.execute(COUNT)
        doomed.restart(1)
        fill(doomed.url)
        assert connection.execute(COUNT).fetchall() == RIGHT
        assert_well(doomed)


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_a_shard_killed_during_a_query_is_named_and_ends_the_others(doomed: Cluster, reader: str) -> None:
    query = Background(doomed.url, COUNT, reader=reader)
    if reader == "module":
        wait_until_busy(doomed)
    doomed.kill(2)
    with pytest.raises(ShardUnreachableError, match=str(doomed.ports[2])):
        query.end()
    doomed.restart(2)
    fill(doomed.url)
    assert_well(doomed)


@pytest.mark.parametrize(
    "login",
    ["", ":wrong@", "default:wrong@", "nobody:secret@", "ada:wrong@"],
    ids=[
        "no password",
        "wrong password",
        "wrong password of default",
        "unknown user",
        "wrong password of a user",
    ],
)
def test_a_wrong_login_is_refused(guarded: Cluster, login: str) -> None:
    with pytest.raises(ShardUnreachableError, match="refuses the user name or password"):
        gearsql.connect(f"redis://{login}127.0.0.1:{guarded.ports[0]}")
    assert_well(guarded)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """Two shards behind a password."""
    with Cluster(2, password="s3cret/?@") as cluster:
        for shard in range(2):
            with cluster.client(shard) as client:
                client.execute_command("ACL", "SETUSER", "ada", "on", ">l0ve", "~*", "+@all")
        fill(cluster.url)
        yield cluster


def test_the_right_logins_are_taken(guarded: Cluster) -> None:
    assert_well(guarded)
    assert_well(guarded, f"redis://ada:l0ve@127.0.0.1:{guarded.ports[1]}")
    with gearsql.connect(f"redis://127.0.0.1:{guarded.ports[0]}", password="s3cret/?@") as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT


def test_a_slot_that_nobody_serves_is_named() -> None:
    with Cluster(3, config={"cluster-require-full-coverage": "no"}) as cluster:
        fill(cluster.url)
        with gearsql.connect(cluster.url) as early:
            assert early.execute(COUNT).fetchall() == RIGHT
            with cluster.client(2) as client:
                client.execute_command("CLUSTER", "DELSLOTS", 16_000)
            with pytest.raises(SlotsNotCoveredError, match="16000"):
                early.execute(COUNT)
            # Servers do not tell each other of lost slots; each query asks the one that knows.
            with pytest.raises(SlotsNotCoveredError, match="16000"):
                gearsql.connect(f"redis://127.0.0.1:{cluster.ports[2]}")
            with gearsql.connect(cluster.url) as late, pytest.raises(SlotsNotCoveredError, match="16000"):
                late.execute(COUNT)
            with cluster.client(2) as client:
                client.execute_command("CLUSTER", "ADDSLOTS", 16_000)
            assert early.execute('SELECT 1 AS one FROM "row:*" LIMIT 1').fetchall() == [(1,)]
        assert_well(cluster)


CRASHES = ("crashed by signal", "BUG REPORT", "ASSERTION FAILED", "terminate called", "AddressSanitizer")


@pytest.mark.parametrize("server", ["valkey-9.1", "redis-7.0"])
def test_sigterm_under_load_is_a_clean_end(server: str) -> None:
    with Cluster(1, server=binary(server)) as cluster:
        for run in range(10):
            fill(cluster.url, 20_000)
            with ThreadPoolExecutor(4) as clients:
                asking = [clients.submit(ask_until_it_fails, cluster.url, number) for number in range(4)]
                wait_until(partial(has_begun, cluster, run), "no query began")
                assert cluster.terminate(0) == 0
                assert all(isinstance(client.result(), Error) for client in asking)
            assert not [sign for sign in CRASHES if sign in cluster.log(0)]
            cluster.restart(0)


IMPORTER = """
    CREATE FUNCTION importer(x BIGINT) RETURNS BIGINT LANGUAGE python AS $$
        import sys
        while True:
            try:
                sys.modules.pop("_hashlib", None)
                import _hashlib
            except BaseException:
                pass
        return x
    $$
"""


@pytest.mark.parametrize("server", ["valkey-9.1", "redis-7.0"])
def test_sigterm_takes_no_library_away_from_a_function(server: str, tmp_path: Path) -> None:
    """It imports OpenSSL for ever, while the server's exit, made slow, has ended OpenSSL already."""
    with Cluster(1, server=slow_to_exit(binary(server), tmp_path)) as cluster:
        fill(cluster.url, 100)
        with gearsql.connect(cluster.url) as connection, ThreadPoolExecutor(1) as clients:
            connection.execute(IMPORTER)
            query = clients.submit(partial(connection.execute, 'SELECT sum(importer(n)) FROM "row:*"'))
            wait_until_busy(cluster)
            time.sleep(0.5)
            assert cluster.terminate(0) == 0
            assert isinstance(query.exception(), Error)
        assert not [sign for sign in CRASHES if sign in cluster.log(0)]


def slow_to_exit(server: str, folder: Path) -> Path:
    """Return a program that is this server, with a second between its exit handlers and its end."""
    source, library, program = folder / "slow.c", folder / "slow.so", folder / "server"
    source.write_text(
        "unsigned sleep(unsigned);\n__attribute__((destructor)) static void end(void) { sleep(1); }\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec {server} "$@"\n')
    program.chmod(0o755)
    return program


QUERIES = (
    COUNT,
    'SELECT w, count(*) FROM "row:*" GROUP BY w',
    'SELECT *, _key FROM "row:*"',
    'SELECT g, count(DISTINCT w), median(n), list(n) FROM "row:*" GROUP BY g',
)


def ask_until_it_fails(url: str, number: int) -> Error:
    """Query after query; the error that ends it is one of ours."""
    try:
        with gearsql.connect(url) as connection:
            while True:
                connection.execute(QUERIES[number])
    except Error as error:
        return error


def has_begun(cluster: Cluster, stages: int) -> bool:
    with cluster.client() as client:
        return int(client.info("gearsql_status")["gearsql_stages_total"]) > stages
