"""A function's kind → what answers its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gearsql.catalog.function import Function
from gearsql.shard.aggregates import Aggregate
from gearsql.shard.arrays import ArrowBatches, NumpyBatches
from gearsql.shard.calling import Hook, Scalar, Table, Vectorised

_BATCHES: dict[str, type[Vectorised]] = {"lists": Vectorised, "numpy": NumpyBatches, "arrow": ArrowBatches}


def make_hook(function: Function, target: Callable[..., Any]) -> Hook:
    """Return what answers the messages of a function that load() gave."""
    match function.kind:
        case "aggregate":
            return Aggregate(function, target)
        case "table":
            return Table(function, target)
        case "scalar":
            return (_BATCHES[function.vectorised] if function.vectorised else Scalar)(function, target)
