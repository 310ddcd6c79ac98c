"""Tables that shrink while a query scans them: keys that stay are counted once."""

from __future__ import annotations

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.faults.scene import COUNT, Background, fill, stages, wait_until
from tests.servers import binary

STAY, GO = 10_000, 120_000
PARTS = 4
TAKE_AWAY = """
local cursor, gone = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', 'gone:*', 'COUNT', 2000)
  cursor, gone = page[1], gone + #page[2]
  for _, key in ipairs(page[2]) do redis.call('UNLINK', key) end
until cursor == '0' or gone > tonumber(ARGV[1])
"""


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("server", ["valkey-9.1", "valkey-8.1", "redis-8.2", "redis-7.0"])
def test_keys_that_stay_are_counted_once_while_most_others_go(server: str, shards: int) -> None:
    slowly = {"SLICE_US": 200, "PAUSE_US": 3_000}
    with Cluster(shards, server=binary(server), module_options=slowly) as cluster:
        fill(cluster.url, STAY)
        for _ in range(2):
            fill(cluster.url, GO, "gone:{id}")
            assert count_while_others_go(cluster) == [(STAY, STAY * (STAY - 1) // 2)]


def test_a_large_slot_that_shrinks_is_counted_once() -> None:
    """More of its keys are read in a turn than can be kept in mind."""
    with Cluster(2, module_options={"SLICE_US": 100, "PAUSE_US": 3_000}) as cluster:
        fill(cluster.url, STAY, "row:{{one}}:{id}")
        for _ in range(2):
            fill(cluster.url, GO, "gone:{{one}}:{id}")
            assert count_while_others_go(cluster) == [(STAY, STAY * (STAY - 1) // 2)]


def count_while_others_go(cluster: Cluster) -> list[object]:
    """Take most keys away, a part at a time, while a query scans."""
    with gearsql.connect(cluster.url) as connection:
        connection.execute(COUNT)
    query = Background(cluster.url, COUNT)
    wait_until(lambda: stages(cluster) > 0, "no query began")
    for _ in range(PARTS):
        for shard in range(len(cluster.ports)):
            with cluster.client(shard) as client:
                client.execute_command("EVAL", TAKE_AWAY, 0, GO // PARTS // len(cluster.ports) + 2000)
    return query.end()
