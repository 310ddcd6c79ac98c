"""What the bar says beside its numbers."""

from gearsql.cli.bar import said
from gearsql.cluster.control import ShardProgress


def test_the_shard_that_is_behind_is_named() -> None:
    parts = (ShardProgress("a:1", 90, 100, 80, 0), ShardProgress("b:2", 30, 100, 30, 5 << 20))
    assert said(parts) == "reading keys (b:2 is at 30 %) 5 MiB came"
    assert said(parts[:1]) == "reading keys"
    assert said(()) == "reading keys"
    assert said((ShardProgress("a:1", 0, 0, 0, 0), ShardProgress("b:2", 1, 2, 1, 0))) == (
        "reading keys (b:2 is at 50 %)"
    )
