"""What EXPLAIN says, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gearsql.catalog.table import KeyTemplate, PlaceholderSource
from gearsql.plan.explain import explain
from gearsql.plan.split import split

GROUPED = """\
reader   the module, in each server

on each of 3 shards
  keys     t:*
  reads    g VARCHAR, a BIGINT, x DOUBLE
  filter   "a" > 1
  sql      SELECT "g" AS g0, AVG("x") EXPORT_STATE AS s0 FROM scan_0 WHERE ("a" > 1) GROUP BY 1

ships    partial states, one row for each group

once
  sql      SELECT g0, FINALIZE(COMBINE_AGGR(s0)) FROM shipped GROUP BY g0"""
ONE_SHARD = """\
reader   the module, in each server

on the only shard
  keys     t:*
  reads    no column: keys are counted
  sql      SELECT COUNT(*) FROM scan_0

ships    the answer

once     nothing"""
PORTABLE = """\
reader   portable: this client reads the hashes over the network, which is slower

in this client, over the rows of 3 shards
  keys     t:*
  reads    f BOOLEAN
  filter   "f"
  sql      SELECT COUNT(*) FROM scan_0 WHERE "f"

ships    the answer

once     nothing"""
ROWS = """\
reader   the module, in each server

on each of 3 shards
  keys     t:*
  reads    a BIGINT
  sql      SELECT "a" FROM scan_0

ships    rows, because mode wants its rows in an order

once
  sql      SELECT mode(a ORDER BY a) FROM t"""
TEMPLATE = """\
reader   the module, in each server

on each of 2 shards
  keys     t:*:*
  reads    g VARCHAR (from the key), a BIGINT, _key VARCHAR (the key)
  misfits  a value that does not fit its type drops its row
  sql      SELECT "g" AS s0, "a" AS s1, "_key" AS s2 FROM scan_0

ships    the answer's rows

once     nothing: the rows are put together"""


def test_groups(play: Any) -> None:
    assert explain(play.plan("SELECT g, avg(x) FROM t WHERE a > 1 GROUP BY g")) == GROUPED


def test_one_shard(play: Any) -> None:
    assert explain(play.plan("SELECT count(*) FROM t", shards=1)) == ONE_SHARD


def test_the_portable_reader_says_that_it_is_slower(play: Any) -> None:
    assert explain(split(play.bound("SELECT count(*) FROM t WHERE f"), 3, "portable")) == PORTABLE


def test_rows_travel_for_a_reason(play: Any) -> None:
    assert explain(play.plan("SELECT mode(a ORDER BY a) FROM t")) == ROWS


def test_placeholders_and_misfits(play: Any) -> None:
    bound = play.bound("SELECT g, a, _key FROM t")
    columns = [replace(c, source=PlaceholderSource(0)) if c.name == "g" else c for c in bound.table.columns]
    keys = KeyTemplate((b"t:", b":", b""), ("g", "id"))
    table = replace(bound.table, columns=tuple(columns), keys=keys, on_error="skip")
    assert explain(split(replace(bound, table=table), 2, "module")) == TEMPLATE
