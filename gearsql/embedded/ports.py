"""Free loopback ports for embedded servers."""

from __future__ import annotations

import random
import socket

# Below Linux's ephemeral range (32768–60999), so is the cluster bus port, which is the port + 10000.
FIRST, LAST = 11_000, 22_000
BUS_OFFSET = 10_000


def free_ports(count: int) -> list[int]:
    """Return distinct ports that are free now, as are their bus ports; another process may be faster."""
    candidates = random.SystemRandom().sample(range(FIRST, LAST), LAST - FIRST)
    ports: list[int] = []
    for port in candidates:
        if len(ports) == count:
            break
        if _is_free(port) and _is_free(port + BUS_OFFSET):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
