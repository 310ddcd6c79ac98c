"""How the servers are read: chosen for a connection or a statement, and said when it was not possible."""

from __future__ import annotations

import pytest

import gearsql
from gearsql.embedded import Cluster
from gearsql.errors import InterfaceError, NotSupportedError

SQL = 'SELECT count(*) FROM "mode:*"'


def test_a_mode_that_is_none_is_refused(one_server: Cluster) -> None:
    with pytest.raises(InterfaceError, match="'sliced' or 'snapshot', not 'whole'"):
        gearsql.connect(one_server.url, scan="whole")  # type: ignore[arg-type]
    with gearsql.connect(one_server.url) as connection, pytest.raises(InterfaceError, match="not ''"):
        connection.execute(SQL, scan="")  # type: ignore[arg-type]


def test_the_portable_reader_refuses_snapshots(plain_server: Cluster) -> None:
    with plain_server.client() as client:
        client.hset("mode:1", "n", 1)
    with gearsql.connect(plain_server.url, scan="snapshot") as connection:
        with pytest.raises(NotSupportedError, match="the portable reader takes no snapshots"):
            connection.execute(SQL)
        assert connection.execute(SQL, scan="sliced").fetchall() == [(1,)]
