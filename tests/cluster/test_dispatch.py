"""Stages in real servers with the module: frames, stats, slots, failures."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest

import gearsql
from gearsql.catalog.table import KEY_COLUMN, Column, FieldSource, Glob
from gearsql.cluster.control import Control, ShardProgress
from gearsql.cluster.dispatch import dispatch
from gearsql.cluster.patience import Patience
from gearsql.cluster.presence import choose_reader
from gearsql.cluster.progress import reported
from gearsql.cluster.shards import Shards
from gearsql.cluster.stats import StageStats
from gearsql.cluster.status import parse_status
from gearsql.cluster.topology import Shard
from gearsql.embedded import Cluster
from gearsql.errors import (
    AccessDeniedError,
    CancelledError,
    DataError,
    InternalError,
    MisfitError,
    ModuleMissingError,
    ShardUnreachableError,
    VersionMismatchError,
)
from gearsql.plan.stages import Scan, ShardStage

ROWS = 30_000
N = Column("n", "BIGINT", FieldSource(b"n"))
WORD = Column("word", "BIGINT", FieldSource(b"word"))


@pytest.fixture(scope="module")
def filled(three_shards: Cluster) -> Cluster:
    shards = Shards(three_shards.url)
    for number in range(0, ROWS, 1000):
        for shard in range(3):
            connection = shards.connection(shards.all[shard])
            # A hash tag keeps these keys on one shard.
            keys = [f"dispatch:{{{TAGS[shard]}}}:{n}" for n in range(number, number + 1000) if n % 3 == shard]
            connection.ask_all([("HSET", key, "n", key.split(":")[2], "word", "abc") for key in keys])
    shards.close()
    return three_shards


TAGS = ("b", "c", "a")


@pytest.fixture
def shards(filled: Cluster) -> Iterator[Shards]:
    found = Shards(filled.url)
    yield found
    found.close()


def stage(sql: str, *columns: Column) -> ShardStage:
    return ShardStage((Scan("dispatch", Glob(b"dispatch:*"), columns),), sql)


def run(
    shards: Shards, sql: str, *columns: Column, timeout: float | None = None
) -> tuple[pa.Table, StageStats]:
    stats = StageStats()
    batches = list(dispatch(shards, stage(sql, *columns), stats, Patience(Control(timeout))))
    return pa.Table.from_batches(batches), stats


def test_every_shard_answers_once(shards: Shards) -> None:
    table, stats = run(shards, "SELECT count(*) AS c FROM scan_0")
    assert sum(table["c"].to_pylist()) == ROWS == stats.rows_scanned
    assert table.num_rows == 3


def test_many_frames_come_whole(shards: Shards) -> None:
    table, _ = run(shards, "SELECT n, _key, repeat('x', 100) AS x FROM scan_0", N, KEY_COLUMN)
    assert sorted(table["n"].to_pylist()) == list(range(ROWS))
    assert table["x"].unique().to_pylist() == ["x" * 100]


def test_a_shard_without_rows_still_tells_the_types(shards: Shards) -> None:
    table, _ = run(shards, "SELECT n FROM scan_0 WHERE n < 0", N)
    assert table.schema.types == [pa.int64()]
    assert table.num_rows == 0


def test_connections_serve_stage_after_stage(shards: Shards) -> None:
    before = [shards.connection(shard) for shard in shards.all]
    for _ in range(20):
        run(shards, "SELECT count(*) FROM scan_0")
    assert [shards.connection(shard) for shard in shards.all] == before


def test_a_misfit_ends_all_shards(shards: Shards) -> None:
    with pytest.raises(MisfitError) as caught:
        run(shards, "SELECT max(word) FROM scan_0", WORD)
    assert (caught.value.field, caught.value.value, caught.value.type) == ("word", b"abc", "BIGINT")
    assert caught.value.key.startswith(b"dispatch:{")
    assert_idle(shards)


def test_a_value_that_a_cast_in_the_query_refuses_is_bad_data(shards: Shards) -> None:
    text = replace(WORD, type="VARCHAR")
    with pytest.raises(DataError, match="Could not convert string 'abc'"):
        run(shards, "SELECT word::BIGINT AS w FROM scan_0", text)


def test_a_stage_that_cannot_be_bound_is_our_fault(shards: Shards) -> None:
    with pytest.raises(InternalError, match="cannot bind its stage"):
        run(shards, "SELECT no_such_column FROM scan_0", N)


def test_time_that_is_up_ends_the_stages(shards: Shards) -> None:
    slow = "SELECT sum(hash(concat(n, r))) AS s FROM scan_0, range(100000) AS t(r)"
    begun = time.monotonic()
    with pytest.raises(CancelledError, match="time is up"):
        run(shards, slow, N, timeout=0.5)
    assert time.monotonic() - begun < 5
    assert_idle(shards)


def test_an_answer_that_nobody_reads_on_is_freed(shards: Shards) -> None:
    everything = stage("SELECT n, repeat('x', 1000) AS x FROM scan_0", N)
    batches = dispatch(shards, everything, StageStats())
    next(batches)
    batches.close()
    assert_idle(shards)


def assert_idle(shards: Shards) -> None:
    deadline = time.monotonic() + 10
    while any(status(shards, index) for index in range(3)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status(shards: Shards, index: int) -> tuple[object, ...]:
    return parse_status(shards.connection(shards.all[index]).ask("GEARSQL.STATUS")).stages


def test_progress_ends_with_the_query(shards: Shards) -> None:
    reports: list[tuple[int, int]] = []
    patience = Patience()
    with reported(shards, patience.control.id, lambda done, total: reports.append((done, total))):
        slow = stage("SELECT sum(hash(concat(n, r))) AS s FROM scan_0, range(1000) AS t(r)", N)
        list(dispatch(shards, slow, StageStats(), patience))
    assert all(done <= total for done, total in reports)
    assert all(total >= ROWS for _, total in reports)


def test_a_shard_killed_while_it_works_is_named() -> None:
    with Cluster(2) as cluster:
        shards = Shards(cluster.url)
        with cluster.client(1) as client:
            keys = [f"k:{{{tag}}}" for tag in range(2000)]
            for key in keys:
                try:
                    client.hset(key, "n", 1)
                except Exception:
                    continue
        slow = ShardStage(
            (Scan("k", Glob(b"k:*"), (N,)),), "SELECT n, repeat('x', 100000) AS x FROM scan_0, range(1000)"
        )
        batches = dispatch(shards, slow, StageStats())
        next(batches)
        cluster.kill(1)
        with pytest.raises(ShardUnreachableError, match=str(cluster.ports[1])):
            list(batches)


def test_the_module_on_some_shards_only_is_named() -> None:
    with Cluster(3, module=(True, False, True)) as cluster:
        for reader in ("auto", "module"):
            with pytest.raises(ModuleMissingError, match=f"missing on 1 of 3 .*:{cluster.ports[1]}"):
                gearsql.connect(cluster.url, reader=reader).execute('SELECT count(*) FROM "*"')
        portable = gearsql.connect(cluster.url, reader="portable")
        assert portable.execute('SELECT count(*) FROM "*"').fetchall() == [(0,)]


def test_another_version_is_refused(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gearsql.cluster.presence.VERSION", "9.9.9")
    with pytest.raises(VersionMismatchError, match=r"runs gearsql .*, this client 9\.9\.9"):
        choose_reader(shards, "auto")
    monkeypatch.setattr("gearsql.cluster.wire.VERSION", "9.9.9")
    with pytest.raises(VersionMismatchError, match=r"runs gearsql .*, this client 9\.9\.9"):
        run(shards, "SELECT count(*) FROM scan_0")


def test_a_user_without_the_right_to_all_keys_is_refused(filled: Cluster) -> None:
    rights = ["~dispatch:{b}:*", "+@read", "+@connection", "+cluster|slots", "+cluster|nodes"]
    module_rights = ["+gearsql.execute", "+gearsql.fetch"]
    for shard in range(3):
        with filled.client(shard) as client:
            client.execute_command("ACL", "SETUSER", "part", "on", ">x", *rights, *module_rights)
    url = filled.url.replace("redis://", "redis://part:x@")
    with pytest.raises(AccessDeniedError, match="no right"):
        run(Shards(url), "SELECT count(*) AS c FROM scan_0")
    allowed = gearsql.connect(url).execute('SELECT count(*) FROM "dispatch:{b}:*"')
    assert allowed.fetchall() == [(ROWS // 3,)]


def test_every_shard_is_told_of_by_itself(shards: Shards) -> None:
    table, stats = run(shards, "SELECT n FROM scan_0 WHERE n % 2 = 0", N)
    assert set(stats.shards) == {shard.name for shard in shards.all} == stats.ended
    for shard in stats.shards.values():
        assert shard.rows_scanned == ROWS // 3
        assert shard.keys_seen >= ROWS // 3
        assert shard.bytes_shipped > shard.rows_shipped * 8
        assert shard.stage_us >= shard.scan_us >= shard.locked_us > 0
        assert shard.stage_us >= shard.queued_us
    assert stats.sum("rows_shipped") == table.num_rows == ROWS // 2


def test_progress_is_told_for_each_shard(filled: Cluster) -> None:
    reports: list[tuple[ShardProgress, ...]] = []
    sums: list[tuple[int, int]] = []
    with gearsql.connect(filled.url) as connection:
        cursor = connection.cursor()
        cursor.shard_progress = reports.append
        cursor.progress = lambda done, total: sums.append((done, total))
        # Slow enough for a look, after the scan.
        slow = "sum(list_sum([hash(concat(n, x)) % 7 FOR x IN range(3000)]))"
        cursor.execute(f'SELECT {slow} FROM "dispatch:*"')
    assert reports and len(reports) == len(sums)
    for parts in reports:
        assert [part.shard for part in parts] == [shard.name for shard in connection_shards(filled)]
        assert all(0 <= part.keys <= part.total and part.total >= ROWS // 3 for part in parts)
        assert all(0 <= part.rows <= ROWS // 3 and part.bytes >= 0 for part in parts)
    for before, after in itertools.pairwise(reports):
        assert all(one.rows <= other.rows for one, other in zip(before, after, strict=True))


def connection_shards(cluster: Cluster) -> tuple[Shard, ...]:
    shards = Shards(cluster.url)
    shards.close()
    return shards.all
