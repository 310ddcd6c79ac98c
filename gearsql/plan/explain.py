"""A gears plan in words: what EXPLAIN says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gearsql.catalog.glob import scan_pattern
from gearsql.catalog.table import (
    Column,
    ConstantSource,
    ElementSource,
    FieldSource,
    KeySource,
    PlaceholderSource,
)
from gearsql.plan.keys import keys_of, narrowed
from gearsql.plan.stages import (
    ANSWER,
    ANSWERS_ROWS,
    SMALL_ROWS,
    GearsPlan,
    JoinPlan,
    PartPlan,
    Scan,
    Spread,
    WidePlan,
)
from gearsql.sql.hooks import Hooks, hooks_in
from gearsql.sql.reasons import reasons

_READERS = {
    "module": "the module, in each server",
    "point": "this client, by the names of the keys",
    "portable": "portable: this client reads the hashes over the network, which is slower",
}


MOST_SHOWN = 5
"""Keys of a point read."""


def explain(plan: GearsPlan | WidePlan) -> str:
    """Describe a plan for people: reader, what runs on every shard, what is shipped, what runs once."""
    if isinstance(plan, WidePlan):
        return "\n".join(_wide(plan))
    if not plan.shard.scans:
        return "\n".join(["reader   none: no key is read", *_end(plan)])
    if plan.reader == "point":
        return "\n".join([f"reader   {_READERS[plan.reader]}", "", *_point(plan)])
    return "\n".join([f"reader   {_READERS[plan.reader]}", *_shard(plan), *_end(plan)])


def _wide(plan: WidePlan) -> Iterator[str]:
    yield f"reader   {_READERS[plan.reader]}" if plan.parts else "reader   none: no key is read"
    ships = shipped(plan)
    for part in plan.parts:
        yield ""
        yield f"{part.name}: {part.plan.shard.scans[0].table}"
        told = replace(part.plan, ships=ships[part.name])
        lines = _point(told) if told.reader == "point" else _part(told)
        yield from ("  " + line if line else "" for line in lines)
    for shared in plan.shared:
        yield ""
        yield f"{' and '.join(shared.parts)} by one scan, where they are wanted together"
        yield from ("  " + line if line else "" for line in list(_shard(shared.plan))[1:])
    tables = {part.name: part.plan.shard.scans[0].table for part in plan.parts}
    for join in plan.joins:
        yield ""
        yield from _join(join, tables)
        for eager in join.eager:
            yield ""
            yield f"else {join.name} once, where {tables[eager.of]} ({eager.of}) ships groups if it is large"
            yield from ("  " + line if line else "" for line in _part(eager.part.plan))
        if join.name != plan.whole:
            yield f"  else     {join.sql}"
    yield ""
    yield "else once, over the parts" if plan.whole else "once, over these"
    if plan.hooks:
        yield f"  hooks    {_hooks(plan.hooks, here=True)}"
    yield f"  sql      {plan.sql}"


def shipped(plan: WidePlan) -> dict[str, str]:
    """What each part ships, in words; of rows also why they travel."""
    whys = _whys(plan)
    taken = {*plan.takes, *(name for join in plan.joins for name in join.takes)}
    return {
        part.name: _ships(part, whys.get(part.name, "")) if part.name in taken else "nothing: it is not read"
        for part in plan.parts
    }


def _whys(plan: WidePlan) -> dict[str, str]:
    """Why the rows of each part travel. What this client reads over the network has come already."""
    if plan.reader == "portable":
        return {}
    if plan.why:
        return {part.name: plan.why for part in plan.parts}
    parts = {part.name: part.rows for part in plan.parts}
    found = [reasons(join.sql, parts, join.why) for join in plan.joins]
    if not plan.whole:
        found.append(reasons(plan.sql, parts))
    return {name: why for of in reversed(found) for name, why in of.items()}


def _ships(part: PartPlan, why: str) -> str:
    ships = part.plan.ships
    if not why or not (ships.startswith(ANSWERS_ROWS) or (part.rows and ships == ANSWER)):
        return ships
    return f"rows{ships.removeprefix(ANSWERS_ROWS).removeprefix(ANSWER)}, because {why}"


def _part(plan: GearsPlan) -> Iterator[str]:
    yield from list(_shard(plan))[1:]
    yield from _end(plan)


def _point(plan: GearsPlan) -> Iterator[str]:
    (scan,) = plan.shard.scans
    keys = keys_of(scan)
    where = "1 key on its shard" if len(keys) == 1 else f"{len(keys)} keys, each on its shard"
    yield f"point read of {where}"
    shown = [key.decode(errors="backslashreplace") for key in keys[:MOST_SHOWN]]
    yield f"  keys     {', '.join(shown + ['…'] * (len(keys) > MOST_SHOWN)) or 'none'}"
    yield from list(_scan(scan))[1:]
    if plan.filter:
        yield f"  filter   {plan.filter}"
    yield f"  sql      {'none: the rows are the answer' if plan.direct is not None else plan.shard.sql}"


def _join(join: JoinPlan, tables: Mapping[str, str]) -> Iterator[str]:
    if join.together:
        small = " and all that is sent to every shard is small" if join.together.sends else ""
        yield f"{join.name}, where its rows lie: those that meet have one hash tag{small}"
        yield _stays("join", join.together, tables)
        yield from ("  " + line if line else "" for line in _part(join.together.plan))
        if join.spreads:
            yield ""
            yield f"else {join.name}, if all that is sent is small: at most {SMALL_ROWS:,} rows each"
    elif join.spreads:
        yield f"{join.name}, if all that is sent to every shard is small: at most {SMALL_ROWS:,} rows each"
    else:
        yield f"{join.name}, once"
    for number, spread in enumerate(join.spreads):
        yield _stays("or" if number else "join", spread, tables)
    if join.spreads:
        yield from ("  " + line if line else "" for line in _part(join.spreads[0].plan))


def _stays(word: str, spread: Spread, tables: Mapping[str, str]) -> str:
    stays = " and ".join(f"{tables[name]} ({name})" for name in spread.stays)
    sent = f", {' and '.join(spread.sends)} sent" if spread.sends else ""
    return f"  {word:<9}{stays} stay{'s' if len(spread.stays) == 1 else ''}{sent}"


def _shard(plan: GearsPlan) -> Iterator[str]:
    yield ""
    if plan.reader == "portable":
        yield f"in this client, over the rows of {_count(plan.shards)}"
    else:
        yield "on the only shard" if plan.shards == 1 else f"on each of {plan.shards} shards"
    for scan in plan.shard.scans:
        yield from _scan(narrowed(scan))
    if plan.filter:
        yield f"  filter   {plan.filter}"
    if called := hooks_in(plan.shard.sql, plan.shard.hooks):
        yield f"  hooks    {_hooks(called, here=plan.reader == 'portable')}"
    yield f"  sql      {plan.shard.sql}"


_ISOLATIONS = {
    "session": "in a session of each server",
    "process": "in a process beside each server",
    "main": "in each server's main interpreter",
}
_HERE = "in a process of this client"


def _hooks(hooks: Hooks, *, here: bool) -> str:
    functions = [known.function for known in hooks]
    return ", ".join(f"{f.name} ({_HERE if here else _ISOLATIONS[f.isolation]})" for f in functions)


def _scan(scan: Scan) -> Iterator[str]:
    kind = "" if scan.type == "hash" else f" (type {scan.type})"
    yield f"  keys     {scan_pattern(scan.keys).decode(errors='backslashreplace')}{kind}"
    yield f"  reads    {', '.join(map(_column, scan.columns)) or 'no column: keys are counted'}"
    if scan.cast != "strict":
        yield "  casts    as DuckDB casts texts"
    if scan.on_error != "error":
        what = {"null": "is read as NULL", "skip": "drops its row"}[scan.on_error]
        yield f"  misfits  a value that does not fit its type {what}"


def _column(column: Column) -> str:
    text = f"{column.name} {column.type}"
    match column.source:
        case KeySource():
            return f"{text} (the key)"
        case PlaceholderSource() | ConstantSource():
            return f"{text} (from the key)"
        case ElementSource():
            return text
        case FieldSource(field) if field != column.name.encode():
            return f"{text} (field {field.decode(errors='backslashreplace')})"
    return text


def _end(plan: GearsPlan) -> Iterator[str]:
    yield ""
    yield f"ships    {plan.ships}"
    yield ""
    if plan.merge is None:
        alone = plan.shards == 1 or plan.reader == "portable"
        yield "once     nothing" + ("" if alone else ": the rows are put together")
        return
    yield "once"
    if plan.merge.hooks:
        yield f"  hooks    {_hooks(plan.merge.hooks, here=True)}"
    yield f"  sql      {_indented(plan.merge.sql)}"


def _indented(sql: str) -> str:
    """The user's own text may have several lines, and what stood before it blanked out."""
    return sql.strip().replace("\n", "\n" + " " * len("  sql      "))


def _count(shards: int) -> str:
    return "one server" if shards == 1 else f"{shards} shards"
