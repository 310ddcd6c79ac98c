"""What travels: rows only where nothing less will do."""

from __future__ import annotations

from typing import Any

import pytest

from gearsql.plan.split import split
from gearsql.plan.stages import MergeStage


def test_one_shard_runs_the_whole_query(play: Any) -> None:
    plan = play.plan("SELECT g, mode(a) FROM t AS u GROUP BY g ORDER BY 2 LIMIT 3", shards=1)
    assert plan.merge is None
    assert plan.ships == "the answer"
    assert plan.shard.sql == ('SELECT "g", MODE("a") FROM scan_0 GROUP BY "g" ORDER BY MODE("a") LIMIT 3')


def test_portable_reader_runs_the_whole_query_over_all_shards(play: Any) -> None:
    plan = split(play.bound("SELECT mode(a) FROM t"), 3, "portable")
    assert (plan.reader, plan.merge, plan.ships) == ("portable", None, "the answer")


def test_only_columns_that_are_read_are_scanned(play: Any) -> None:
    (scan,) = play.plan("SELECT sum(a) FROM t WHERE f GROUP BY _key").shard.scans
    assert [column.name for column in scan.columns] == ["a", "f", "_key"]
    assert play.plan("SELECT count(*) FROM t").shard.scans[0].columns == ()


def test_limit_and_offset_are_added_up_on_every_shard(play: Any) -> None:
    plan = play.plan("SELECT s FROM t WHERE f ORDER BY a DESC NULLS FIRST, id LIMIT 3 OFFSET 4")
    assert plan.shard.sql == (
        'SELECT "s" AS s0, "a" AS s1, "id" AS s2 FROM scan_0 WHERE "f" '
        "ORDER BY 2 DESC NULLS FIRST, 3 LIMIT 3 + 4"
    )
    assert plan.merge == MergeStage(
        "shipped", "SELECT s0 FROM shipped ORDER BY s1 DESC NULLS FIRST, s2 LIMIT 3 OFFSET 4"
    )


def test_limit_without_order_is_cut_on_every_shard(play: Any) -> None:
    assert play.plan("SELECT id FROM t LIMIT 3").shard.sql == 'SELECT "id" AS s0 FROM scan_0 LIMIT 3'


def test_order_without_limit_is_left_to_the_merge(play: Any) -> None:
    assert play.plan("SELECT id FROM t ORDER BY id").shard.sql == 'SELECT "id" AS s0 FROM scan_0'


def test_limit_stays_above_aggregation(play: Any) -> None:
    plan = play.plan("SELECT g, count(*) FROM t GROUP BY g ORDER BY 2 LIMIT 1")
    assert plan.shard.sql == 'SELECT "g" AS g0, COUNT(*) AS s0 FROM scan_0 GROUP BY 1'
    assert plan.merge.sql.endswith("LIMIT 1")


def test_the_same_aggregate_is_computed_once(play: Any) -> None:
    plan = play.plan("SELECT g, sum(a), sum(a) / 2 FROM t GROUP BY g HAVING sum(a) > 1 ORDER BY sum(a)")
    assert plan.shard.sql == 'SELECT "g" AS g0, SUM("a") AS s0 FROM scan_0 GROUP BY 1'


def test_plain_values_need_no_typed_relation(play: Any) -> None:
    assert not play.plan("SELECT count(*), sum(a), min(s), bool_or(f) FROM t").merge.states
    assert play.plan("SELECT avg(a) FROM t").merge.states


def test_one_distinct_argument_ships_pairs(play: Any) -> None:
    plan = play.plan("SELECT g, count(DISTINCT a), avg(x) FROM t GROUP BY g")
    assert plan.shard.sql == (
        'SELECT "g" AS g0, "a" AS x0, AVG("x") EXPORT_STATE AS s0 FROM scan_0 GROUP BY 1, 2'
    )


def test_several_distinct_arguments_ship_grouping_sets(play: Any) -> None:
    plan = play.plan("SELECT g, count(DISTINCT a), count(DISTINCT h), count(*) FROM t GROUP BY g")
    assert plan.shard.sql.endswith(" GROUP BY GROUPING SETS ((1, 2), (1, 3), (1))")


def test_large_states_travel_apart_from_distinct_values(play: Any) -> None:
    plan = play.plan("SELECT count(DISTINCT a), approx_count_distinct(s) FROM t")
    assert plan.shard.sql.endswith(" GROUP BY GROUPING SETS ((1), ())")


def test_values_that_tell_rows_apart_are_not_grouped(play: Any) -> None:
    plan = play.plan("SELECT g, count(DISTINCT _key) FROM t GROUP BY g")
    assert plan.shard.sql == 'SELECT "g" AS g0, "_key" AS x0 FROM scan_0'
    assert plan.ships == 'the values of "_key" in each group'
    counted = play.plan("SELECT count(DISTINCT _key), count(*) FROM t")
    assert counted.shard.sql == 'SELECT "_key" AS x0, COUNT(*) AS s0 FROM scan_0 GROUP BY 1'


def test_values_that_are_counted_travel_once_with_their_number(play: Any) -> None:
    plan = play.plan("SELECT g, mode(a), count(DISTINCT a) FROM t GROUP BY g")
    assert plan.shard.sql == 'SELECT "g" AS g0, "a" AS x0, COUNT(*) AS times FROM scan_0 GROUP BY 1, 2'
    assert plan.ships == 'the distinct values of "a" in each group, and how often each comes'


def test_the_first_n_of_each_shard_travel(play: Any) -> None:
    plan = play.plan("SELECT arg_max(s, a, 2) FILTER (f) FROM t")
    assert plan.shard.sql == (
        'SELECT arg_max(struct_pack(y := "a", x := "s"), "a", 2) FILTER (WHERE ("s") IS NOT NULL AND ("f"))'
        " AS s0 FROM scan_0"
    )


def test_a_filter_of_several_distinct_values_is_one_of_them(play: Any) -> None:
    plan = play.plan("SELECT arg_max(DISTINCT a, b) FILTER (f) FROM t")
    assert plan.shard.sql == ('SELECT "a" AS x0, "b" AS x1, ("f") IS TRUE AS x2 FROM scan_0 GROUP BY 1, 2, 3')


def test_macros_are_written_out(play: Any) -> None:
    plan = play.plan("SELECT geomean(a) FROM t")
    assert plan.shard.sql == 'SELECT AVG(ln("a")) EXPORT_STATE AS s0 FROM scan_0'
    assert plan.columns[0].name == "geomean(a)"


def test_distinct_changes_nothing_for_a_minimum(play: Any) -> None:
    assert play.plan("SELECT min(DISTINCT a) FROM t").shard.sql == 'SELECT MIN("a") AS s0 FROM scan_0'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT lttb(x, a, 3) FROM t", "lttb has no partial state"),
        ("SELECT mode(a ORDER BY id) FROM t", "mode wants its rows in an order"),
        ("SELECT arg_max(a, h, 2 ORDER BY id) FROM t", "arg_max wants its rows in an order"),
        ("SELECT max(a, b) FROM t WHERE b > 0", "reads from the rows how many it gives"),
        ("SELECT string_agg(DISTINCT 'a', 'b') FROM t", "is distinct over constants"),
        ("SELECT 1 FROM t HAVING true", "HAVING stands without an aggregate"),
        ("SELECT DISTINCT g FROM t ORDER BY a", "is neither grouped by nor aggregated"),
        ("SELECT g FROM t ORDER BY g COLLATE NOCASE", "a collation does not travel with its values"),
        ("SELECT list(a ORDER BY g::ENUM('a')) FROM t", "a state ordered by an ENUM does not travel"),
    ],
)
def test_rows_travel(play: Any, query: str, reason: str) -> None:
    plan = play.plan(query)
    assert plan.ships.startswith("rows, because ")
    assert plan.ships.endswith(reason)
    assert plan.merge == MergeStage("t", play.bound(query).text)


def test_rows_travel_filtered_and_without_needless_columns(play: Any) -> None:
    plan = play.plan("SELECT lttb(a, id, 3) FROM t WHERE h > 0")
    assert plan.shard.sql == 'SELECT "h", "a", "id" FROM scan_0 WHERE ("h" > 0)'


def test_rows_without_columns_are_counted_all_the_same(play: Any) -> None:
    assert play.plan("SELECT 1 FROM t HAVING true").shard.sql == "SELECT true AS counted FROM scan_0"
