"""Which shards there are: a single server, or the primaries of a cluster that serves every slot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gearsql.cluster.connection import ShardConnection
from gearsql.errors import AccessDeniedError, OperationalError, SlotsNotCoveredError

SLOTS = 16_384

SlotRange = tuple[int, int]


@dataclass(frozen=True)
class Shard:
    """One primary. `slots` are inclusive ranges; a single server has all. `port` 0: the URL's own server."""

    host: str
    port: int
    slots: tuple[SlotRange, ...]
    replicas: int = field(default=0, compare=False)

    def __hash__(self) -> int:
        # Asked for with each key of a point read.
        return hash((self.host, self.port))

    @property
    def name(self) -> str:
        """What its connections are called."""
        return f"{self.host}:{self.port}"


ALONE = Shard("", 0, ((0, SLOTS - 1),))


def find_shards(seed: ShardConnection, seed_host: str) -> tuple[Shard, ...]:
    """Ask one server for its cluster's primaries; raise unless they cover every slot."""
    # HELLO is open to every user, whatever the ACL says.
    hello = seed.ask("HELLO")
    about = dict(zip(hello[::2], hello[1::2], strict=True))
    match about[b"mode"]:
        case b"cluster":
            return _primaries(_cluster_slots(seed), seed_host)
        case b"sentinel":
            raise OperationalError(f"{seed.name} is a sentinel, not a server with data")
        case _:
            return (ALONE,)


def _cluster_slots(seed: ShardConnection) -> list[Any]:
    try:
        return list(seed.ask("CLUSTER", "SLOTS"))
    except AccessDeniedError as e:
        e.hint = "the user needs: ACL SETUSER <name> +cluster|slots +cluster|nodes"
        raise


def _primaries(entries: Sequence[Any], seed_host: str) -> tuple[Shard, ...]:
    slots: dict[tuple[str, int], list[SlotRange]] = {}
    replicated: dict[tuple[str, int], int] = {}
    for first, last, (host, port, *_), *replicas in sorted(entries, key=lambda entry: int(entry[0])):
        # An empty or unknown host means: the one you asked.
        name = seed_host if host in (None, b"", b"?") else host.decode()
        slots.setdefault((name, port), []).append((first, last))
        replicated[name, port] = len(replicas)
    require_all_slots(span for spans in slots.values() for span in spans)
    return tuple(
        Shard(host, port, tuple(spans), replicated[host, port]) for (host, port), spans in slots.items()
    )


def by_slot(shards: Iterable[Shard]) -> list[Shard]:
    """Return the shard of each slot; they serve all of them."""
    spans = [(span, shard) for shard in shards for span in shard.slots]
    ordered = sorted(spans, key=lambda pair: pair[0])
    return [shard for (first, last), shard in ordered for _ in range(first, last + 1)]


def require_all_slots(spans: Iterable[SlotRange]) -> None:
    """Raise SlotsNotCoveredError unless the ranges hold every slot exactly once."""
    expected, missing, twice = 0, [], []
    for first, last in sorted(spans):
        if first > expected:
            missing.append((expected, first - 1))
        if first < expected:
            twice.append((first, min(last, expected - 1)))
        expected = max(expected, last + 1)
    if expected < SLOTS:
        missing.append((expected, SLOTS - 1))
    if missing:
        raise SlotsNotCoveredError(f"no shard serves the slots {shown_slots(missing)}")
    if twice:
        raise SlotsNotCoveredError(f"two shards claim the slots {shown_slots(twice)}")


def shown_slots(spans: Iterable[SlotRange]) -> str:
    """Return '0–99, 200'."""
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)


@dataclass(frozen=True)
class Node:
    """A node of the cluster as one of them sees it; the greater epoch is right about a slot."""

    id: str
    epoch: int
    spans: tuple[SlotRange, ...]


@dataclass(frozen=True)
class View(Node):
    """What one shard says about its own slots, and about other nodes; `moving` are migrated key by key."""

    moving: tuple[int, ...] = ()
    others: tuple[Node, ...] = field(default=(), compare=False)


def own_slots(cluster_nodes: bytes) -> View:
    """Read the asked shard's own line of CLUSTER NODES."""
    return _own(next(line for line in _lines(cluster_nodes) if _is_own(line)))


def read_view(cluster_nodes: bytes) -> View:
    """Read all of CLUSTER NODES."""
    lines = _lines(cluster_nodes)
    own = _own(next(line for line in lines if _is_own(line)))
    others = tuple(Node(line[0], int(line[6]), _spans(line)) for line in lines if not _is_own(line))
    return replace(own, others=others)


def replicas_of_own(cluster_nodes: bytes, host: str) -> tuple[tuple[str, int], ...]:
    """Read from CLUSTER NODES where the asked shard's replicas are, but those that are known to have failed.

    `host` is how this client knows the shard: if that is its host name, so it goes for the replicas. CLUSTER
    SLOTS leaves out replicas that nobody has heard of lately.
    """
    lines = _lines(cluster_nodes)
    own = next(line for line in lines if _is_own(line))
    by_name = host in own[1].split(",")[1:]
    found = []
    for line in lines:
        if line[3] == own[0] and not {"fail", "noaddr", "handshake"} & set(line[2].split(",")):
            address, *names = line[1].split(",")
            ip, _, port = address.partition("@")[0].rpartition(":")
            found.append(((names[0] if by_name and names else ip) or host, int(port)))
    return tuple(found)


def _lines(cluster_nodes: bytes) -> list[list[str]]:
    return [line.split(" ") for line in cluster_nodes.decode().splitlines()]


def _is_own(line: list[str]) -> bool:
    return "myself" in line[2]


def _own(line: list[str]) -> View:
    moving = tuple(int(word.strip("[]").split("-")[0]) for word in line[8:] if word.startswith("["))
    return View(line[0], int(line[6]), _spans(line), moving)


def _spans(line: list[str]) -> tuple[SlotRange, ...]:
    spans = [word.split("-") for word in line[8:] if not word.startswith("[")]
    return tuple((int(span[0]), int(span[-1])) for span in spans)
