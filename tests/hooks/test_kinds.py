"""Every kind of function in every isolation, with NULLs, options, and faults of results; in SQL, rows out."""

from __future__ import annotations

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.errors import HookError, ProgrammingError
from tests.hooks.scene import ROWS, define, notes, rows, value

ISOLATIONS = ("session", "process", "main")
isolations = pytest.mark.parametrize("isolation", ISOLATIONS)

N = sum(range(ROWS))
WITHOUT_S = sum(1 for i in range(ROWS) if i % 5 == 3)

SEEN = """
class seen:
    def __init__(self):
        self.values, self.nulls = 0, 0

    def accumulate(self, text):
        if text is None:
            self.nulls += 1
        else:
            self.values += 1

    def merge(self, other):
        self.values += other.values
        self.nulls += other.nulls

    def finish(self):
        return f'{self.values} and {self.nulls}'
"""


# ---- scalar --------------------------------------------------------------------------------------------


@isolations
def test_a_scalar_function_is_not_called_for_nulls(connection: Connection, isolation: str) -> None:
    define(connection, "loud(s VARCHAR) RETURNS VARCHAR", "return s.upper()", f"ISOLATION {isolation}")
    sql = "SELECT loud(s), count(*) FROM t WHERE k = 0 GROUP BY s"
    assert dict(rows(connection, sql)) == {
        (upper.upper() if upper else None): n
        for upper, n in rows(connection, "SELECT s, count(*) FROM t WHERE k = 0 GROUP BY s")
    }


@isolations
def test_called_on_null_input_is_called_for_nulls(connection: Connection, isolation: str) -> None:
    source = "return f'{s} {x}' if s is None or x is None else None"
    define(
        connection,
        "told(s VARCHAR, x DOUBLE) RETURNS VARCHAR",
        source,
        f"CALLED ON NULL INPUT ISOLATION {isolation}",
    )
    sql = "SELECT count(told(s, x)), count(*) FILTER (WHERE told(s, x) = 'None None') FROM t"
    assert rows(connection, sql) == rows(
        connection,
        "SELECT count(*) FILTER (WHERE s IS NULL OR x IS NULL), "
        "count(*) FILTER (WHERE s IS NULL AND x IS NULL) FROM t",
    )


@isolations
def test_on_error_null_counts_the_rows_in_a_note(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "inverse(n BIGINT) RETURNS DOUBLE",
        "return 1 / (n % 7)",
        f"ON ERROR NULL ISOLATION {isolation}",
    )
    cursor = connection.execute("SELECT count(inverse(n)), count(*) FROM t")
    failing = len(range(0, ROWS, 7))
    assert cursor.fetchall() == [(ROWS - failing, ROWS)]
    assert notes(cursor) == [f"a function failed for {failing} rows: NULL, as its ON ERROR NULL says"]
    define(connection, "inverse(n BIGINT) RETURNS DOUBLE", "return 1 / (n % 7)", f"ISOLATION {isolation}")
    with pytest.raises(HookError, match="ZeroDivisionError"):
        connection.execute("SELECT count(inverse(n)) FROM t")


@isolations
def test_a_volatile_function_is_called_for_each_row(connection: Connection, isolation: str) -> None:
    source = "import itertools\nticks = itertools.count()\ndef tick():\n    return next(ticks)"
    define(connection, "tick() RETURNS BIGINT", source, f"VOLATILE ISOLATION {isolation}")
    assert len(set(rows(connection, "SELECT tick() FROM t"))) == ROWS


# ---- vectorised ----------------------------------------------------------------------------------------


@isolations
def test_a_vectorised_function_gets_lists_without_nulls(connection: Connection, isolation: str) -> None:
    source = (
        "assert type(s) is type(x) is list and len(s) == len(x) <= 2048\n"
        "assert None not in s and None not in x\n"
        "return [f'{a} {b}' for a, b in zip(s, x)]"
    )
    define(
        connection, "joined(s VARCHAR, x DOUBLE) RETURNS VARCHAR", source, f"VECTORISED ISOLATION {isolation}"
    )
    sql = "SELECT n, joined(s, x) IS NOT DISTINCT FROM s || ' ' || x FROM t"
    assert sorted(rows(connection, sql)) == [(n, True) for n in range(ROWS)]


@isolations
def test_a_vectorised_function_may_want_nulls(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "missing(s VARCHAR) RETURNS BOOLEAN",
        "return [text is None for text in s]",
        f"VECTORISED CALLED ON NULL INPUT ISOLATION {isolation}",
    )
    assert value(connection, "SELECT count(*) FROM t WHERE missing(s)") == WITHOUT_S


@isolations
def test_a_vectorised_function_returns_a_value_for_each_row(connection: Connection, isolation: str) -> None:
    options = f"VECTORISED ISOLATION {isolation}"
    for source, said in (
        ("return n[1:]", r"ValueError: few returned \d+ values for \d+ rows"),
        ("return 7", "TypeError: few returned int, and vectorised it returns a value for each row"),
        ("return ['x'] * len(n)", "TypeError"),
    ):
        define(connection, "few(n BIGINT) RETURNS BIGINT", source, options)
        with pytest.raises(HookError, match=said):
            connection.execute("SELECT few(n) FROM t")


@isolations
def test_vectorised_on_error_null_spoils_only_its_row(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "inverse(n BIGINT) RETURNS DOUBLE",
        "return [1 / (x % 7) for x in n]",
        f"VECTORISED ON ERROR NULL ISOLATION {isolation}",
    )
    cursor = connection.execute("SELECT count(inverse(n)) FROM t")
    failing = len(range(0, ROWS, 7))
    assert cursor.fetchall() == [(ROWS - failing,)]
    assert notes(cursor) == [f"a function failed for {failing} rows: NULL, as its ON ERROR NULL says"]


@pytest.mark.parametrize("isolation", ["process", "main"])
def test_numpy_computes_on_whole_columns(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "norm(x DOUBLE, n BIGINT) RETURNS DOUBLE",
        "import numpy\n"
        "def norm(x, n):\n"
        "    assert type(x) is type(n) is numpy.ndarray\n"
        "    assert (x.dtype, n.dtype) == (numpy.float64, numpy.int64)\n"
        "    return numpy.hypot(x, n)",
        f"VECTORISED USING numpy ISOLATION {isolation} REQUIRES ('numpy')",
    )
    sql = (
        "SELECT count(*), count(norm(x, n)) FROM t WHERE x IS NULL OR abs(norm(x, n) - sqrt(x*x+n*n)) < 1e-9"
    )
    assert rows(connection, sql) == [(ROWS, sum(1 for i in range(ROWS) if i % 6 != 1))]


@pytest.mark.parametrize("isolation", ["process", "main"])
def test_numpy_gets_masks_where_nulls_are_wanted(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "filled(x DOUBLE) RETURNS DOUBLE",
        "import numpy\nreturn numpy.ma.filled(x, -1.0)",
        f"VECTORISED USING numpy CALLED ON NULL INPUT ISOLATION {isolation}",
    )
    assert value(connection, "SELECT count(*) FROM t WHERE filled(x) = -1") == len(range(1, ROWS, 6))


@pytest.mark.parametrize("isolation", ["process", "main"])
def test_arrow_computes_on_whole_columns(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "titled(s VARCHAR) RETURNS VARCHAR",
        "import pyarrow.compute as pc\nreturn pc.utf8_title(s)",
        f"VECTORISED USING arrow ISOLATION {isolation} REQUIRES ('pyarrow')",
    )
    sql = "SELECT count(*), count(titled(s)) FROM t WHERE titled(s) IS NOT DISTINCT FROM replace(s, 'w', 'W')"
    assert rows(connection, sql) == [(ROWS, ROWS - WITHOUT_S)]


# ---- aggregates ----------------------------------------------------------------------------------------


@isolations
def test_an_aggregate_leaves_nulls_out_or_not(connection: Connection, isolation: str) -> None:
    options = f"ISOLATION {isolation}"
    define(connection, "seen(text VARCHAR) RETURNS VARCHAR", SEEN, options, aggregate=True)
    assert value(connection, "SELECT seen(s) FROM t") == f"{ROWS - WITHOUT_S} and 0"
    define(
        connection,
        "seen(text VARCHAR) RETURNS VARCHAR",
        SEEN,
        f"CALLED ON NULL INPUT {options}",
        aggregate=True,
    )
    assert value(connection, "SELECT seen(s) FROM t") == f"{ROWS - WITHOUT_S} and {WITHOUT_S}"


@isolations
def test_an_aggregate_takes_distinct_filter_and_no_rows(connection: Connection, isolation: str) -> None:
    define(connection, "seen(text VARCHAR) RETURNS VARCHAR", SEEN, f"ISOLATION {isolation}", aggregate=True)
    ((distinct, few, none),) = rows(
        connection,
        "SELECT seen(DISTINCT s), seen(s) FILTER (WHERE n < 2), seen(s) FILTER (WHERE n < 0) FROM t",
    )
    assert (distinct, few, none) == ("11 and 0", "2 and 0", "0 and 0")
    assert rows(connection, "SELECT k, seen(s) FROM t WHERE n < 0 GROUP BY k") == []
    assert value(connection, "SELECT seen(s) FROM t WHERE n < 0") == "0 and 0"


@isolations
def test_a_state_that_cannot_travel_is_named(trio_connection: Connection, isolation: str) -> None:
    source = SEEN.replace("self.values, self.nulls = 0, 0", "self.values, self.nulls = 0, 0; self.f = print")
    define(
        trio_connection,
        "seen(text VARCHAR) RETURNS VARCHAR",
        source,
        f"ISOLATION {isolation}",
        aggregate=True,
    )
    with pytest.raises(HookError, match="an aggregate's state travels as plain values") as raised:
        trio_connection.execute("SELECT k, seen(s) FROM t GROUP BY k")
    assert "f" in raised.value.message and raised.value.shard is not None


# ---- table functions -----------------------------------------------------------------------------------


@isolations
def test_a_table_function_gives_rows_in_from(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "steps(n BIGINT, s VARCHAR) RETURNS TABLE (place INTEGER, text VARCHAR)",
        "for place in range(n % 4):\n    yield place, s[place]",
        f"ISOLATION {isolation}",
    )
    answer = rows(connection, "SELECT n, place, text FROM t, steps(n, s) WHERE n < 40")
    native = [(n, place, f"word {n % 11}"[place]) for n in range(40) if n % 5 != 3 for place in range(n % 4)]
    assert sorted(answer) == native
    assert value(
        connection, "SELECT count(*) FROM t LEFT JOIN LATERAL steps(n, s) AS l(p, q) ON true"
    ) == sum(max(1, n % 4 if n % 5 != 3 else 0) for n in range(ROWS))


@isolations
def test_a_table_function_on_error_null_gives_no_rows(connection: Connection, isolation: str) -> None:
    define(
        connection,
        "inverse(n BIGINT) RETURNS TABLE (v DOUBLE)",
        "yield 1 / (n % 7)\nyield 0",
        f"ON ERROR NULL ISOLATION {isolation}",
    )
    cursor = connection.execute("SELECT count(*) FROM t, inverse(n)")
    failing = len(range(0, ROWS, 7))
    assert cursor.fetchall() == [(2 * (ROWS - failing),)]
    assert str(failing) in notes(cursor)[0]


# ---- where a kind does not belong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM t, plus(n)", "gives no rows"),
        ("SELECT steps(n) FROM t", "gives rows: it stands in FROM"),
        ("SELECT plus(DISTINCT n) FROM t", "is no aggregate"),
        ("SELECT plus(n, n) FROM t", "plus"),
        ("SELECT plus(s) FROM t", "plus"),
        ("SELECT n FROM t WHERE total(n) > 1", "total"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(connection: Connection, sql: str, said: str) -> None:
    define(connection, "plus(n BIGINT) RETURNS BIGINT", "return n + 1")
    define(connection, "steps(n BIGINT) RETURNS TABLE (v BIGINT)", "yield n")
    define(connection, "total(n BIGINT) RETURNS VARCHAR", SEEN.replace("seen", "total"), aggregate=True)
    with pytest.raises((ProgrammingError, gearsql.NotSupportedError), match=said):
        connection.execute(sql)


def test_aggregates_and_table_functions_stand_in_joins(connection: gearsql.Connection) -> None:
    define(
        connection,
        "longest(s VARCHAR) RETURNS VARCHAR",
        "class longest:\n"
        "    def __init__(self): self.best = ''\n"
        "    def accumulate(self, s): self.best = max(self.best, s, key=lambda s: (len(s), s))\n"
        "    def merge(self, other): self.accumulate(other.best)\n"
        "    def finish(self): return self.best",
        aggregate=True,
    )
    define(
        connection,
        "ways(n BIGINT) RETURNS TABLE (way BIGINT, name VARCHAR)",
        "return [(n, 'same'), (n + 1, 'next')]",
    )
    joined = "SELECT a.k, longest(b.s) FROM t a JOIN t b ON a.k = b.n GROUP BY a.k ORDER BY a.k"
    words = [(k, f"word {k}" if k != 3 else "") for k in range(7)]  # s is NULL where n is 3
    assert rows(connection, joined) == words
    ways = "SELECT t.n, w.name, u.k FROM t, ways(t.n) w JOIN t u ON u.n = w.way WHERE t.n < 2 ORDER BY ALL"
    assert rows(connection, ways) == [(0, "next", 1), (0, "same", 0), (1, "next", 2), (1, "same", 1)]
    views = "WITH w AS (SELECT way FROM t, ways(n) w WHERE n < 3) SELECT count(*), max(way) FROM w"
    assert rows(connection, views) == [(6, 3)]
