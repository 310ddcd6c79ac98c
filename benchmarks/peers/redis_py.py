"""redis-py as its manual shows it: scan_iter, a pipeline of HMGET for each thousand keys, dicts in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import redis

from benchmarks.data import Rows
from benchmarks.queries import Answer, Query
from benchmarks.servers import Place

BATCH = 1000


class RedisPy:
    """The client reads all rows; the parser is hiredis, as gearsql's dependencies install it."""

    name = "redis-py SCAN + HMGET pipelines"

    def __init__(self) -> None:
        self._client: Any = None

    def prepare(self, place: Place, rows: Rows) -> None:
        self._client = redis.Redis.from_url(place.url)

    def version(self) -> str:
        return f"redis-py {redis.__version__}"

    def can(self, query: Query) -> bool:
        return True

    def run(self, query: Query) -> Answer:
        return {city.decode(): value for city, value in query.fold(self._batches(query.fields)).items()}

    def _batches(self, fields: tuple[str, ...]) -> Iterator[Sequence[Sequence[bytes]]]:
        keys = self._client.scan_iter(match="user:*", count=BATCH)
        while batch := list(islice(keys, BATCH)):
            pipeline = self._client.pipeline(transaction=False)
            for key in batch:
                pipeline.hmget(key, fields)
            yield pipeline.execute()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
