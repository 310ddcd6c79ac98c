"""The account of slots: each shard's own word on what it served, before and after its stage."""

from __future__ import annotations

from gearsql.cluster.topology import OwnSlots, own_slots, require_all_slots, shown_slots
from gearsql.errors import SlotsNotCoveredError

ASK_SLOTS = ("CLUSTER", "NODES")


class SlotAccount:
    """Filled by the shards' threads (each its own entries), checked once by the coordinator."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._before: dict[str, OwnSlots] = {}
        self._after: dict[str, OwnSlots] = {}

    def opens(self, name: str, cluster_nodes: bytes) -> None:
        """Note a shard's answer to ASK_SLOTS from before its stage."""
        self._before[name] = own_slots(cluster_nodes)

    def closes(self, name: str, cluster_nodes: bytes) -> None:
        """Note a shard's answer to ASK_SLOTS from after its stage."""
        self._after[name] = own_slots(cluster_nodes)

    def check(self) -> None:
        """Raise SlotsNotCoveredError unless every slot was served by one shard from start to end."""
        for name, before in self._before.items():
            moving = [(slot, slot) for slot in before.moving]
            if moving:
                raise _moved(f"keys of the slots {shown_slots(moving)} are on the move at {name}")
            if self._after[name] != before:
                raise _moved(f"{name} served the slots {shown_slots(before.spans)} only at the query's start")
        require_all_slots(span for own in self._before.values() for span in own.spans)


def _moved(message: str) -> SlotsNotCoveredError:
    return SlotsNotCoveredError(message, hint="try again when the cluster is at rest")
