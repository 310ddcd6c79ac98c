"""What is handed over wrongly, and what programs do with the errors."""

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import gearsql
from gearsql import errors
from gearsql.embedded import Cluster


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5"])
def test_a_timeout_is_a_number_of_seconds(one_server: Cluster, timeout: Any) -> None:
    with pytest.raises(errors.InterfaceError, match="a timeout is a number of seconds"):
        gearsql.connect(one_server.url, timeout=timeout)
    with (
        gearsql.connect(one_server.url) as connection,
        pytest.raises(errors.InterfaceError, match="a timeout is a number of seconds"),
    ):
        connection.execute("SELECT 1", timeout=timeout)


def test_a_timeout_beyond_all_clocks_is_none(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url, timeout=1e300) as connection:
        assert connection.execute('SELECT count(*) FROM "misuse:*"').fetchall() == [(0,)]


@pytest.mark.parametrize("url", ["redis://ada:love/lace@127.0.0.1:1", "redis://ada:lovelace@127.0.0.1:port"])
def test_a_password_is_in_no_error(url: str) -> None:
    with pytest.raises(errors.InterfaceError, match="not a server URL") as raised:
        gearsql.connect(url)
    assert "love" not in str(raised.value) and "%2F" in str(raised.value)


def test_a_closed_connection_gives_no_cursor(one_server: Cluster) -> None:
    connection = gearsql.connect(one_server.url)
    connection.close()
    with pytest.raises(errors.InterfaceError, match="the connection is closed"):
        connection.cursor()


@pytest.mark.parametrize("parameters", [5, (value for value in [1]), object()])
def test_parameters_have_a_length(one_server: Cluster, parameters: Any) -> None:
    with gearsql.connect(one_server.url) as connection:
        with pytest.raises(errors.ProgrammingError, match="parameters are a sequence or a mapping, not"):
            connection.execute("SELECT ?", parameters)
        with pytest.raises(errors.ProgrammingError, match="parameters are a sequence or a mapping, not"):
            connection.cursor().executemany("DELETE FROM t WHERE id = ?", [parameters])


def test_a_float_of_numpy_is_a_float(one_server: Cluster) -> None:
    with gearsql.connect(one_server.url) as connection:
        assert connection.execute("SELECT ?", [np.float64(1.5)]).fetchall() == [(1.5,)]


def test_every_error_can_be_sent_to_another_process() -> None:
    position = errors.Position(1, 2)
    all_errors = [
        errors.SqlSyntaxError("wrong", position=position, text="SELEC", hint="SELECT"),
        errors.MisfitError("misfit", key=b"k\xff", field="f", value=b"v", type="BIGINT"),
        errors.HookError("failed", function="f", arguments=(("x", "1"),), key=b"k", shard="127.0.0.1:1"),
        errors.ShardError("lost", shard="127.0.0.1:1"),
    ]
    for error in all_errors:
        error.query_id = "0123"
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(again) is type(error) and str(again) == str(error) and again.args == error.args
            assert vars(again) == vars(error)


def test_a_connection_is_at_work_on_one_statement_at_a_time(three_shards: Cluster) -> None:
    with gearsql.connect(three_shards.url) as connection:
        said: list[object] = []

        def ask() -> None:
            for number in range(20):
                try:
                    cursor = connection.execute('SELECT count(*) + ? FROM "none:*"', [number])
                    said.append(cursor.fetchall() == [(number,)])
                except errors.InterfaceError as error:
                    said.append(error.message)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said) == 80 and {*said} <= {True, "the connection is at work on another statement"}
        assert connection.execute('SELECT count(*) FROM "none:*"').fetchall() == [(0,)]
