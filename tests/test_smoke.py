"""The main job in one test: what a new machine or another Python has to pass first."""

import pytest
import redis

import gearsql
from gearsql.embedded import Cluster

QUERY = """
    SELECT carrier, count(*), count(DISTINCT dest), avg(delay) FROM "flight:*" WHERE distance > ?
    GROUP BY carrier HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 10
"""


@pytest.mark.parametrize("shards", [1, 3])
def test_groups_are_counted_over_all_shards(shards: int) -> None:
    rows = [("AA", "JFK", 5, 600), ("AA", "LGA", 6, 700), ("AA", "JFK", -2, 800), ("UA", "SFO", 1, 900)]
    with Cluster(shards) as cluster, _client(cluster) as client, gearsql.connect(cluster.url) as connection:
        for number, row in enumerate([*rows, ("UA", "SFO", 2, 100), ("UA", "ORD", 4, 501)]):
            mapping = dict(zip(("carrier", "dest", "delay", "distance"), row, strict=True))
            client.hset(f"flight:{number}", mapping=mapping)
        cursor = connection.cursor()
        cursor.execute(QUERY, [500])
        assert cursor.fetchall() == [("AA", 3, 2, 3.0), ("UA", 2, 2, 2.5)]


def _client(cluster: Cluster) -> redis.Redis | redis.RedisCluster:
    if len(cluster.ports) == 1:
        return cluster.client()
    return redis.RedisCluster(host="127.0.0.1", port=cluster.ports[0])
