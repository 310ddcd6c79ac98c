"""Groups that are whole on one shard, since what they are made by fixes the slot: no state has to be merged.

The shards finish them, with HAVING, and cut to LIMIT + OFFSET of them; the merge orders and cuts again.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from gearsql.catalog.placed import HashTag, place_together
from gearsql.plan.projection import split_projection
from gearsql.plan.text import quote, source_of, sql
from gearsql.sql.bound import BoundQuery

WHOLE = "groups, each of them whole on its shard"


def placed_by(tree: exp.Select, bound: BoundQuery) -> HashTag | bool:
    """Tell what keeps a group on one shard: its tag, or (True) its key; False if nothing does."""
    clause = tree.args.get("group")
    keys = [key.unnest() for key in (clause.expressions if clause else [])]
    names = [key.name for key in keys if isinstance(key, exp.Column)]
    # Columns of these names would be taken for what is shipped.
    if not names or bound.hooks or any(name[:1] == "s" and name[1:].isdecimal() for name in bound.reads):
        return False
    order = tree.args.get("order")
    items = {sql(item) for item in tree.expressions}
    if tree.args.get("distinct") and order and any(sql(key.this) not in items for key in order.expressions):
        return False
    return place_together(bound.table, names)


def split_placed(tree: exp.Select, bound: BoundQuery, by: HashTag | bool) -> tuple[str, str | None, str]:
    """Return the SQL of the shards and of the merge, and what is shipped in words."""
    if isinstance(by, HashTag) and by.unless:
        column = quote(by.unless)
        checked = f"SELECT * REPLACE ({tag_of(column)} AS {column}) FROM {source_of(bound)}"
        bound = replace(bound, source=f"({checked})")
    shard, merge = split_projection(tree, source_of(bound))
    cut = ", those of LIMIT and OFFSET" if " LIMIT " in shard else ""
    return shard, merge, WHOLE + cut


def tag_of(column: str) -> str:
    """A text that is the hash tag. One that cannot be ends the stage, by a cast that fails (placed.py)."""
    fails = f"CAST(CAST({column} AS BOOLEAN) AS VARCHAR)"
    return f"CASE WHEN starts_with({column}, '}}') THEN {fails} ELSE {column} END"
