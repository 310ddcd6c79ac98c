"""A Lua script that scans and aggregates on the server, which answers nobody else meanwhile."""

from __future__ import annotations

from typing import Any

import redis

from benchmarks.data import Rows
from benchmarks.queries import COUNT, DISTINCT, EXPRESSION, FILTERED, Answer, Query
from benchmarks.servers import Place

# What is done with each key; `acc` is the answer by city. HGET is faster than HMGET for one field.
STEPS = {
    COUNT.key: "local c = call('HGET', key, 'city'); acc[c] = (acc[c] or 0) + 1",
    DISTINCT.key: """
        local row = call('HMGET', key, 'city', 'email')
        local c, email = row[1], row[2]
        local set = sets[c]
        if not set then set = {}; sets[c] = set; acc[c] = 0 end
        if not set[email] then set[email] = true; acc[c] = acc[c] + 1 end""",
    FILTERED.key: """
        local row = call('HMGET', key, 'city', 'age', 'score')
        if tonumber(row[2]) > 40 then local c = row[1]; acc[c] = (acc[c] or 0) + tonumber(row[3]) end""",
    EXPRESSION.key: """
        local row = call('HMGET', key, 'city', 'age', 'score')
        local c = row[1]; acc[c] = (acc[c] or 0) + tonumber(row[3]) * 2 + tonumber(row[2])""",
}
SCRIPT = """
local call, tonumber = redis.call, tonumber
local acc, sets, cursor = {{}}, {{}}, '0'
repeat
    local page = call('SCAN', cursor, 'MATCH', 'user:*', 'COUNT', 1000)
    cursor = page[1]
    local keys = page[2]
    for i = 1, #keys do
        local key = keys[i]
        {step}
    end
until cursor == '0'
local reply = {{}}
for c, value in pairs(acc) do reply[#reply + 1] = c; reply[#reply + 1] = string.format('%.17g', value) end
return reply
"""


class Lua:
    """EVAL of one script per query."""

    name = "Lua EVAL, SCAN COUNT 1000"

    def __init__(self) -> None:
        self._client: Any = None

    def prepare(self, place: Place, rows: Rows) -> None:
        self._client = redis.Redis.from_url(place.url, socket_timeout=None, retry=None)

    def version(self) -> str:
        info = self._client.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    def can(self, query: Query) -> bool:
        return query.key in STEPS

    def run(self, query: Query) -> Answer:
        reply = self._client.eval(SCRIPT.format(step=STEPS[query.key]), 0)
        number = int if query.exact else float
        return {city.decode(): number(value) for city, value in zip(reply[::2], reply[1::2], strict=True)}

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
