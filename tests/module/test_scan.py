"""The keyspace scan: which keys are rows, and what their fields become."""

import time

import pyarrow as pa
import pytest
import redis

from tests.module.raw import AGE, CITY, KEY, Column, Scan, run


def test_every_hash_of_the_pattern_is_a_row_once(client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(20_000):
        pipe.hset(f"user:{i}", mapping={"city": f"c{i % 7}", "age": i})
        pipe.hset(f"other:{i}", "age", 1)
    pipe.execute()
    answer = run(client, "SELECT count(*), count(DISTINCT _key), sum(age)::BIGINT FROM scan_0")
    assert answer.rows == [(20_000, 20_000, 20_000 * 19_999 // 2)]
    assert answer.stats["rows_scanned"] == 20_000


def test_a_missing_field_is_null_and_an_empty_one_is_not(client: redis.Redis) -> None:
    client.hset("user:1", mapping={"city": "", "other": "x"})
    client.hset("user:2", mapping={"age": "0"})
    answer = run(client, "SELECT city, age FROM scan_0 ORDER BY _key")
    assert answer.rows == [("", None), (None, 0)]


def test_keys_of_another_type_are_skipped_and_counted(client: redis.Redis) -> None:
    client.hset("user:1", "age", 1)
    client.set("user:2", "x")
    client.rpush("user:3", "x")
    client.zadd("user:4", {"x": 1})
    answer = run(client, "SELECT count(*) FROM scan_0")
    assert (answer.rows, answer.stats["keys_skipped"]) == ([(1,)], 3)


def test_logically_expired_keys_are_not_rows(client: redis.Redis) -> None:
    client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    pipe = client.pipeline(transaction=False)
    for i in range(2000):
        pipe.hset(f"user:{i}", "age", i)
        if i % 2:
            pipe.pexpire(f"user:{i}", 1)
    pipe.execute()
    time.sleep(0.02)
    try:
        assert client.dbsize() > 1900, "most of them are still in the keyspace"
        assert run(client, "SELECT count(*) FROM scan_0").rows == [(1000,)]
    finally:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_keys_with_a_time_to_live_are_rows(client: redis.Redis) -> None:
    client.hset("user:1", "age", 1)
    client.expire("user:1", 1000)
    assert run(client, "SELECT age FROM scan_0").rows == [(1,)]


def test_odd_bytes_in_keys_fields_and_values_travel_whole(client: redis.Redis) -> None:
    client.hset(b"user:\x00\xff1", mapping={b"a\x00b": b"\x00\xfe" * 20, "city": "Zürich\x00☃"})
    columns: list[Column] = [("k", "BLOB", "k"), ("v", "BLOB", b"fa\x00b"), CITY]
    answer = run(client, "SELECT k, v, city FROM scan_0", Scan(columns=columns))
    assert answer.rows == [(b"user:\x00\xff1", b"\x00\xfe" * 20, "Zürich\x00☃")]


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 4096, 3_000_000])
def test_text_of_any_length_travels_whole(client: redis.Redis, length: int) -> None:
    text = "aé☃"[: length % 3] + "x" * length
    client.hset("user:1", "city", text)
    assert run(client, "SELECT city FROM scan_0").rows == [(text,)]


def test_more_columns_than_one_call_reads(client: redis.Redis) -> None:
    client.hset("user:1", mapping={f"f{i}": i for i in range(30)})
    columns: list[Column] = [(f"f{i}", "INTEGER", f"ff{i}") for i in range(32)]
    answer = run(client, "SELECT * FROM scan_0", Scan(columns=columns))
    assert answer.rows == [(*range(30), None, None)]


def test_template_placeholders_are_columns(client: redis.Redis) -> None:
    for key in ("{o}:7:a", "{o}:8:b:c", "{o}:9:", "{o}::x", "o:1:a"):
        client.hset(key, "age", 1)
    columns: list[Column] = [("id", "INTEGER", "p0"), ("tail", "VARCHAR", "p1"), AGE]
    scan = Scan(columns=columns, template=["{o}:", ":", ""])
    answer = run(client, "SELECT id, tail, age FROM scan_0 ORDER BY id", scan)
    assert answer.rows == [(7, "a", 1), (8, "b:c", 1)]


def test_a_constant_is_a_column_beside_those_of_key_and_hash(client: redis.Redis) -> None:
    for key in ("{o}:7:a", "{o}:7:b", "{o}:8:c"):
        client.hset(key, "age", 1)
    columns: list[Column] = [("id", "INTEGER", "c7"), AGE, ("tail", "VARCHAR", "p0"), ("e", "VARCHAR", "c")]
    scan = Scan(columns=columns, template=["{o}:7:", ""])
    answer = run(client, "SELECT id, age, tail, e FROM scan_0 ORDER BY tail", scan)
    assert answer.rows == [(7, 1, "a", ""), (7, 1, "b", "")]
    assert run(client, "SELECT max(id) FROM scan_0", scan).rows == [(7,)]


@pytest.mark.parametrize(
    ("on_error", "rows", "misfits"), [("null", [(None, "b"), (1, "a")], 1), ("skip", [(1, "a")], 1)]
)
def test_a_misfit_is_null_or_skips_its_row_and_is_counted(
    client: redis.Redis, on_error: str, rows: list[object], misfits: int
) -> None:
    client.hset("user:1", mapping={"age": "1", "city": "a"})
    client.hset("user:2", mapping={"age": "1.5", "city": "b"})
    answer = run(client, "SELECT age, city FROM scan_0 ORDER BY city DESC", Scan(on_error=on_error))
    assert (answer.rows, answer.stats["misfits"]) == (rows, misfits)


def test_a_skipped_row_leaves_no_nulls_behind(client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(5000):
        pipe.hset(f"user:{i}", mapping={"age": i} if i % 3 else {"age": "x"})
        pipe.hset(f"user:{i}", mapping={"city": "c"} if i % 3 else {"other": "c"})
    pipe.execute()
    # city is read before age, so a row that is dropped at age has set its NULL already.
    answer = run(client, "SELECT count(*), count(city), count(age) FROM scan_0", Scan(on_error="skip"))
    kept = sum(1 for i in range(5000) if i % 3)
    assert answer.rows == [(kept, kept, kept)]


def test_a_misfit_names_column_type_key_and_value(client: redis.Redis) -> None:
    client.hset(b"user:\xff 1", "age", "4 %\n2")
    with pytest.raises(redis.ResponseError) as caught:
        run(client, "SELECT sum(age) FROM scan_0")
    assert str(caught.value) == "GEARSMISFIT column=age type=BIGINT key=user:%FF%201 value=4%20%25%0A2"


def test_a_misfit_in_a_column_that_is_not_read_is_none(client: redis.Redis) -> None:
    client.hset("user:1", mapping={"age": "x", "city": "a"})
    assert run(client, "SELECT city FROM scan_0").rows == [("a",)]


def test_null_values_are_null_before_any_cast(client: redis.Redis) -> None:
    for i, age in enumerate(["", "NA", "5"]):
        client.hset(f"user:{i}", "age", age)
    answer = run(client, "SELECT age FROM scan_0 ORDER BY _key", Scan(nulls=["", "NA"]))
    assert answer.rows == [(None,), (None,), (5,)]


def test_two_scans_join_in_one_stage(client: redis.Redis) -> None:
    client.hset("user:1", mapping={"city": "a", "age": 1})
    client.hset("city:a", "name", "Aachen")
    cities = Scan("city:*", [("code", "VARCHAR", "p0"), ("name", "VARCHAR", "fname")], template=["city:", ""])
    answer = run(client, "SELECT name, age FROM scan_0 JOIN scan_1 ON city = code", Scan(), cities)
    assert answer.rows == [("Aachen", 1)]


def test_a_limit_ends_the_scan_early(client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for i in range(100_000):
        pipe.hset(f"user:{i}", "age", i)
    pipe.execute()
    answer = run(client, "SELECT age FROM scan_0 LIMIT 5")
    assert len(answer.rows) == 5
    assert answer.stats["rows_scanned"] < 50_000


def test_the_database_is_the_clients(client: redis.Redis) -> None:
    client.hset("user:1", "age", 1)
    client.select(3)
    client.hset("user:1", "age", 30)
    client.hset("user:2", "age", 31)
    assert run(client, "SELECT sum(age)::BIGINT FROM scan_0").rows == [(61,)]


def test_all_types_arrive_typed(client: redis.Redis) -> None:
    values = {
        "BOOLEAN": "true", "TINYINT": "-128", "SMALLINT": "-3", "INTEGER": "7",
        "BIGINT": "9223372036854775807", "HUGEINT": "170141183460469231731687303715884105727",
        "UTINYINT": "255", "USMALLINT": "1", "UINTEGER": "4294967295", "UBIGINT": "18446744073709551615",
        "FLOAT": "1.5", "DOUBLE": "0.1", "DECIMAL(4,1)": "-1.5", "DECIMAL(9,2)": "1.25",
        "DECIMAL(18,3)": "7", "DECIMAL(38,10)": "3.5", "VARCHAR": "v", "BLOB": "b", "DATE": "2024-02-29",
        "TIME": "23:59:59.5", "TIMESTAMP": "2024-02-29 12:30:00.25",
        "UUID": "01234567-89ab-cdef-0123-456789abcdef",
    }  # fmt: skip
    client.hset("user:1", mapping={f"x{i}": value for i, value in enumerate(values.values())})
    columns: list[Column] = [(f"c{i}", kind, f"fx{i}") for i, kind in enumerate(values)]
    texts = ", ".join(f"c{i}::VARCHAR" for i in range(len(values)))
    types = ", ".join(f"typeof(c{i})" for i in range(len(values)))
    assert run(client, f"SELECT {types} FROM scan_0", Scan(columns=columns)).rows == [tuple(values)]
    canonical = {**values, "DECIMAL(18,3)": "7.000", "DECIMAL(38,10)": "3.5000000000"}
    assert run(client, f"SELECT {texts} FROM scan_0", Scan(columns=columns)).rows == [
        tuple(canonical.values())
    ]
    assert isinstance(run(client, "SELECT * FROM scan_0", Scan(columns=columns)).table, pa.Table)


def test_no_key_matches(client: redis.Redis) -> None:
    answer = run(client, "SELECT count(*), sum(age) FROM scan_0")
    assert [row[0] for row in answer.rows] == [0]
    assert run(client, "SELECT city FROM scan_0", Scan(columns=[CITY, KEY])).rows == []
