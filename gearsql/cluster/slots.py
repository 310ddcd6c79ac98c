"""The account of slots: that every slot is counted exactly once, by the shards' own word.

A set of slots is an int, one bit for each: sets of thousands are joined and compared at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gearsql.cluster.topology import (
    SLOTS,
    Shard,
    SlotRange,
    View,
    own_slots,
    read_view,
    require_all_slots,
    shown_slots,
)
from gearsql.errors import SlotsMovedError

ASK_SLOTS = ("CLUSTER", "NODES")

SlotSet = int
ALL_SLOTS: SlotSet = (1 << SLOTS) - 1


def slot_set(spans: Iterable[SlotRange]) -> SlotSet:
    """Return the set that holds these ranges, ends included."""
    slots = 0
    for first, last in spans:
        slots |= ((1 << (last - first + 1)) - 1) << first
    return slots


def slot_spans(slots: SlotSet) -> list[SlotRange]:
    """Return the set as ranges, in order."""
    spans, at = [], 0
    while slots:
        gap = (slots & -slots).bit_length() - 1
        slots >>= gap
        length = (~slots & slots + 1).bit_length() - 1
        spans.append((at + gap, at + gap + length - 1))
        slots >>= length
        at += gap + length
    return spans


def parse_slots(text: str) -> SlotSet:
    """Read '0-99,200' as the module writes it."""
    spans = [span.split("-") for span in text.split(",") if span]
    return slot_set((int(span[0]), int(span[-1])) for span in spans)


def moved(slots: SlotSet) -> SlotsMovedError:
    """Return the error for slots that no answer could be had for."""
    return SlotsMovedError(
        f"the slots {shown_slots(slot_spans(slots))} moved, or are on the move, and were not counted",
        hint="try again when the cluster is at rest, or with a longer timeout",
    )


class SlotLedger:
    """Who counts which slots in one round of a stage; filled by the shards' threads, each its own entries."""

    def __init__(self, shards: Sequence[Shard], wanted: SlotSet) -> None:
        """Assign each wanted slot to the shard that serves it."""
        self.of = {shard: slot_set(shard.slots) & wanted for shard in shards}
        self._left: dict[Shard, SlotSet] = {}
        self._views: dict[Shard, View] = {}

    def closes(self, shard: Shard, left: SlotSet, cluster_nodes: bytes) -> None:
        """Note what a shard did not count, and its answer to ASK_SLOTS from after its stage."""
        self._left[shard] = left
        self._views[shard] = read_view(cluster_nodes)

    def settle(self) -> SlotSet:
        """Return the slots that were not counted; raise if a shard that counted some was replaced before.

        A primary that was stopped, or cut off, and comes back knows nothing of its successor for a moment.
        The others do: they have voted for it, and its epoch is greater.
        """
        for shard, own in self._views.items():
            counted = self.of[shard] & ~self._left[shard] & slot_set(own.spans)
            for view in self._views.values():
                for node in view.others:
                    if node.id != own.id and node.epoch > own.epoch and slot_set(node.spans) & counted:
                        raise moved(slot_set(node.spans) & counted)
        left = 0
        for slots in self._left.values():
            left |= slots
        return left

    def is_moving(self, slots: SlotSet) -> bool:
        """Tell whether a shard says that some of these slots are being migrated key by key."""
        return any(slots >> slot & 1 for view in self._views.values() for slot in view.moving)


class SlotAccount:
    """For the portable reader, which scans shards as wholes: each served the same slots throughout."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._before: dict[str, View] = {}
        self._after: dict[str, View] = {}

    def opens(self, name: str, cluster_nodes: bytes) -> None:
        """Note a shard's answer to ASK_SLOTS from before its stage."""
        self._before[name] = own_slots(cluster_nodes)

    def closes(self, name: str, cluster_nodes: bytes) -> None:
        """Note a shard's answer to ASK_SLOTS from after its stage."""
        self._after[name] = own_slots(cluster_nodes)

    def check(self) -> None:
        """Raise SlotsNotCoveredError unless every slot was served by one shard from start to end."""
        for name, before in self._before.items():
            if before.moving:
                raise moved(slot_set((slot, slot) for slot in before.moving))
            if self._after[name] != before:
                spans = shown_slots(before.spans)
                raise SlotsMovedError(f"{name} served the slots {spans} only at the query's start")
        require_all_slots(span for own in self._before.values() for span in own.spans)
