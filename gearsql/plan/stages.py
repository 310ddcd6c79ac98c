"""The gears plan: what every shard runs and what runs once, as plain data. Nothing here knows a socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gearsql.catalog.table import Cast, Column, Fixed, Glob, KeyTemplate, KeyType, OnError
from gearsql.sql.bound import ResultColumn
from gearsql.sql.hooks import Hooks

Reader = Literal["module", "portable", "point"]
"""Who reads the rows: each server, this client by SCAN, or this client by the keys' names (keys.py)."""
ScanMode = Literal["sliced", "snapshot"]
"""How a shard's keys are read: in turns between other clients' commands, or all as of one moment."""
ReadFrom = Literal["primary", "replica", "replica-only"]
"""Who runs stages. Without a usable replica 'replica' reads the primary, 'replica-only' is an error."""
AclMode = Literal["error", "skip"]
"""What keys that the user may not read do: the query fails, or answers without them and says how many."""


SMALL_ROWS, SMALL_BYTES = 1 << 16, 4 << 20
"""How large a relation may be, and all of a stage together, that goes along to every shard."""

ANSWER, ANSWERS_ROWS = "the answer", "the answer's rows"
"""What is shipped, in words, where the whole query runs on the shard, and where its rows are put together."""


@dataclass(frozen=True)
class Scan:
    """A keyspace scan, the source of the rows `scan_<i>`: only the columns that the stage reads.

    `fixed` is what its keys have to be like: others are not read.
    """

    table: str
    keys: KeyTemplate | Glob
    columns: tuple[Column, ...]
    on_error: OnError = "error"
    null_values: tuple[bytes, ...] = ()
    type: KeyType = "hash"
    fixed: tuple[Fixed, ...] = ()
    cast: Cast = "strict"


@dataclass(frozen=True)
class ShardStage:
    """What every shard runs. `sql` reads the relations scan_0, scan_1, … (one for each of `scans`).

    `hooks` are the users' functions of the query, which the shards check even if only the merge calls them;
    `sql` calls them as sql/hooks.py says, and who runs it gives these calls their form. A query without a
    table has no scans, and no text for shards. `given` are the columns of the relations given_0, given_1, …,
    which come along with the stage.
    """

    scans: tuple[Scan, ...]
    sql: str
    hooks: Hooks = ()
    given: tuple[tuple[ResultColumn, ...], ...] = ()


@dataclass(frozen=True)
class MergeStage:
    """What runs once, over the relation named by `relation`, which holds the rows of all shards.

    The relation's column types are those of the shard stage's SQL bound on empty scans. `states` says whether
    some are DuckDB's exported aggregate states, whose types Arrow does not carry. `hooks` are the users'
    functions that `sql` calls.
    """

    relation: str
    sql: str
    states: bool = False
    hooks: Hooks = ()


@dataclass(frozen=True)
class GearsPlan:
    """A compiled query. Without a merge stage the shards' rows, put together, are the answer.

    `direct`, of a point read only: the answer's columns are these of the scan's, and its rows are the answer.
    `otherwise` is for the case that a shard finds a hash tag that is none (catalog/placed.py): a DataError.
    """

    reader: Reader
    shard: ShardStage
    merge: MergeStage | None
    columns: tuple[ResultColumn, ...]
    ships: str  # for EXPLAIN: 'the answer' | 'partial states, …' | 'rows, because …'
    shards: int = 1  # for EXPLAIN
    filter: str = ""  # for EXPLAIN: what a row must meet on its shard
    direct: tuple[int, ...] | None = None
    otherwise: GearsPlan | None = None


@dataclass(frozen=True)
class PartPlan:
    """How a relation of a wide query is made: `name`, with columns c0, c1, …

    `rows` says that it is a table's rows, not what a block makes of them.
    """

    name: str
    plan: GearsPlan
    rows: bool = False


@dataclass(frozen=True)
class Spread:
    """A join on the shards: each joins its own rows of the parts in `stays` with all of `sends`."""

    stays: tuple[str, ...]
    sends: tuple[str, ...]
    plan: GearsPlan


@dataclass(frozen=True)
class Eager:
    """A join over groups of a part's rows (eager.py): `part` is these, in place of `of`."""

    of: str
    part: PartPlan
    sql: str
    takes: tuple[str, ...]


@dataclass(frozen=True)
class JoinPlan:
    """A relation of a wide query that joins others, those that `sql` `takes`: `name`, with columns c0, c1, …

    It is made by one of `spreads` if all that this one sends is small, else where it is named. Of `together`
    several parts stay, since rows of theirs that meet are on one shard. Where it is named it is made
    of groups by one of `eager`, if its part is large. `why` says what keeps it from being split.
    """

    name: str
    sql: str
    columns: tuple[ResultColumn, ...]
    takes: tuple[str, ...]
    spreads: tuple[Spread, ...]
    together: Spread | None = None
    eager: tuple[Eager, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class SharedPlan:
    """One scan for several parts (shared.py): column p0, p1, … of its rows is what that part ships.

    `keeps` says that a part ships its rows: then a shard holds all until the scan has ended.
    """

    parts: tuple[str, ...]
    plan: GearsPlan
    keeps: bool


@dataclass(frozen=True)
class WidePlan:
    """A compiled query of any shape: `sql` runs over the parts and joins that it `takes`.

    If the whole query is a join, `sql` is that of the join, and `whole` its name. Parts that are wanted
    together may come by a scan that they share. `why` says what keeps it from the only shard that there is.
    """

    reader: Reader
    parts: tuple[PartPlan, ...]
    sql: str
    columns: tuple[ResultColumn, ...]
    hooks: Hooks = ()
    joins: tuple[JoinPlan, ...] = ()
    takes: tuple[str, ...] = ()
    whole: str = ""
    shared: tuple[SharedPlan, ...] = ()
    why: str = ""
