"""The server's ACL holds for queries: what a user may not read, it does not learn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.cluster.presence import Wanted
from gearsql.embedded import Cluster
from gearsql.errors import AccessDeniedError
from tests.faults.scene import COUNT, RIGHT, ROWS, assert_well

READING = ("+@read", "+@connection", "+cluster|slots", "+cluster|nodes")
STAGES = ("+gearsql.execute", "+gearsql.fetch", "+gearsql.status")
NARROW = sum(str(n).startswith("1") for n in range(ROWS))
USERS = {
    "all": ("~row:*", *READING, *STAGES),
    "half": ("~row:1*", *READING, *STAGES),
    "other": ("~other:*", *READING, *STAGES),
    "writer": ("%W~row:*", *READING, *STAGES),
    "no_stages": ("~*", *READING, "-gearsql.execute"),
    "no_cluster": ("~*", "+@read", *STAGES),
}


@pytest.fixture(scope="module", autouse=True)
def users(quick_shards: Cluster) -> Iterator[None]:
    for shard in range(3):
        with quick_shards.client(shard) as client:
            for name, rights in USERS.items():
                client.execute_command("ACL", "SETUSER", name, "reset", "on", ">secret", *rights)
    yield
    for shard in range(3):
        with quick_shards.client(shard) as client:
            client.execute_command("ACL", "DELUSER", *USERS)
    assert_well(quick_shards)


def url(cluster: Cluster, user: str) -> str:
    return cluster.url.replace("redis://", f"redis://{user}:secret@")


@pytest.mark.parametrize("reader", ["module", "portable"])
def test_a_user_with_the_rights_reads_without_writing_the_catalog(
    quick_shards: Cluster, reader: Wanted
) -> None:
    with gearsql.connect(url(quick_shards, "all"), reader=reader) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT


@pytest.mark.parametrize("user", ["half", "other", "writer", "no_stages"])
def test_a_user_without_the_rights_reads_nothing(quick_shards: Cluster, user: str) -> None:
    with pytest.raises(AccessDeniedError), gearsql.connect(url(quick_shards, user)) as connection:
        connection.execute(COUNT)


@pytest.mark.parametrize("user", ["half", "other", "writer"])
def test_the_portable_reader_reads_nothing_more(quick_shards: Cluster, user: str) -> None:
    with gearsql.connect(url(quick_shards, user), reader="portable") as connection:
        with pytest.raises(AccessDeniedError):
            connection.execute(COUNT)
        with pytest.raises(AccessDeniedError):
            connection.execute('SELECT count(*) FROM "row:*"')


def test_a_narrower_pattern_is_allowed(quick_shards: Cluster) -> None:
    with gearsql.connect(url(quick_shards, "half")) as connection:
        assert connection.execute('SELECT count(*) FROM "row:1*"').fetchall() == [(NARROW,)]


def test_a_user_without_cluster_rights_learns_which(quick_shards: Cluster) -> None:
    with pytest.raises(AccessDeniedError) as caught:
        gearsql.connect(url(quick_shards, "no_cluster"))
    assert "+cluster|slots" in str(caught.value.hint)
