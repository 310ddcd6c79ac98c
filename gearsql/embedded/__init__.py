"""Local servers and clusters with the module loaded: for tests, the demo, and connect() without a URL."""

from gearsql.embedded.cluster import Cluster
from gearsql.embedded.server import Tls

__all__ = ["Cluster", "Tls"]
