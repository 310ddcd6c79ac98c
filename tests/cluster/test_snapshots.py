"""Snapshots in clusters: right while slots move, and said where there were none."""

from __future__ import annotations

import threading
import time

import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.cluster.test_slots import Mover
from tests.faults.scene import COUNT, RIGHT, fill, wait_until
from tests.servers import binary

MOVING = "slots move, or moved a moment ago"


def mover_at_once(mover: Mover, source: int, target: int) -> None:
    client = mover.clients[source]
    client.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 2999, "NODE", mover.ids[target])
    while b"success" not in client.execute_command("CLUSTER", "GETSLOTMIGRATIONS")[0]:
        time.sleep(0.005)


def mover_by_key(mover: Mover, source: int, target: int) -> None:
    for slot in range(200, 220):
        mover.move(slot, source, target)


@pytest.mark.parametrize("how", ["valkey-9.1 at once", "valkey-9.1 key by key", "redis-7.0 key by key"])
def test_snapshots_are_right_while_slots_move(how: str) -> None:
    server, _, way = how.partition(" ")
    with Cluster(3, server=binary(server), module_options={"SNAPSHOT_WAIT_MS": 0}) as cluster:
        fill(cluster.url)
        over = threading.Event()
        answers: list[object] = []
        notes: set[str] = set()

        def ask() -> None:
            with gearsql.connect(cluster.url, timeout=20, scan="snapshot") as connection:
                while not over.is_set():
                    try:
                        cursor = connection.execute(COUNT)
                        answers.append(cursor.fetchall())
                        notes.update(str(note) for _, note in cursor.messages)
                    except gearsql.Error as error:
                        answers.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            wait_until(lambda: bool(answers), "no answer")
            mover, deadline = Mover(cluster), time.monotonic() + 20
            while not (len(answers) > 3 and any(MOVING in note for note in notes)):
                assert time.monotonic() < deadline
                for source, target in ((0, 1), (1, 2), (2, 0)):
                    move = mover_at_once if way == "at once" else mover_by_key
                    move(mover, source, target)
        finally:
            over.set()
            thread.join()
        assert all(answer == RIGHT for answer in answers)
