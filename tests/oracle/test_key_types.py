"""Keys that are no hashes as tables: every element is a row once, as DuckDB has it in a native table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import redis

import gearsql
from gearsql.embedded import Cluster
from tests.oracle.compare import assert_same
from tests.oracle.judge import Oracle, ask
from tests.servers import binary

PLACES: dict[str, str | tuple[str, int]] = {
    "valkey-9.1": "one_server",
    "valkey-9.1 3 shards": "three_shards",
    "portable": "plain_server",
    "portable 3 shards": "plain_shards",
    "valkey-8.1": ("valkey-8.1", 1),
    "redis-8.2": ("redis-8.2", 1),
    "redis-7.0": ("redis-7.0", 1),
    "redis-7.0 3 shards": ("redis-7.0", 3),
}
SIZES = (1, 2, 3, 100, 511, 513, 3000, 20_000)
SCORES = [0.1, -2.5, 1e300, 5e-324, float("inf"), float("-inf"), 3, 2**53, 1e17, 123456789.123456789]
TABLES = {
    "strings": "(value BIGINT) WITH (key = 'ks:{id}', type = 'string')",
    "texts": "WITH (key = 'kx:{id}', type = 'string')",
    "sets": "WITH (key = 'kt:{id}', type = 'set')",
    "lists": "(value INTEGER) WITH (key = 'kl:{id}', type = 'list')",
    "zsets": "WITH (key = 'kz:{id}', type = 'zset')",
    "streams": "(n INTEGER, t VARCHAR) WITH (key = 'kr:{name}', type = 'stream')",
    "objects": "(n INTEGER, t VARCHAR, deep VARCHAR, \"ä\" BOOLEAN) WITH (key = 'kj:{id}', type = 'json')",
}
QUERIES = [
    "SELECT id, count(*), count(DISTINCT member) FROM sets GROUP BY id ORDER BY id",
    "SELECT count(*) FROM sets",
    "SELECT member, count(*) FROM sets GROUP BY member ORDER BY 2 DESC, 1 LIMIT 50",
    'SELECT id, count(*), sum("index")::BIGINT, sum(value)::BIGINT FROM lists GROUP BY 1 ORDER BY 1',
    "SELECT value FROM lists WHERE id = '513' ORDER BY \"index\"",
    "SELECT id, count(*), count(DISTINCT member), min(score), max(score) FROM zsets GROUP BY id ORDER BY id",
    "SELECT member, score FROM zsets WHERE id = 'odd' ORDER BY member",
    "SELECT id, sum(score) FROM zsets WHERE id <> 'odd' GROUP BY id ORDER BY id",
    "SELECT name, count(*), sum(n)::BIGINT, count(t), max(t) FROM streams GROUP BY name ORDER BY name",
    "SELECT id, n, t FROM streams WHERE _key = 'kr:100' ORDER BY id",
    "SELECT count(*), count(_key) FROM streams",
    "SELECT id, value FROM strings ORDER BY id",
    "SELECT sum(value)::BIGINT, count(*) FROM strings",
    "SELECT id, value FROM texts ORDER BY id",
    "SELECT count(*) FROM texts",
    'SELECT id, n, t, deep, "ä" FROM objects ORDER BY id',
    "SELECT n, count(*) FROM objects GROUP BY n ORDER BY n",
    "SELECT count(*) FROM objects",
]
OBJECTS = {
    "0": ('{"n": 1, "t": "a", "deep": {"x": [1, 2]}, "ä": true}', (1, "a", '{"x": [1, 2]}', True)),
    "1": ("{}", (None, None, None, None)),
    "2": (' { "t" : "\\u00e4\\n\\ud83d\\ude00\\"" , "n" : null } ', (None, 'ä\n😀"', None, None)),
    "3": ('{"n": "7", "t": 1.50, "deep": [], "\\u00e4": false}', (7, "1.50", "[]", False)),
    "4": ('{"n": 1, "n": 2, "other": [1, {"n": 9}], "t": ""}', (2, "", None, None)),
}


def _fill(client: Any, native: duckdb.DuckDBPyConnection) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    pipe = client.pipeline(transaction=False)
    for size in SIZES:
        pipe.sadd(f"kt:{size}", *(f"m{i}" for i in range(size)))
        rows["sets"] += [(f"kt:{size}", str(size), f"m{i}") for i in range(size)]
        pipe.rpush(f"kl:{size}", *(i * 7 % 1000 for i in range(size)))
        rows["lists"] += [(f"kl:{size}", str(size), i, i * 7 % 1000) for i in range(size)]
        pipe.zadd(f"kz:{size}", {f"m{i}": i / 8 for i in range(size)})
        rows["zsets"] += [(f"kz:{size}", str(size), f"m{i}", i / 8) for i in range(size)]
        for i in range(size if size <= 3000 else 0):
            pipe.xadd(
                f"kr:{size}", {"n": i, **({"t": "x" * (i % 50)} if i % 3 else {})}, id=f"{i + 1}-{i % 5}"
            )
            text = "x" * (i % 50) if i % 3 else None
            rows["streams"].append((f"kr:{size}", str(size), f"{i + 1}-{i % 5}", i, text))
    pipe.sadd("kt:int", *range(50))
    rows["sets"] += [("kt:int", "int", str(i)) for i in range(50)]
    pipe.zadd("kz:odd", {f"s{i}": score for i, score in enumerate(SCORES)})
    rows["zsets"] += [("kz:odd", "odd", f"s{i}", float(score)) for i, score in enumerate(SCORES)]
    for i in range(5000):
        pipe.set(f"ks:{i}", i - 2500)
        rows["strings"].append((f"ks:{i}", str(i), i - 2500))
    for name, text in {
        "empty": "",
        "long": "y" * 5000,
        "short": "y" * 44,
        "nul": "a\0b",
        "int": "12",
    }.items():
        pipe.set(f"kx:{name}", text)
        rows["texts"].append((f"kx:{name}", name, text))
    for name, (text, values) in OBJECTS.items():
        pipe.set(f"kj:{name}", text)
        rows["objects"].append((f"kj:{name}", name, *values))
    # A mixed keyspace: of another type, expired, and of other names.
    for prefix in ("ks", "kx", "kt", "kl", "kz", "kr", "kj"):
        pipe.hset(f"{prefix}:hash", "n", 1)
        pipe.set(f"other:{prefix}", "1")
    pipe.execute()
    native.execute("CREATE TABLE strings (_key VARCHAR, id VARCHAR, value BIGINT)")
    native.execute("CREATE TABLE texts (_key VARCHAR, id VARCHAR, value VARCHAR)")
    native.execute("CREATE TABLE sets (_key VARCHAR, id VARCHAR, member VARCHAR)")
    native.execute('CREATE TABLE lists (_key VARCHAR, id VARCHAR, "index" BIGINT, value INTEGER)')
    native.execute("CREATE TABLE zsets (_key VARCHAR, id VARCHAR, member VARCHAR, score DOUBLE)")
    native.execute("CREATE TABLE streams (_key VARCHAR, name VARCHAR, id VARCHAR, n INTEGER, t VARCHAR)")
    native.execute(
        'CREATE TABLE objects (_key VARCHAR, id VARCHAR, n INTEGER, t VARCHAR, deep VARCHAR, "ä" BOOLEAN)'
    )
    for name, some in rows.items():
        columns = list(zip(*some, strict=True))
        names = ", ".join(f"unnest(?::{kind}[])" for kind in _types(native, name))
        native.execute(f"INSERT INTO {name} SELECT {names}", [list(column) for column in columns])


def _types(native: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    return [str(type_) for type_ in native.sql(f"SELECT * FROM {name}").types]


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[gearsql.Connection, Oracle]]:
    match PLACES[request.param]:
        case str(fixture):
            yield from _filled(request.getfixturevalue(fixture))
        case (server, shards):
            with Cluster(shards, server=binary(server)) as cluster:
                yield from _filled(cluster)


def client_of(cluster: Cluster) -> Any:
    if len(cluster.ports) > 1:
        return redis.RedisCluster(host="127.0.0.1", port=cluster.ports[0])
    return redis.Redis(port=cluster.ports[0])


def _filled(cluster: Cluster) -> Iterator[tuple[gearsql.Connection, Oracle]]:
    with duckdb.connect(config={"threads": 1}) as native, gearsql.connect(cluster.url) as connection:
        client = client_of(cluster)
        _fill(client, native)
        for name, rest in TABLES.items():
            connection.execute(f"CREATE OR REPLACE TABLE {name} {rest}")
        yield connection, Oracle(native)
        client.close()


@pytest.mark.parametrize("query", QUERIES)
def test_elements_are_rows(place: tuple[gearsql.Connection, Oracle], query: str) -> None:
    connection, oracle = place
    assert_same(ask(connection, query), oracle.ask(query), ordered=True)


def test_keys_of_another_type_are_counted(place: tuple[gearsql.Connection, Oracle]) -> None:
    cursor = place[0].cursor()
    cursor.execute("SELECT count(*) FROM zsets")
    assert [str(said) for _, said in cursor.messages] == [
        "1 key of another type than sorted set was left out"
    ]
