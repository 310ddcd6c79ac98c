"""What runs where, found by planning an example of each.

`python -m tests.docs.where` writes it into docs/sql.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb

from gearsql.catalog.table import Column, FieldSource, Glob, Table
from gearsql.errors import Error
from gearsql.plan.compiled import compile_query
from gearsql.plan.explain import shipped
from gearsql.plan.stages import GearsPlan, WidePlan
from gearsql.sql.bind import Binder
from gearsql.sql.functions import CLOCK, TABLE_FUNCTIONS, VOLATILE, known_functions
from gearsql.sql.parse import parse
from gearsql.sql.statements import Query, WideQuery
from tests.docs.reader import REPOSITORY
from tests.plan.test_exportable import CALLS

PAGE = REPOSITORY / "docs/sql.md"
BEGIN, END = "<!-- python -m tests.docs.where -->\n", "<!-- end -->\n"
MOST = 15  # names in a line
TYPES = {"x": "DOUBLE", "k": "BIGINT", "m": "DECIMAL(9,2)", "g": "VARCHAR", "f": "BOOLEAN"}
COLUMNS = tuple(Column(name, type_, FieldSource(name.encode())) for name, type_ in TYPES.items())
TABLE = Table("t", Glob(b"t:*"), COLUMNS, declared=True)

CLAUSES = {
    "SELECT, expressions": "SELECT x + k FROM t",
    "WHERE": "SELECT x FROM t WHERE f",
    "GROUP BY": "SELECT g, count(*) FROM t GROUP BY g",
    "HAVING": "SELECT g FROM t GROUP BY g HAVING count(*) > 1",
    "aggregates with FILTER": "SELECT sum(x) FILTER (WHERE f) FROM t",
    "aggregates with DISTINCT": "SELECT count(DISTINCT x) FROM t",
    "aggregates with ORDER BY": "SELECT list(x ORDER BY k) FROM t",
    "DISTINCT": "SELECT DISTINCT g FROM t",
    "ORDER BY": "SELECT x FROM t ORDER BY k",
    "ORDER BY … LIMIT": "SELECT x FROM t ORDER BY k LIMIT 3",
    "LIMIT": "SELECT x FROM t LIMIT 3",
    "COLLATE": "SELECT g FROM t ORDER BY g COLLATE NOCASE",
    "DISTINCT ON": "SELECT DISTINCT ON (g) g, x FROM t ORDER BY g, k",
    "LIMIT n%": "SELECT x FROM t LIMIT 10%",
    "windows, QUALIFY": "SELECT x FROM t WHERE f QUALIFY row_number() OVER (ORDER BY k) = 1",
    "ROLLUP, CUBE, GROUPING SETS": "SELECT g, sum(x) FROM t WHERE f GROUP BY ROLLUP (g)",
    "JOIN": "SELECT a.x FROM t a JOIN t b ON a.k = b.k WHERE a.f AND b.f",
    "LEFT JOIN": "SELECT a.x FROM t a LEFT JOIN t b ON a.k = b.k",
    "ASOF JOIN": "SELECT a.x FROM t a ASOF JOIN t b ON a.k >= b.k",
    "WITH, views, subqueries in FROM of rows": "WITH c AS (SELECT x s FROM t WHERE f) SELECT max(s) FROM c",
    "the same of groups, grouped again": "WITH c AS (SELECT sum(x) s FROM t GROUP BY g) SELECT max(s) FROM c",
    "IN, EXISTS, scalar subqueries": "SELECT x FROM t WHERE k > (SELECT avg(k) FROM t)",
    "correlated subqueries": "SELECT x FROM t a WHERE EXISTS (FROM t b WHERE b.k = a.k)",
    "UNION, INTERSECT, EXCEPT": "SELECT g FROM t UNION SELECT g FROM t WHERE f",
    "PIVOT": "FROM (PIVOT t ON g IN ('a', 'b') USING sum(x) GROUP BY f)",
    "samples": "SELECT x FROM t USING SAMPLE 10%",
    "UNPIVOT": "FROM (UNPIVOT t ON x, m INTO NAME n VALUE v)",
    "random(), uuid()": "SELECT x, random() FROM t",
    "now() and its kin": "SELECT x FROM t WHERE now() > '2000-01-01'",
}


def table() -> str:
    """Return the tables, in Markdown."""
    with Binder() as binder:
        lines = [*_clauses(binder), "", *_aggregates(binder), "", *_functions()]
    return "".join(line + "\n" for line in lines)


def _plan(binder: Binder, text: str) -> GearsPlan | WidePlan:
    query = parse(text)
    if isinstance(query, Query):
        return compile_query(binder.bind(query, TABLE), 3, "module").plan
    assert isinstance(query, WideQuery)
    return compile_query(binder.bind_wide(query, {"t": TABLE}), 3, "module").plan


def _clauses(binder: Binder) -> Iterator[str]:
    yield "| clause | runs | the shards ship, in this example |"
    yield "| --- | --- | --- |"
    for clause, text in CLAUSES.items():
        plan = _plan(binder, text)
        if isinstance(plan, GearsPlan):
            yield f"| {clause} | {_place(plan)} | {plan.ships} |"
        else:
            words = "; ".join(dict.fromkeys(shipped(plan).values()))
            yield f"| {clause} | merge, over parts | {words} |"


def _place(plan: GearsPlan) -> str:
    if plan.merge is None:
        return "shard"
    return "merge" if plan.ships.startswith("rows") else "split"


KINDS = {
    "EXPORT_STATE": "DuckDB's state, one for each group",
    " AS times": "the values of each group, and how often each comes",
    " AS x0": "the values of each group",
    "list_sort": "the first n of each group",
}


def _aggregates(binder: Binder) -> Iterator[str]:
    yield "| aggregates | run | the shards ship |"
    yield "| --- | --- | --- |"
    found: dict[tuple[str, str], list[str]] = {}
    calls = {
        name: CALLS.get(name, f"{name}(x)").replace("{one}", "1")
        for name in sorted(known_functions().aggregates)
    }
    calls |= {f"{name}(x, n)": f"{name}(x, 3)" for name in ("max", "min")}
    calls |= {f"{name}(x, y, n)": f"{name}(x, x, 3)" for name in ("arg_max", "arg_min")}
    calls["any of them with DISTINCT"] = "count(DISTINCT x)"
    for name, call in calls.items():
        plan = next(plan for plan in (_tried(binder, text) for text in _typed(call)) if plan)
        found.setdefault(_kind(plan), []).append(name if " " in name and "(" not in name else f"`{name}`")
    for (place, kind), called in sorted(found.items(), key=lambda item: -len(item[1])):
        yield f"| {', '.join(called)} | {place} | {kind} |"


def _typed(call: str) -> Iterator[str]:
    yield from (f"SELECT {call.replace('(x', '(' + column)} FROM t" for column in ("x", "k", "m", "g"))


def _tried(binder: Binder, text: str) -> GearsPlan | None:
    try:
        plan = _plan(binder, text)
    except Error:
        return None
    assert isinstance(plan, GearsPlan)
    return plan


def _kind(plan: GearsPlan) -> tuple[str, str]:
    if plan.ships.startswith("rows"):
        return "merge", "rows"
    assert plan.merge is not None
    text = plan.shard.sql + plan.merge.sql
    kinds = [words for mark, words in KINDS.items() if mark in text]
    return "split", kinds[0] if kinds else "a value for each group"


def _functions() -> Iterator[str]:
    yield "| functions | run |"
    yield "| --- | --- |"
    known = known_functions()
    of_kind: dict[str, set[str]] = {}
    for name, kind in (
        duckdb.connect().sql("SELECT lower(function_name), function_type FROM duckdb_functions()").fetchall()
    ):
        if not name.startswith("__"):
            of_kind.setdefault(kind, set()).add(name)
    scalars = (of_kind["scalar"] | of_kind["macro"]) & known.allowed - known.aggregates
    words = scalars - CLOCK.keys() - VOLATILE
    operators = {name for name in words if not name.isidentifier()}
    what = f"{len(operators)} operators, {len(words - operators)} scalar functions"
    yield f"| {what} | shard; over groups, or in what runs once: merge |"
    yield f"| {_listed(CLOCK)} | once, in the client: they become constants |"
    yield f"| {_listed(VOLATILE)} | merge: where the query runs once |"
    yield f"| windows: {_listed(of_kind['window'])}, and aggregates OVER | merge |"
    yield f"| in FROM: {_listed(TABLE_FUNCTIONS)} | merge |"
    reasons: dict[str, set[str]] = {}
    for name, reason in known.refused.items():
        if not name.startswith("__"):
            reasons.setdefault(reason, set()).add(name)
    for reason, names in sorted(reasons.items()):
        yield f"| {_listed(names)} | refused: {reason} |"


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return ", ".join(f"`{name}`" for name in found[:MOST]) + more


def written(page: str) -> str:
    """Return the page with the tables in their place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
