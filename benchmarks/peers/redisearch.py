"""RediSearch: an index over the hashes, all fields SORTABLE, and FT.AGGREGATE on it."""

from __future__ import annotations

import time
from typing import Any

import redis

from benchmarks.data import Rows
from benchmarks.queries import COUNT, DISTINCT, EXPRESSION, FILTERED, Answer, Query
from benchmarks.servers import Place

INDEX = "users"
SCHEMA = (
    "city TAG SORTABLE UNF age NUMERIC SORTABLE email TAG CASESENSITIVE SORTABLE UNF score NUMERIC SORTABLE"
)
GROUPED = "GROUPBY 1 @city REDUCE"
REQUESTS = {
    COUNT.key: ("*", f"{GROUPED} COUNT 0 AS n"),
    DISTINCT.key: ("*", f"{GROUPED} COUNT_DISTINCT 1 @email AS n"),
    FILTERED.key: ("@age:[(40 +inf]", f"{GROUPED} SUM 1 @score AS n"),
    EXPRESSION.key: ("*", f"APPLY @score*2+@age AS e {GROUPED} SUM 1 @e AS n"),
}


class RediSearch:
    """The index is built in prepare(), over hashes that are there already; sums come with 12 digits."""

    name = "RediSearch FT.AGGREGATE"

    def __init__(self) -> None:
        self._client: Any = None

    def prepare(self, place: Place, rows: Rows) -> None:
        self._client = redis.Redis.from_url(place.url, socket_timeout=None, retry=None, protocol=2)
        create = f"FT.CREATE {INDEX} ON HASH PREFIX 1 user: SCHEMA {SCHEMA}"
        self._client.execute_command(*create.split())
        while self._info()["indexing"] != "0":
            time.sleep(0.05)

    def _info(self) -> dict[str, str]:
        reply = self._client.execute_command("FT.INFO", INDEX)
        text = [word.decode() if isinstance(word, bytes) else str(word) for word in reply]
        return dict(zip(text[::2], text[1::2], strict=True))

    def version(self) -> str:
        modules = {m[b"name"]: m[b"ver"] for m in self._client.module_list()}
        number = int(modules[b"search"])
        server = self._client.info("server")["redis_version"]
        return f"RediSearch {number // 10_000}.{number // 100 % 100}.{number % 100} on Redis {server}"

    def can(self, query: Query) -> bool:
        return query.key in REQUESTS

    def run(self, query: Query) -> Answer:
        search, steps = REQUESTS[query.key]
        reply = self._client.execute_command("FT.AGGREGATE", INDEX, search, *steps.split())
        number = int if query.exact else float
        return {row[1].decode(): number(row[3]) for row in reply[1:]}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
