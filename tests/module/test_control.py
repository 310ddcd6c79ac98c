"""Bounds of a stage, the queue, stages that are sent twice, and what GEARSQL.STATUS tells of them."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gearsql.embedded import Cluster
from tests.faults.scene import wait_until
from tests.module.raw import Scan, Word, connect, execute_words, status

ENDLESS = "SELECT sum(range % 7) + (SELECT sum(age) FROM scan_0) FROM range(10000000000000)"
WIDE = "SELECT repeat(city, 100) AS c, _key FROM scan_0"
ROWS = 20_000
SOON = 1.0


@pytest.fixture
def loaded(client: redis.Redis) -> redis.Redis:
    pipe = client.pipeline(transaction=False)
    for i in range(ROWS):
        pipe.hset(f"user:{i}", mapping={"city": f"city{i:05}", "age": i})
    pipe.execute()
    return client


class Sent(threading.Thread):
    """A stage on a connection of its own; `told` is its answer or error."""

    def __init__(self, cluster: Cluster, sql: str, *options: Word, stage: str = "q", **login: Any) -> None:
        super().__init__(daemon=True)
        self._cluster, self._login = cluster, login
        self._words = execute_words(sql, Scan(), stage=stage, options=options)
        self.told = ""
        self.start()

    def run(self) -> None:
        with connect(self._cluster, **self._login) as client:
            try:
                client.execute_command(*self._words)
            except redis.ResponseError as error:
                self.told = str(error)

    def end(self) -> str:
        self.join(20)
        assert not self.is_alive()
        return self.told


def stages(client: redis.Redis) -> list[dict[str, Any]]:
    return [
        {name.decode(): value for name, value in zip(stage[::2], stage[1::2], strict=True)}
        for stage in status(client)["stages"]
    ]


def wait_for(client: redis.Redis, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 20
    while len(stages(client)) != count:
        assert time.monotonic() < deadline, stages(client)
        time.sleep(0.005)
    return stages(client)


def refused(client: redis.Redis, sql: str, *options: Word) -> str:
    with pytest.raises(redis.ResponseError) as caught:
        client.execute_command(*execute_words(sql, Scan(), options=options))
    return str(caught.value)


def test_the_server_ends_a_stage_in_time_whatever_its_client_does(
    server: Cluster, loaded: redis.Redis
) -> None:
    begun = time.monotonic()
    assert refused(loaded, ENDLESS, "LIMITS", 1, "TIME_MS", 200) == "GEARSTIME the query's time is up"
    assert 0.15 < time.monotonic() - begun < 0.2 + SOON
    with connect(server) as frozen:
        words = execute_words(WIDE, Scan(), options=["LIMITS", 1, "TIME_MS", 300])
        assert frozen.execute_command(*words)[1]
        wait_for(loaded, 0)
        with pytest.raises(redis.ResponseError, match="GEARSTIME"):
            frozen.execute_command("GEARSQL.FETCH", "q")
        with pytest.raises(redis.ResponseError, match="GEARSGONE"):
            frozen.execute_command("GEARSQL.FETCH", "q")


def test_rows_and_bytes_are_bounded(loaded: redis.Redis) -> None:
    assert refused(loaded, WIDE, "LIMITS", 1, "ROWS", 100).startswith(
        "GEARSROWS more than 100 rows were read"
    )
    told = refused(loaded, WIDE, "LIMITS", 2, "ROWS", ROWS, "SHIPPED_ROWS", 100)
    assert told.startswith("GEARSROWS more than 100 rows would be shipped")
    assert refused(loaded, WIDE, "LIMITS", 1, "SHIPPED_BYTES", 9999).startswith(
        "GEARSBYTES more than 9999 bytes"
    )
    assert refused(loaded, WIDE, "LIMITS", 1, "FRAME_BYTES", 9999).startswith(
        "GEARSMEMORY more than 9999 bytes would wait in one frame"
    )
    words = execute_words("SELECT count(*) FROM scan_0", Scan(), options=["LIMITS", 1, "ROWS", ROWS])
    assert loaded.execute_command(*words)[1] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("LIMITS",),
        ("LIMITS", 1, "ROWS"),
        ("LIMITS", 1, "KEYS", 5),
        ("LIMITS", 1, "ROWS", 0),
        ("LIMITS", 1, "ROWS", "x"),
        ("LIMITS", 9, "ROWS", 1),
        ("LIMITS", 1, "TIME_MS", 2**62),
    ],
)
def test_limits_that_are_none_are_refused(client: redis.Redis, options: tuple[Word, ...]) -> None:
    assert refused(client, "SELECT 1", *options).startswith("GEARSSTAGE argument ")


def test_a_stage_that_is_sent_twice_runs_once(server: Cluster, loaded: redis.Redis) -> None:
    total = status(loaded)["stages_total"]
    first = Sent(server, ENDLESS, "ONCE", stage="only.1")
    wait_for(loaded, 1)
    assert Sent(server, ENDLESS, "ONCE", stage="only.1").end().startswith("GEARSTWICE")
    assert len(stages(loaded)) == 1
    assert loaded.execute_command("GEARSQL.CANCEL", "only.1") == 1
    assert first.end() == "GEARSCANCELLED by GEARSQL.CANCEL"
    # Its end does not change that: who asks again may have lost the answer, not the question.
    assert Sent(server, ENDLESS, "ONCE", stage="only.1").end().startswith("GEARSTWICE")
    wait_for(loaded, 0)
    # It counts when its worker is done with it.
    wait_until(lambda: status(loaded)["stages_total"] > total, "the stage was not counted")
    assert status(loaded)["stages_total"] == total + 1


def test_cancelling_a_query_ends_its_stages_queued_ones_too(server: Cluster, loaded: redis.Redis) -> None:
    sent = [Sent(server, ENDLESS, stage=f"many.{number}") for number in range(1, 7)]
    other = Sent(server, ENDLESS, stage="manyother.1")
    shown = wait_for(loaded, 7)
    assert {stage["query"] for stage in shown} == {b"many", b"manyother"}
    deadline = time.monotonic() + 20
    # A worker that has taken a stage may still be opening its DuckDB.
    while sorted(stage["state"] for stage in stages(loaded)) != [b"queued"] * 3 + [b"running"] * 4:
        assert time.monotonic() < deadline, stages(loaded)
        time.sleep(0.005)
    assert status(loaded)["stages_queued"] == 3
    begun = time.monotonic()
    assert loaded.execute_command("GEARSQL.CANCEL", "many") == 6
    wait_for(loaded, 1)
    assert time.monotonic() - begun < SOON
    assert {stage.end() for stage in sent} == {"GEARSCANCELLED by GEARSQL.CANCEL"}
    assert loaded.execute_command("GEARSQL.CANCEL", "manyother.1") == 1
    assert other.end()


def test_a_cancel_while_nobody_fetches_is_told_at_the_next_fetch(
    server: Cluster, loaded: redis.Redis
) -> None:
    with connect(server) as owner:
        assert owner.execute_command(*execute_words(WIDE, Scan(), stage="slept"))[1]
        while stages(loaded)[0]["state"] != b"waiting for FETCH":
            time.sleep(0.005)
        (told,) = stages(loaded)
        assert told["bytes_shipped"] > 1 << 20
        assert 0 < told["rows_shipped"] <= told["rows_scanned"] <= ROWS == told["keys_total"]
        assert abs(told["started_ms"] / 1000 - time.time()) < 10
        assert told["address"].startswith(b"127.0.0.1:")
        assert loaded.execute_command("GEARSQL.CANCEL", "slept") == 1
        wait_for(loaded, 0)
        with pytest.raises(redis.ResponseError, match="GEARSCANCELLED by GEARSQL"):
            owner.execute_command("GEARSQL.FETCH", "slept")


@pytest.fixture
def users(client: redis.Redis) -> Iterator[None]:
    client.execute_command("ACL", "SETUSER", "reader", "on", ">x", "~*", "+@read", "+@connection", "-client")
    client.execute_command(
        "ACL", "SETUSER", "reader", "+gearsql.execute", "+gearsql.status", "+gearsql.cancel"
    )
    client.execute_command("ACL", "SETUSER", "watch", "on", ">x", "+gearsql.status", "+client|list")
    yield
    client.execute_command("ACL", "DELUSER", "reader", "watch")


@pytest.mark.usefixtures("users")
def test_others_stages_are_for_who_has_the_right(server: Cluster, loaded: redis.Redis) -> None:
    login = {"password": "x", "lib_name": None, "lib_version": None}
    sent = Sent(server, ENDLESS, stage="secret.1")
    wait_for(loaded, 1)
    with (
        connect(server, username="reader", **login) as reader,
        connect(server, username="watch", **login) as watch,
    ):
        assert stages(reader) == []
        assert status(reader)["stages_running"] == 1
        assert reader.execute_command("GEARSQL.CANCEL", "secret.1") == 0
        (told,) = stages(watch)
        assert (told["user"], told["sql"]) == (b"default", b"")
        (told,) = stages(loaded)
        assert told["sql"].decode() == ENDLESS
        own = Sent(server, ENDLESS, stage="own.1", username="reader", **login)
        wait_for(loaded, 2)
        assert [stage["sql"].decode() for stage in stages(reader)] == [ENDLESS]
        # Who may end others' connections may end their stages.
        assert loaded.execute_command("GEARSQL.CANCEL", "own") == 1
        assert own.end().startswith("GEARSCANCELLED")
    assert loaded.execute_command("GEARSQL.CANCEL", "secret") == 1
    assert sent.end()


def test_status_is_a_map_in_resp3(server: Cluster) -> None:
    with redis.Redis(port=server.ports[0], protocol=3) as client:
        told = client.execute_command("GEARSQL.STATUS")
        assert told[b"stages_running"] == 0 and told[b"stages"] == []


def test_bounds_of_the_server_hold_for_all() -> None:
    bounds = {"WORKERS": 1, "QUEUE": 1, "QUERY_TIME_MS": 1500, "QUERY_ROWS": 2 * ROWS, "FRAMES": 2}
    with Cluster(1, module_options=bounds) as server, connect(server) as client:
        pipe = client.pipeline(transaction=False)
        for i in range(ROWS):
            pipe.hset(f"user:{i}", mapping={"city": "c", "age": i})
        pipe.execute()
        thrice = " + ".join(f"(SELECT count(*) FROM scan_0 WHERE age <> {i})" for i in range(3))
        assert refused(client, f"SELECT {thrice}").startswith(f"GEARSROWS more than {2 * ROWS} rows")
        # One row: of many, a slow scan hands over so few at once that their frame is small enough.
        assert refused(client, "SELECT repeat(min(city), 3000000) FROM scan_0").startswith("GEARSMEMORY")
        first = Sent(server, ENDLESS)
        while [stage["state"] for stage in stages(client)] != [b"running"]:
            time.sleep(0.005)
        second = Sent(server, ENDLESS)
        wait_for(client, 2)
        assert refused(client, ENDLESS).startswith("GEARSQUEUE")
        assert first.end() == second.end() == "GEARSTIME the query's time is up"
