"""The key of the row that a user's function failed for: asked of the shard that told of the failure."""

from __future__ import annotations

import json

from gearsql.cluster.dispatch import ask_shard
from gearsql.cluster.replies import shown
from gearsql.cluster.stage import Stage
from gearsql.errors import Error, HookError
from gearsql.plan.failing import stages_for_row
from gearsql.plan.stages import ShardStage
from gearsql.shard.state import decode
from gearsql.sql.bound import BoundQuery

SECONDS = 10.0


def name_row(error: HookError, stage: Stage, bound: BoundQuery) -> None:
    """Put the key into an error that knows the arguments of a failed call, if a row has them.

    It is another scan, which ends at the first such row; whatever goes wrong there leaves the error as it is.
    """
    try:
        values = decode(json.dumps(error.values))
    except ValueError:
        return
    for sought in stages_for_row(bound, stage.plan.shard, error.function, values):
        key = _key(error, stage, sought)
        if key is not None:
            error.key = key.encode()
            error.message = error.message.replace("() failed:", f"() failed for key {shown(error.key)}:", 1)
            return


def _key(error: HookError, stage: Stage, sought: ShardStage) -> str | None:
    left = stage.patience.left()
    seconds = SECONDS if left is None else min(SECONDS, left)
    try:
        for shard in stage.shards.all:
            if stage.shards.reader_name(shard) == error.shard:
                batches = ask_shard(stage.shards, shard, sought, seconds, stage.session)
                return next((key for batch in batches for key in batch.column(0).to_pylist()), None)
    except Error:
        pass
    return None
