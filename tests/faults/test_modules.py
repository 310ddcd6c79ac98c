"""The module: missing on one shard, on all, or of another version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.cluster import presence
from gearsql.cluster.presence import Wanted
from gearsql.cluster.status import parse_status
from gearsql.embedded import Cluster
from gearsql.errors import ModuleMissingError, VersionMismatchError
from tests.faults.scene import COUNT, RIGHT, assert_well, fill
from tests.module.raw import status


@pytest.fixture(scope="module")
def mixed() -> Iterator[Cluster]:
    with Cluster(3, module=[True, True, False]) as cluster:
        fill(cluster.url)
        yield cluster


@pytest.mark.parametrize("reader", ["auto", "module"])
def test_a_shard_without_the_module_is_named(mixed: Cluster, reader: Wanted) -> None:
    with gearsql.connect(mixed.url, reader=reader) as connection:
        with pytest.raises(ModuleMissingError, match=f"missing on 1 of 3 .*:{mixed.ports[2]}") as caught:
            connection.execute(COUNT)
        assert caught.value.shard == f"127.0.0.1:{mixed.ports[2]}"
        assert "gearsql module" in str(caught.value.hint) and "portable" in str(caught.value.hint)
        with pytest.raises(ModuleMissingError):
            connection.execute(f"EXPLAIN {COUNT}")


def test_the_portable_reader_needs_no_module(mixed: Cluster) -> None:
    with gearsql.connect(mixed.url, reader="portable") as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT
    for shard in range(2):
        with mixed.client(shard) as client:
            assert client.ping() and status(client)["stages_total"] == 0


def test_without_any_module_the_reader_is_portable_and_explain_says_so(plain_shards: Cluster) -> None:
    fill(plain_shards.url)
    with gearsql.connect(plain_shards.url) as connection:
        assert connection.execute(COUNT).fetchall() == RIGHT
        assert "portable" in plan(connection)
    missing = pytest.raises(ModuleMissingError, match="missing on 3 of 3")
    with gearsql.connect(plain_shards.url, reader="module") as connection, missing:
        connection.execute(COUNT)


def plan(connection: gearsql.Connection) -> str:
    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {COUNT}"))


def test_with_the_module_explain_says_so(quick_shards: Cluster) -> None:
    with gearsql.connect(quick_shards.url) as connection:
        assert "portable" not in plan(connection)
    with gearsql.connect(quick_shards.url, reader="portable") as connection:
        assert "portable" in plan(connection)


@pytest.mark.parametrize("what", ["gearsql.cluster.presence.VERSION", "gearsql.cluster.wire.VERSION"])
def test_a_client_of_another_version_is_refused(
    quick_shards: Cluster, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Said when the reader is chosen, and again by the shard itself, for each stage."""
    monkeypatch.setattr(what, "9.9.9")
    refused = pytest.raises(VersionMismatchError, match=r"1:\d+ runs gearsql .*, this client 9\.9\.9")
    with gearsql.connect(quick_shards.url) as connection, refused:
        connection.execute(COUNT)
    monkeypatch.undo()
    assert_well(quick_shards)


@pytest.mark.parametrize("what", ["module_version", "duckdb_version"])
def test_a_shard_of_another_version_is_named(
    quick_shards: Cluster, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """There is only one build of the module here: one shard's answer to GEARSQL.STATUS is made up."""
    answers = iter(range(3))

    def third_differs(reply: list[bytes]) -> object:
        flat = list(reply)
        if next(answers) == 2:
            flat[flat.index(what.encode()) + 1] = b"0.0.1"
        return parse_status(flat)

    monkeypatch.setattr(presence, "parse_status", third_differs)
    with gearsql.connect(quick_shards.url) as connection:
        with pytest.raises(VersionMismatchError, match=r"127\.0\.0\.1:\d+ runs \w+ 0\.0\.1") as caught:
            connection.execute(COUNT)
        assert caught.value.shard is not None
    monkeypatch.undo()
    assert_well(quick_shards)
