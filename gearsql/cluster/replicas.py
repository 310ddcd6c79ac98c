"""Reading from replicas: which one of a shard answers in its primary's place, and what is to be said of it.

A replica is used only if it has all that its primary had when the stage began: then what is true of the
primary's slots at that time is true of its keys, and an answer is as fresh as the query. The primary is asked
for its slots and its offset before, and for its slots again after.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gearsql.catalog.table import ElementSource, FieldSource
from gearsql.cluster.connection import ShardConnection
from gearsql.cluster.shards import Shards
from gearsql.cluster.slots import ASK_SLOTS, SlotSet, moved, slot_set
from gearsql.cluster.topology import Shard, View, read_view, replicas_of_own
from gearsql.errors import Error, NotSupportedError, ShardError
from gearsql.plan.stages import Scan, ShardStage

CATCH_UP_SECONDS = 1.0
"""For a replica to get what its primary has; then another one is tried."""
POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Chosen:
    """Who answers for a shard. `before` is its primary's view of the slots when it was chosen."""

    connection: ShardConnection
    replica: bool
    before: View
    note: str

    def require_unmoved(self, cluster_nodes: bytes) -> None:
        """Raise SlotsMovedError if the primary's slots are not as before; takes its answer to ASK_SLOTS."""
        after = read_view(cluster_nodes)
        if self.replica and after != self.before:
            raise moved(slot_set(self.before.spans) | slot_set(after.spans))


@dataclass(frozen=True)
class _Candidate:
    connection: ShardConnection
    offset: int
    seconds: int


def choose(
    shards: Shards, shard: Shard, primary: ShardConnection, wanted: SlotSet, stage: ShardStage
) -> Chosen:
    """Return a replica of the shard that has caught up, that with the least lag first; else the primary."""
    nodes = primary.ask(*ASK_SLOTS)
    before = read_view(nodes)
    if wanted & ~slot_set(before.spans):
        raise moved(wanted & ~slot_set(before.spans))
    if before.moving:
        return _primary(shards, shard, primary, before, "its slots are on the move")
    if any(map(_reads_strings, stage.scans)):
        return _primary(shards, shard, primary, before, "a cluster's replicas do not give strings to modules")
    offset = int(_replication(primary)["master_repl_offset"])
    candidates = sorted(
        _candidates(shards, replicas_of_own(nodes, shard.host)), key=lambda candidate: -candidate.offset
    )
    deadline = time.monotonic() + CATCH_UP_SECONDS
    for candidate in candidates:
        if _catches_up(candidate.connection, offset, deadline):
            behind = max(0, offset - candidate.offset)
            shards.reads(shard, candidate.connection)
            note = (
                f"{candidate.connection.name} was read, a replica of {primary.name}: it heard of it "
                f"{candidate.seconds} s ago, was {behind} bytes behind, and caught up with the query's begin"
            )
            return Chosen(candidate.connection, True, before, note)
    why = "it has no replica that can be used" if not candidates else "its replicas lag behind"
    return _primary(shards, shard, primary, before, why)


def alone(shards: Shards) -> str:
    """Return what is to be said of a server without a cluster, whose replicas are not known."""
    if shards.read_from == "replica-only":
        raise NotSupportedError("replicas are read in a cluster only", hint="give the replica's own URL")
    return "replicas are read in a cluster only: the server was read itself"


def _reads_strings(scan: Scan) -> bool:
    return scan.type in ("string", "json") and any(
        isinstance(column.source, FieldSource | ElementSource) for column in scan.columns
    )


def _primary(shards: Shards, shard: Shard, primary: ShardConnection, before: View, why: str) -> Chosen:
    if shards.read_from == "replica-only":
        raise ShardError(
            f"{primary.name} is not read: {why}", shard=primary.name, hint="read_from='replica' reads it then"
        )
    shards.reads(shard, None)
    return Chosen(primary, False, before, f"{primary.name} was read itself: {why}")


def _candidates(shards: Shards, ends: Iterable[tuple[str, int]]) -> Iterator[_Candidate]:
    for host, port in ends:
        try:
            connection = shards.replica(host, port)
            told = _replication(connection)
        except Error:
            continue
        if told.get("role") == "slave" and told.get("master_link_status") == "up":
            seconds = int(told.get("master_last_io_seconds_ago", "0"))
            yield _Candidate(connection, int(told["slave_repl_offset"]), seconds)


def _catches_up(connection: ShardConnection, offset: int, deadline: float) -> bool:
    try:
        while True:
            told = _replication(connection)
            if told.get("master_link_status") != "up":
                return False
            if int(told["slave_repl_offset"]) >= offset:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
    except Error:
        return False


def _replication(connection: ShardConnection) -> dict[str, str]:
    lines = connection.ask("INFO", "replication").decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
