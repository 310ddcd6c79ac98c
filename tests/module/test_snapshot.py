"""Snapshots: a child reads the keys as of one moment, into the same rows, seldom, and outlives nobody."""

from __future__ import annotations

import io
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
import redis

from gearsql.embedded import Cluster
from tests.faults.scene import wait_until
from tests.module.raw import AGE, KEY, Answer, Scan, connect, execute_words, run, status
from tests.servers import binary

WIDE = "SELECT city, _key FROM scan_0"
SLOW = "SELECT count(*) FROM scan_0 a, range(3000) b, range(1000) c WHERE a.age + b.range + c.range <> -1"

_ids = itertools.count()


def snapshot(client: redis.Redis, sql: str, *scans: Scan) -> Answer:
    """Run a stage with a snapshot, and demand that it had one; a slow machine rests long before."""
    deadline = time.monotonic() + 20
    while True:
        answer = run(client, sql, *scans, mode="snapshot", stage=f"snapshot-{next(_ids)}")
        if not told(answer)[1].startswith("the last snapshot") or time.monotonic() > deadline:
            assert told(answer) == ("snapshot", "")
            return answer


def told(answer: Answer) -> tuple[str, str]:
    mode, why = answer.stats["mode"], answer.stats["fallback"]
    assert isinstance(mode, bytes)
    assert isinstance(why, bytes)
    return mode.decode(), why.decode()


def start(client: redis.Redis, sql: str) -> str:
    """Begin a stage with a snapshot that sends several frames; returns its id after the first."""
    stage = f"snapshot-{next(_ids)}"
    _, more, _ = client.execute_command(*execute_words(sql, Scan(), stage=stage, mode="snapshot"))
    assert more
    return stage


def rest(client: redis.Redis, stage: str) -> None:
    more = 1
    while more:
        _, more, _ = client.execute_command("GEARSQL.FETCH", stage)


def fill(client: redis.Redis, count: int, text: str = "") -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(count):
        pipe.hset(f"user:{i}", mapping={"city": text or f"c{i % 7}", "age": i})
    pipe.execute()


def children(server: int) -> list[int]:
    """The processes that read snapshots of a server (even when it is dead, and they are init's)."""
    found = []
    for name in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            fields = (name.parent / "stat").read_text().rsplit(")", 1)[1].split()
            if name.read_text().strip() == "gearsql-scan" and fields[0] != "Z":
                found += [int(name.parent.name)] if int(fields[1]) == server else []
    return found


def pid_of(server: Cluster) -> int:
    pid = server.pids[0]
    assert pid is not None
    return pid


@pytest.fixture(params=["valkey-9.1", "redis-7.0"])
def own(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server to be ill-treated."""
    with Cluster(1, server=binary(request.param), debug=True) as server:
        yield server


# ---- the same rows ----

ALL = "SELECT * FROM scan_0 ORDER BY ALL"
SCANS = {
    "glob": Scan(),
    "no column": Scan(columns=()),
    "key alone": Scan(columns=(KEY,)),
    "template": Scan(template=["user:", ""], columns=(("id", "BIGINT", "p0"), AGE)),
    "nulls": Scan(nulls=["c1", "5"]),
    "misfits skipped": Scan(columns=(("age", "TINYINT", "fage"), KEY), on_error="skip"),
    "misfits null": Scan(columns=(("age", "TINYINT", "fage"), KEY), on_error="null"),
    "every width": Scan(
        columns=tuple((t, t, "fage") for t in ("HUGEINT", "DOUBLE", "INTEGER", "BLOB", "DECIMAL(9,2)"))
    ),
}


@pytest.mark.parametrize("name", SCANS)
def test_a_snapshot_has_the_rows_of_a_sliced_scan(client: redis.Redis, name: str) -> None:
    fill(client, 5000)
    client.hset("user:x", mapping={"other": 1})
    client.hset("user:é", mapping={"city": "Zürich☃" * 9, "age": "7"})
    client.set("user:text", "x")
    scan = SCANS[name]
    if name == "template":
        client.delete("user:x", "user:é")
    sql = "SELECT count(*) FROM scan_0" if name == "no column" else ALL
    sliced, at_once = run(client, sql, scan), snapshot(client, sql, scan)
    assert at_once.table.equals(sliced.table)
    for stat in ("rows_scanned", "keys_seen", "keys_skipped", "misfits"):
        assert at_once.stats[stat] == sliced.stats[stat]
    assert at_once.stats["pause_us"] > 0
    assert sliced.stats["pause_us"] == 0


def test_a_misfit_is_named_by_the_child(client: redis.Redis) -> None:
    client.hset("user:1", "age", "ten")
    with pytest.raises(redis.ResponseError, match="GEARSMISFIT column=age type=BIGINT key=user:1 value=ten"):
        snapshot(client, ALL)


@pytest.mark.parametrize("length", [12, 13, 4096, 3_000_000])
def test_text_of_any_length_comes_out_of_the_child_whole(client: redis.Redis, length: int) -> None:
    for i in range(5):
        client.hset(f"user:{i}", "city", str(i) * length)
    assert snapshot(client, "SELECT city FROM scan_0 ORDER BY 1").rows == [
        (str(i) * length,) for i in range(5)
    ]


def test_many_loads_and_nothing_lost(client: redis.Redis) -> None:
    fill(client, 30_000, "x" * 100)
    answer = snapshot(
        client,
        "SELECT count(*), count(DISTINCT _key), sum(age)::BIGINT, sum(length(city))::BIGINT FROM scan_0",
    )
    assert answer.rows == [(30_000, 30_000, 30_000 * 29_999 // 2, 3_000_000)]


def test_a_limit_needs_no_more_of_the_child(client: redis.Redis) -> None:
    fill(client, 30_000)
    assert len(snapshot(client, "SELECT _key FROM scan_0 LIMIT 3").rows) == 3
    assert snapshot(client, "SELECT count(*) FROM scan_0").rows == [(30_000,)]


# ---- one moment ----


def test_what_is_written_after_the_fork_is_not_in_the_answer(client: redis.Redis, server: Cluster) -> None:
    """Changed, deleted, expired, renamed and new keys: the answer is of the moment before all that."""
    fill(client, 400, "x" * 40_000)
    snapshot(client, "SELECT count(*) FROM scan_0")
    time.sleep(1)
    with connect(server) as writer:
        words = execute_words("SELECT city, age, _key FROM scan_0", Scan(), stage="moment", mode="snapshot")
        frame, more, stats = client.execute_command(*words)
        frames = [frame]
        pipe = writer.pipeline(transaction=False)
        for i in range(0, 400, 5):
            pipe.hset(f"user:{i}", "age", -1)
            pipe.delete(f"user:{i + 1}")
            pipe.pexpire(f"user:{i + 2}", 1)
            pipe.rename(f"user:{i + 3}", f"user:new{i}")
            pipe.hset(f"user:more{i}", "age", -1)
        pipe.execute()
        time.sleep(0.05)
        while more:
            frame, more, stats = client.execute_command("GEARSQL.FETCH", "moment")
            frames.append(frame)

    table = pa.ipc.open_stream(io.BytesIO(b"".join(frames))).read_all()
    assert stats[stats.index(b"mode") + 1] == b"snapshot"
    assert sorted(table["age"].to_pylist()) == list(range(400))
    assert set(table["_key"].to_pylist()) == {f"user:{i}" for i in range(400)}


def test_keys_that_had_expired_by_then_are_not_rows(client: redis.Redis) -> None:
    client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        fill(client, 100)
        for i in range(50):
            client.pexpire(f"user:{i}", 1)
        time.sleep(0.02)
        assert snapshot(client, "SELECT count(*), min(age) FROM scan_0").rows == [(50, 50)]
    finally:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_all_scans_of_a_stage_are_of_one_moment(client: redis.Redis, server: Cluster) -> None:
    fill(client, 3000)
    over = threading.Event()

    def write() -> None:
        with connect(server) as writer:
            for n in itertools.count():
                if over.is_set():
                    return
                pipe = writer.pipeline(transaction=True)
                pipe.hset("user:1", "age", n)
                pipe.hset("user:2999", "age", n)
                pipe.execute()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(5):
            pairs = "SELECT count(*) FROM scan_0 a JOIN scan_1 b USING (_key) WHERE a.age = b.age"
            assert snapshot(client, pairs, Scan(), Scan()).rows == [(3000,)]
            both = "SELECT count(DISTINCT age) FROM scan_0 WHERE _key IN ('user:1', 'user:2999')"
            assert snapshot(client, both).rows == [(1,)]
    finally:
        over.set()
        thread.join()


# ---- when there may be none ----


def refused(client: redis.Redis) -> str:
    """Run a stage that asks for a snapshot, and return why it had none; its answer is right."""
    answer = run(client, "SELECT count(*) FROM scan_0", mode="snapshot", stage=f"refused-{next(_ids)}")
    assert answer.rows == [(400,)]
    assert answer.stats["pause_us"] == 0
    mode, why = told(answer)
    assert (mode, bool(why)) == ("sliced", True)
    return why


def test_there_is_none_while_the_server_saves_or_rewrites(own: Cluster) -> None:
    with connect(own) as client:
        fill(client, 400)
        client.config_set("rdb-key-save-delay", 3000)
        client.bgsave()
        assert refused(client).startswith("the server is saving")
        wait_until(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], "BGSAVE did not end")
        client.config_set("rdb-key-save-delay", 0)
        snapshot(client, "SELECT 1 FROM scan_0")
        client.config_set("rdb-key-save-delay", 3000)
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"], "no rewrite began")
        assert "rewriting" in refused(client)


def test_there_is_none_while_a_replica_waits_or_loads(own: Cluster) -> None:
    with connect(own) as client, Cluster(1, server=own._options.binary) as other, connect(other) as replica:
        fill(client, 400)
        client.config_set("repl-diskless-sync", "yes")
        client.config_set("repl-diskless-sync-delay", 2)
        replica.replicaof("127.0.0.1", own.ports[0])
        wait_until(lambda: client.info("replication")["connected_slaves"] == 1, "no replica came")
        assert "replica" in refused(client)

        def is_online() -> bool:
            return bool(client.info("replication")["slave0"]["state"] == "online")

        wait_until(is_online, "the replica was kept from its data")
        snapshot(client, "SELECT 1 FROM scan_0")


def test_the_next_one_waits_four_times_as_long_as_the_last_one_took() -> None:
    with Cluster(1, module_options={"SNAPSHOT_WAIT_MS": 0}) as server, connect(server) as client:
        fill(client, 400, "x" * 40_000)
        stage = start(client, WIDE)
        time.sleep(0.5)
        rest(client, stage)
        ended = time.monotonic()
        assert refused(client).startswith("the last snapshot was a moment ago")
        while told(run(client, WIDE, stage=f"again-{next(_ids)}", mode="snapshot"))[0] == "sliced":
            time.sleep(0.02)
        assert time.monotonic() - ended > 1.9


def test_a_second_query_waits_for_the_first_ones_or_goes_without(own: Cluster) -> None:
    with connect(own) as client, connect(own) as other:
        fill(client, 400, "x" * 40_000)
        stage = start(client, WIDE)
        assert refused(other) == "another query has the server's snapshot"
        rest(client, stage)


def test_fifty_in_a_row_and_bgsave_gets_its_turn(own: Cluster) -> None:
    with connect(own) as client, connect(own) as other:
        fill(client, 5000)
        done, saved = threading.Event(), []

        def save() -> None:
            while not done.is_set():
                with suppress(redis.ResponseError):
                    other.bgsave()
                    saved.append(time.monotonic())
                time.sleep(0.3)

        thread = threading.Thread(target=save)
        thread.start()
        try:
            # A snapshot is had in a fifth of the time: how many queries lie between them is the machine's.
            answers: list[Answer] = []
            began, had = time.monotonic(), 0
            while had < 10 or len(answers) < 50:
                assert time.monotonic() - began < 60, f"{had} snapshots in {len(answers)} queries"
                stage = f"many-{next(_ids)}"
                answers.append(run(client, "SELECT count(*) FROM scan_0", stage=stage, mode="snapshot"))
                had += told(answers[-1])[0] == "snapshot"
        finally:
            done.set()
            thread.join()
        assert all(answer.rows == [(5000,)] for answer in answers)
        assert len(saved) >= 3
        assert not children(pid_of(own))


# ---- its end ----


@contextmanager
def reading(own: Cluster) -> Iterator[tuple[redis.Redis, str, int]]:
    """A stage in the middle of its snapshot: the client, the stage's id, the child."""
    with connect(own) as client:
        fill(client, 1000, "x" * 40_000)
        stage = start(client, WIDE)
        (child,) = children(pid_of(own))
        yield client, stage, child


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text()


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if not is_gone(pid):
                time.sleep(0.01)
                continue
        return True
    return False


def test_cancel_ends_the_child(own: Cluster) -> None:
    with reading(own) as (client, stage, child), connect(own) as other:
        assert other.execute_command("GEARSQL.CANCEL", stage) == 1
        assert gone_within(child, 0.3)
        with suppress(redis.ResponseError):
            client.execute_command("GEARSQL.FETCH", stage)
        wait_until(lambda: status(other)["stages_running"] == 0, "a stage was not freed")
        assert snapshot(other, "SELECT count(*) FROM scan_0").rows == [(1000,)]


def test_a_client_that_vanishes_takes_the_child_with_it(own: Cluster) -> None:
    with reading(own) as (client, _, child):
        client.close()
        assert gone_within(child, 0.5)


def test_the_child_does_not_outlive_a_killed_server(own: Cluster) -> None:
    with reading(own) as (_, _, child):
        own.kill(0)
        assert gone_within(child, 1)


def test_a_server_that_shuts_down_ends_its_child(own: Cluster) -> None:
    with reading(own) as (_, _, child):
        assert own.terminate(0) == 0
        assert gone_within(child, 1)


def test_a_child_that_dies_is_an_error_and_the_next_one_lives(own: Cluster) -> None:
    with reading(own) as (client, stage, child):
        os.kill(child, signal.SIGKILL)
        with pytest.raises(
            redis.ResponseError, match="GEARSSNAPSHOT the process that read the snapshot died"
        ):
            rest(client, stage)
        assert snapshot(client, "SELECT count(*) FROM scan_0").rows == [(1000,)]


def test_a_snapshot_does_not_grow_old() -> None:
    with (
        Cluster(1, module_options={"SNAPSHOT_AGE_MS": 300}) as server,
        reading(server) as (client, stage, child),
    ):
        assert gone_within(child, 1)
        with pytest.raises(redis.ResponseError, match="GEARSLIMIT the snapshot grew too old"):
            rest(client, stage)


# ---- rights, fields that expire, words ----


def test_the_child_obeys_the_users_key_patterns(client: redis.Redis, server: Cluster) -> None:
    client.hset("user:1", "age", 1)
    client.hset("user:secret", "age", 2)
    client.acl_setuser("partly", enabled=True, nopass=True, keys=["user:1*"], commands=["+@all"], reset=True)
    try:
        with connect(server, username="partly", password="x") as partly:
            assert snapshot(partly, "SELECT age FROM scan_0", Scan("user:1*")).rows == [(1,)]
            with pytest.raises(redis.ResponseError, match="no right to read all of the keys"):
                snapshot(partly, "SELECT age FROM scan_0")
    finally:
        client.acl_deluser("partly")


def test_a_field_that_expires_after_the_fork_is_read() -> None:
    with Cluster(1) as server, connect(server) as client:
        fill(client, 400, "x" * 40_000)
        for i in range(400):
            client.execute_command("HPEXPIRE", f"user:{i}", 1500, "FIELDS", 1, "age")
        words = execute_words("SELECT city, age FROM scan_0", Scan(), stage="fields", mode="snapshot")
        frame, more, _ = client.execute_command(*words)
        frames = [frame]
        time.sleep(1.6)
        while more:
            frame, more, _ = client.execute_command("GEARSQL.FETCH", "fields")
            frames.append(frame)
        table = pa.ipc.open_stream(io.BytesIO(b"".join(frames))).read_all()
        assert sorted(table["age"].to_pylist()) == list(range(400))


def test_a_mode_that_is_none_is_refused(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="GEARSSTAGE argument 7 must be sliced"):
        run(client, "SELECT 1", mode="whole")
