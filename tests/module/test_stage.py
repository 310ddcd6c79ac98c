"""The life of a stage: frames, cancel, clients that vanish, and requests that no stage can be."""

import itertools
import socket
import threading
import time

import duckdb
import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import Scan, Word, connect, execute_words, run, status

WIDE = "SELECT repeat(city, 100) AS c, _key FROM scan_0"


@pytest.fixture
def loaded(client: redis.Redis) -> redis.Redis:
    """50,000 hashes: WIDE yields some 50 MB, far more than one frame."""
    pipe = client.pipeline(transaction=False)
    for i in range(50_000):
        pipe.hset(f"user:{i}", mapping={"city": f"city{i:05}", "age": i})
    pipe.execute()
    return client


def wait_until_idle(client: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while status(client)["stages_running"]:
        assert time.monotonic() < deadline, "a stage was not freed"
        time.sleep(0.01)


def test_frames_are_bounded_and_whole(loaded: redis.Redis) -> None:
    answer = run(loaded, WIDE)
    assert answer.table.num_rows == 50_000
    assert len(answer.frames) > 10
    # A frame is sent when it passes 1 MiB: it exceeds that by one chunk of 2,048 rows at most.
    assert max(map(len, answer.frames)) < (1 << 20) + 2048 * 1200


def test_a_client_that_vanishes_frees_its_stage(server: Cluster, loaded: redis.Redis) -> None:
    for _ in range(5):
        with connect(server) as other:
            _, more, _ = other.execute_command(*execute_words(WIDE, Scan()))
            assert more
    wait_until_idle(loaded)
    assert run(loaded, "SELECT count(*) FROM scan_0").rows == [(50_000,)]


def test_a_client_that_vanishes_while_blocked_frees_its_stage(server: Cluster, loaded: redis.Redis) -> None:
    slow = "SELECT count(*) FROM scan_0 a, scan_0 b WHERE a.age + b.age = 7"
    words = [word if isinstance(word, bytes) else str(word).encode() for word in execute_words(slow, Scan())]
    with socket.create_connection(("127.0.0.1", server.ports[0])) as raw:
        raw.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        )
        time.sleep(0.2)
        assert status(loaded)["stages_running"] == 1
    wait_until_idle(loaded)


def test_a_client_that_does_not_fetch_loses_its_stage(server: Cluster, loaded: redis.Redis) -> None:
    with connect(server) as other:
        _, more, _ = other.execute_command(*execute_words(WIDE, Scan()))
        assert more
        time.sleep(1.5)
        with pytest.raises(redis.ResponseError, match="GEARSCANCELLED nobody fetched the next frame in time"):
            other.execute_command("GEARSQL.FETCH", "q")
        with pytest.raises(redis.ResponseError, match="GEARSGONE"):
            other.execute_command("GEARSQL.FETCH", "q")


def test_cancel_from_another_connection_ends_the_stage(server: Cluster, loaded: redis.Redis) -> None:
    slow = "SELECT sum(a.age * b.age) FROM scan_0 a, scan_0 b"
    caught: list[Exception] = []

    def work() -> None:
        with connect(server) as other:
            try:
                other.execute_command(*execute_words(slow, Scan(), stage="slow"))
            except redis.ResponseError as error:
                caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 10
    while not status(loaded)["stages_running"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert loaded.execute_command("GEARSQL.CANCEL", "slow") == 1
    thread.join(10)
    assert [str(error) for error in caught] == ["GEARSCANCELLED by GEARSQL.CANCEL"]
    assert loaded.execute_command("GEARSQL.CANCEL", "slow") == 0


def test_a_stage_belongs_to_its_connection(server: Cluster, loaded: redis.Redis) -> None:
    with connect(server) as owner:
        _, more, _ = owner.execute_command(*execute_words(WIDE, Scan(), stage="mine"))
        assert more
        with pytest.raises(redis.ResponseError, match="GEARSGONE"):
            loaded.execute_command("GEARSQL.FETCH", "mine")
        with pytest.raises(redis.ResponseError, match="GEARSLIMIT"):
            owner.execute_command(*execute_words(WIDE, Scan(), stage="second"))
    wait_until_idle(loaded)


def test_status_and_info_tell_what_runs(server: Cluster, loaded: redis.Redis) -> None:
    with connect(server) as owner:
        owner.execute_command(*execute_words(WIDE, Scan(), stage="shown"))
        told = status(loaded)
        (stage,) = told["stages"]
        shown = dict(zip(stage[::2], stage[1::2], strict=True))
        assert (shown[b"id"], shown[b"user"]) == (b"shown", b"default")
        assert shown[b"keys_total"] == 50_000
        assert loaded.info("gearsql_status")["gearsql_stages_running"] == 1
    wait_until_idle(loaded)
    info = loaded.info("gearsql_status")
    assert info["gearsql_rows_scanned_total"] > 0
    assert info["gearsql_python_memory"] > 100_000
    assert info["gearsql_duckdb_version"] == duckdb.__version__


def test_more_stages_than_workers_all_answer(server: Cluster, loaded: redis.Redis) -> None:
    answers: list[int] = []

    def work() -> None:
        with connect(server) as other:
            for _ in range(3):
                answers.append(run(other, "SELECT count(*) FROM scan_0").rows[0][0])

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [50_000] * 36


def test_a_stage_cannot_run_in_a_transaction_or_script(client: redis.Redis) -> None:
    client.execute_command("MULTI")
    client.execute_command(*execute_words("SELECT 1", Scan()))
    assert "GEARSSTAGE" in str(client.execute_command("EXEC")[0])
    script = "return redis.call(unpack(ARGV))"
    with pytest.raises(redis.ResponseError):
        client.eval(script, 0, *execute_words("SELECT 1", Scan()))


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELEC 1", "GEARSREFUSED a stage is one SELECT: syntax error"),
        ("SELECT nme FROM scan_0", "GEARSSQL Binder Error"),
        ("SELECT * FROM scan_1", "GEARSSQL Binder Error: the stage has no such scan"),
        ("SELECT * FROM scan_99999999999999999999", "GEARSREFUSED the table scan_9"),
        ("SELECT '100% wrong'::INT", "GEARSSQL Conversion Error: Could not convert string '100%25 wrong'"),
    ],
)
def test_sql_that_is_no_stage_is_refused(client: redis.Redis, sql: str, error: str) -> None:
    with pytest.raises(redis.ResponseError) as caught:
        run(client, sql)
    assert str(caught.value).startswith(error)


def test_versions_must_match(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match=r"GEARSVERSION expected=9\.9 found=.* what=gearsql"):
        client.execute_command(*execute_words("SELECT 1", version="9.9"))
    with pytest.raises(redis.ResponseError, match=r"GEARSVERSION expected=1\.0\.0 found=2\..* what=duckdb"):
        client.execute_command(*execute_words("SELECT 1", engine="1.0.0"))


def test_every_prefix_and_every_wrong_word_is_refused_by_name(client: redis.Redis) -> None:
    good = execute_words("SELECT count(*) FROM scan_0", Scan(nulls=["NA"]), Scan(template=["a", "b"]))
    assert run(client, "SELECT count(*) FROM scan_0", Scan(nulls=["NA"])).rows == [(0,)]
    wrong: list[list[Word]] = [good[:length] for length in range(1, len(good))]
    odd: list[Word] = [
        "",
        "-1",
        "99999999999999999999",
        "2147483647",
        b"\x00",
        "p7",
        "DECIMAL(99,1)",
        "x" * 1000,
    ]
    for (place, _), word in itertools.product(enumerate(good[1:-1], 1), odd):
        wrong.append([*good[:place], word, *good[place + 1 :]])
    for words in wrong:
        try:
            client.execute_command(*words)
        except redis.ResponseError as error:
            assert str(error).startswith(("GEARS", "wrong number of arguments")), (words, error)
        # Some words are right anywhere (an id, a name, a pattern): then there is an answer, and nothing else.
