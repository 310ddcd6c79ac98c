"""Changed commands to a real server: replies and errors, and the server lives."""

from __future__ import annotations

import random
import struct
from typing import Any

import redis

from gearsql.catalog.function import Function
from gearsql.embedded import Cluster
from tests.module.hooks import definition_words
from tests.module.raw import CITY, KEY, Scan, execute_words
from tests.servers import binary

SERVERS = ("valkey-9.1", "redis-7.0")
BATCH = 200
EXTRA: tuple[Any, ...] = (
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        "*",
        "q",
        "user:*",
        0,
        1,
        2,
        -1,
        16383,
        16384,
        2**31,
        2**63 - 1,
        10**30,
        "x" * 5000,
    ),
    *("SCAN", "GLOB", "TEMPLATE", "NULLS", "COLUMNS", "SQL", "SLOTS", "HOOKS", "MODE", "LIMITS", "RELATION"),
    *(
        "error",
        "null",
        "skip",
        "k",
        "p0",
        "p9",
        "f",
        "fcity",
        "BIGINT",
        "DECIMAL(39,1)",
        "VARCHAR[]",
        "MAP(VARCHAR, BIGINT)",
        "BIGINT[2]",
        "TIME_NS",
        "GIVEN",
        "given_1",
        "ONCE",
        "MEMORY_BYTES",
        "snapshot",
    ),
    *(
        "SELECT 1",
        "SELECT * FROM scan_0",
        "SELECT count(*) FROM scan_1",
        "DROP TABLE x",
        "SET threads=9",
        ";",
    ),
)


def commands() -> list[list[Any]]:
    """Return what is changed."""
    function = Function("fuzz", "scalar", (("a", "BIGINT"),), "VARCHAR[]", "return []")
    template = Scan(template=("user:", ""), columns=[("id", "BIGINT", "p0"), CITY], nulls=["", "null"])
    hooked = execute_words("SELECT 1", Scan())
    given = execute_words("SELECT g.w, count(*) FROM scan_0 JOIN given_0 g ON age = g.n GROUP BY g.w", Scan())
    numbers = struct.pack("<Q2q", 3, 30, 40)
    texts = struct.pack("<Q3Q", 3, 0, 1, 8) + b"athirty!"
    limits = ["SLOTS", 1, 0, 16383, "LIMITS", 2, "ROWS", 1000, "SHIPPED_BYTES", 100_000]
    return [
        execute_words("SELECT city, count(*) FROM scan_0 GROUP BY city", Scan(columns=[CITY, KEY])),
        execute_words("SELECT * FROM scan_0 JOIN scan_1 ON scan_0._key = scan_1.city", Scan(), template),
        execute_words("SELECT sum(age) FROM scan_0", Scan(on_error="skip")),
        [*hooked[:-2], "HOOKS", "", 1, "fuzz", function.hash, *hooked[-2:]],
        [*given[:-2], "GIVEN", 2, 2, "n", "BIGINT", "w", "VARCHAR", numbers + texts, *given[-2:]],
        execute_words("SELECT city FROM scan_0 WHERE age > 290", Scan(), options=limits),
        ["GEARSQL.DEFINE", "SET", *definition_words(function, 3)],
        ["GEARSQL.UNDEFINE", 4, "fuzz"],
        ["GEARSQL.FETCH", "q"],
        ["GEARSQL.CANCEL", "q"],
        ["GEARSQL.STATUS"],
        ["GEARSQL.FUNCTIONS"],
    ]


def changed(chosen: random.Random, known: list[list[Any]]) -> list[Any]:
    """Take a command and change some words of it, but not the first."""
    words = list(chosen.choice(known))
    for _ in range(chosen.randrange(4)):
        at = chosen.randrange(1, len(words) + 1)
        match chosen.randrange(5):
            case 0:
                words[at:at] = [chosen.choice(EXTRA)]
            case 1:
                words[at : at + 1] = [chosen.choice(EXTRA)]
            case 2:
                del words[at : at + chosen.randrange(1, 4)]
            case 3:
                words[at:at] = words[at : at + chosen.randrange(1, 6)] * chosen.choice((1, 1, 50))
            case 4 if at < len(words):
                word = bytearray(words[at] if isinstance(words[at], bytes) else str(words[at]).encode())
                word[chosen.randrange(len(word) + 1) :] = chosen.randbytes(chosen.randrange(3))
                words[at] = bytes(word)
    return words


def run(inputs: int, seed: int) -> str | None:
    """Send so many, half of them to each server; return what went wrong."""
    for name in SERVERS:
        with Cluster(1, server=binary(name), debug=True) as server:
            pid = server.pids[0]
            problem = _send(server, inputs // len(SERVERS), seed)
            if problem is None and server.pids[0] != pid:
                problem = "the server died"
            code = server.terminate(0)
            if problem or code != 0:
                return f"{name}: {problem}, exit code {code}\n{server.log(0)[-4000:]}"
    return None


def _send(server: Cluster, inputs: int, seed: int) -> str | None:
    chosen, known = random.Random(seed), commands()
    batch: list[list[Any]] = []
    with server.client() as client:
        for number in range(300):
            client.hset(f"user:{number}", mapping={"city": f"c{number % 7}", "age": number})
    try:
        for _ in range(0, inputs, BATCH):
            batch = [changed(chosen, known) for _ in range(BATCH)]
            # A connection of its own: one that has an open stage when it ends has it cancelled.
            with server.client() as client, client.pipeline(transaction=False) as pipe:
                for words in batch:
                    pipe.execute_command(*words)
                pipe.execute(raise_on_error=False)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        return f"seed {seed}: {error}; one of {batch[:3]} …"
    return None
