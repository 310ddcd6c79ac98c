"""EXPLAIN gives a reason wherever rows are shipped that are not the answer: a query, and its parts' words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.plan.compiled import compile_query
from gearsql.plan.explain import explain, shipped
from gearsql.plan.stages import GearsPlan, Reader, WidePlan
from gearsql.sql.bind import Binder
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query, WideQuery

TYPES = {"k": "BIGINT", "g": "VARCHAR", "x": "DOUBLE", "f": "BOOLEAN"}
COLUMNS = tuple(Column(name, type_, FieldSource(name.encode())) for name, type_ in TYPES.items())
T = Table("t", Glob(b"t:*"), COLUMNS, declared=True)
MOODS = Column("mood", "ENUM('sad', 'glad')", FieldSource(b"mood"))
TABLES = {"t": T, "u": replace(T, name="u", keys=Glob(b"u:*"))}
TABLES["moods"] = replace(T, name="moods", keys=Glob(b"moods:*"), columns=(*COLUMNS, MOODS))


@pytest.fixture(scope="module")
def binder() -> Iterator[Binder]:
    with Binder() as binder:
        yield binder


def plan(binder: Binder, text: str, shards: int = 3, reader: Reader = "module") -> GearsPlan | WidePlan:
    query = parse(text)
    if isinstance(query, Query):
        return compile_query(binder.bind(query, TABLES[query.table_name or ""]), shards, reader).plan
    assert isinstance(query, WideQuery)
    tables = {source.name: TABLES[source.name] for source in query.sources}
    return compile_query(binder.bind_wide(query, tables, spread=shards > 1), shards, reader).plan


SETS = "GROUPING SETS (ROLLUP, CUBE) count a row in several groups"
BOTH = "needs the rows of both sides in one place"
WHOLE = "needs all rows in one place"
OVER = "the SELECT is over a subquery, not over a table"
ALONE = "their subquery cannot be answered by itself"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT x, row_number() OVER (ORDER BY k) FROM t WHERE f", f"row_number() OVER {WHOLE}"),
        ("SELECT x, sum(x) OVER w FROM t WINDOW w AS (ORDER BY k)", f"sum() OVER {WHOLE}"),
        ("SELECT x FROM t ORDER BY rank() OVER (ORDER BY k)", f"rank() OVER {WHOLE}"),
        ("SELECT x FROM t QUALIFY lag(k) OVER (ORDER BY k) = 1", f"lag() OVER {WHOLE}"),
        ("SELECT lag(k) OVER (ORDER BY k) AS l FROM t QUALIFY l = 1", f"lag() OVER {WHOLE}"),
        ("SELECT g, sum(x) FROM t GROUP BY ROLLUP (g)", SETS),
        ("SELECT g, sum(x) FROM t GROUP BY CUBE (g, k)", SETS),
        ("SELECT sum(x) FROM t GROUP BY ()", "GROUP BY () makes a group without rows, too"),
        ("SELECT grouping(g) FROM t GROUP BY g", "GROUPING() tells groups of several sets apart"),
        ("SELECT DISTINCT ON (g) g, x FROM t ORDER BY k", "DISTINCT ON chooses among all rows of a group"),
        ("SELECT x FROM t LIMIT 10%", "LIMIT n% counts all rows"),
        ("SELECT x FROM t LIMIT 1 + 1", "LIMIT and OFFSET are computed once"),
        ("SELECT x, random() FROM t", "random() gives another answer at each call"),
        ("SELECT x FROM t WHERE uuid() <> uuid()", "uuid() gives another answer at each call"),
        ("SELECT x FROM t ORDER BY random() LIMIT 3", "random() gives another answer at each call"),
        ("SELECT x FROM t TABLESAMPLE 10%", "a sample is drawn of all rows"),
        ("SELECT x FROM t USING SAMPLE 3 ROWS", "a sample is drawn of all rows"),
        ("SELECT unnest([x, k]) FROM t", "unnest() makes several rows of one"),
        ("SELECT COLUMNS('x|k') FROM t", "COLUMNS() is written out once"),
        ("SELECT max(COLUMNS('x|k')) FROM t", "COLUMNS() is written out once"),
        ("SELECT coalesce(*COLUMNS('x|k')) FROM t", "*COLUMNS() is written out once"),
        ("SELECT * RENAME (x AS y) FROM t", "RENAME is written out once"),
        ("SELECT * EXCLUDE (t.x) FROM t", "EXCLUDE of a table's column is written out once"),
        ("SELECT x FROM t ORDER BY #1", "#n names a column by its place"),
        ("SELECT a FROM t AS s(a, b)", "s(…) gives columns other names"),
        ("FROM (PIVOT t ON g IN ('a') USING sum(x) GROUP BY f)", "PIVOT runs once, over all rows"),
        ("FROM (UNPIVOT t ON x, k INTO NAME n VALUE v)", "UNPIVOT runs once, over all rows"),
        ("SELECT t.x FROM t, u", f"JOIN {BOTH}"),
        ("SELECT t.x FROM t JOIN u ON t.k < u.k", f"JOIN {BOTH}"),
        ("SELECT t.x FROM t CROSS JOIN u", f"CROSS JOIN {BOTH}"),
        ("SELECT t.x FROM t FULL JOIN u USING (k)", f"FULL JOIN {BOTH}"),
        ("SELECT count(*) FROM t LEFT JOIN u USING (k)", f"LEFT JOIN {BOTH}"),
        ("SELECT t.x FROM t NATURAL JOIN u", f"NATURAL JOIN {BOTH}"),
        ("SELECT t.x FROM t POSITIONAL JOIN u", f"POSITIONAL JOIN {BOTH}"),
        ("SELECT t.x FROM t ASOF JOIN u ON t.k >= u.k", f"ASOF JOIN {BOTH}"),
        ("SELECT x, i FROM t, range(3) r(i)", f"JOIN {BOTH}"),
        ("SELECT mode(t.x ORDER BY t.x) FROM t JOIN u USING (k)", "mode wants its rows in an order"),
        ("SELECT t.g, rank() OVER (ORDER BY t.x) FROM t JOIN u USING (k)", f"rank() OVER {WHOLE}"),
        ("SELECT max(x) FROM (SELECT x, g FROM t WHERE f LIMIT 3)", OVER),
        ("SELECT x FROM (SELECT DISTINCT x, g FROM t) ORDER BY g LIMIT 2", OVER),
        ("WITH c AS (SELECT x, g FROM t) SELECT max(x) FROM c WHERE g > (SELECT min(g) FROM c)",
            "c is read where the query runs once"),
        ("WITH c AS (SELECT 1) SELECT max(x) FROM t", "WITH stands before the SELECT"),
        ("WITH RECURSIVE c(n) AS (SELECT k FROM t UNION SELECT n + 1 FROM c WHERE n < 5) FROM c",
         "c reads its own rows again and again"),
        ("SELECT g FROM t UNION ALL SELECT g FROM u", "UNION ALL puts rows of several queries together"),
        ("SELECT g FROM t UNION BY NAME SELECT g FROM u",
         "UNION BY NAME puts rows of several queries together"),
        ("SELECT g FROM t EXCEPT SELECT g FROM u", "EXCEPT puts rows of several queries together"),
        ("SELECT x FROM t WHERE k IN (SELECT k FROM u)", "a subquery in WHERE is wanted whole"),
        ("SELECT x IN (SELECT x FROM u) FROM t", "a subquery in SELECT is wanted whole"),
        ("SELECT g FROM t GROUP BY g HAVING max(x) > (SELECT 3)", "a subquery in HAVING is wanted whole"),
        ("SELECT t.x FROM t, LATERAL (SELECT u.k FROM u WHERE u.k = t.k)", f"JOIN {BOTH}; {ALONE}"),
        ("SELECT x FROM t WHERE EXISTS (FROM u WHERE u.k = t.k)",
         f"a subquery in WHERE is wanted whole; {ALONE}"),
    ],
)  # fmt: skip
def test_what_keeps_a_query_off_the_shards(binder: Binder, text: str, why: str) -> None:
    made = plan(binder, text)
    assert isinstance(made, WidePlan)
    said = shipped(made)
    assert {words.partition(", because ")[2] for words in said.values()} == set(why.split("; "))
    assert all(words.startswith("rows") and f"ships    {words}" in explain(made) for words in said.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT x FROM t WHERE f", "the answer's rows"),
        ("SELECT x FROM t ORDER BY k", "the answer's rows, all of them: no LIMIT bounds ORDER BY"),
        ("SELECT x FROM t ORDER BY k LIMIT 3", "the answer's rows, those of LIMIT and OFFSET"),
        ("SELECT x FROM t ORDER BY k LIMIT NULL", "the answer's rows, all of them: LIMIT is no number"),
        ("SELECT DISTINCT g FROM t", "the answer's rows, each once from a shard"),
        ("SELECT DISTINCT k + 1 FROM t", "the answer's rows, each once from a shard"),
        ("SELECT sum(DISTINCT k + 1) FROM t", 'the distinct values of ("k" + 1)'),
        ("SELECT mode(x ORDER BY k) FROM t", "rows, because mode wants its rows in an order"),
        ("SELECT lttb(x, x, 3) FROM t", "rows, because lttb has no partial state"),
        ("SELECT max(x, k) FROM t", "rows, because MAX(\"x\", \"k\") reads from the rows how many it gives"),
        ("SELECT g FROM t ORDER BY g COLLATE NOCASE",
         "rows, because a collation does not travel with its values"),
    ],
)  # fmt: skip
def test_what_a_block_ships(binder: Binder, text: str, words: str) -> None:
    made = plan(binder, text)
    assert isinstance(made, GearsPlan) and made.ships == words


def test_what_a_part_cuts_or_groups_is_told_beside_the_reason(binder: Binder) -> None:
    made = plan(binder, "SELECT g FROM (SELECT g FROM t LIMIT 3) UNION SELECT DISTINCT g FROM u")
    assert isinstance(made, WidePlan)
    assert list(shipped(made).values()) == [
        f"rows, those of LIMIT and OFFSET, because {OVER}",
        "rows, each once from a shard, because UNION puts rows of several queries together",
    ]
    text = "SELECT * FROM (SELECT g, sum(x) FROM t GROUP BY g) JOIN (SELECT max(g) g FROM u) USING (g)"
    made = plan(binder, text)
    assert isinstance(made, WidePlan)
    assert list(shipped(made).values()) == [
        "partial states, one row for each group",
        "partial states, one row from each shard",
    ]


def test_what_the_query_does_not_read_is_not_shipped(binder: Binder) -> None:
    made = plan(binder, "WITH c AS (SELECT g FROM u) SELECT max(x) FROM t")
    assert isinstance(made, WidePlan)
    assert "nothing: it is not read" in shipped(made).values()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT x, random() FROM t", "random() gives another answer at each call"),
        ("SELECT x FROM t TABLESAMPLE 10%", "a sample is drawn of all rows"),
        ("SELECT mood FROM moods JOIN t USING (k)", "an ENUM does not travel in a query's answer"),
    ],
)
def test_on_one_shard_few_queries_ship_rows(binder: Binder, text: str, why: str) -> None:
    made = plan(binder, text, shards=1)
    assert isinstance(made, WidePlan)
    assert set(shipped(made).values()) == {f"rows, because {why}"}


def test_the_portable_reader_ships_nothing_twice(binder: Binder) -> None:
    made = plan(binder, "SELECT t.x FROM t JOIN u USING (k)", reader="portable")
    assert isinstance(made, WidePlan)
    assert set(shipped(made).values()) == {"the answer"}
