"""Users' functions in the merge's DuckDB: values both ways, errors, NULLs, Ctrl-C, redefinition, threads."""

from __future__ import annotations

import datetime
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import pytest

from gearsql.catalog.function import Function, Known
from gearsql.errors import CancelledError, DataError, HookDiedError, HookError
from gearsql.merge import hooks
from gearsql.merge.database import open_database
from gearsql.merge.hooks import Calling, HookRunner

UTC = datetime.UTC
# type → SQL, what the function sees
VALUES = {
    "BOOLEAN": ("true", True),
    "TINYINT": ("-128", -128),
    "SMALLINT": ("32767", 32767),
    "INTEGER": ("-2147483648", -(2**31)),
    "BIGINT": ("9223372036854775807", 2**63 - 1),
    "HUGEINT": ("'-170141183460469231731687303715884105728'", -(2**127)),
    "UTINYINT": ("255", 255),
    "USMALLINT": ("65535", 65535),
    "UINTEGER": ("4294967295", 2**32 - 1),
    "UBIGINT": ("18446744073709551615", 2**64 - 1),
    "FLOAT": ("1.5", 1.5),
    "DOUBLE": ("'-inf'", float("-inf")),
    "DECIMAL(4,2)": ("-12.34", Decimal("-12.34")),
    "DECIMAL(38,37)": (f"1.{'0' * 36}1", Decimal(f"1.{'0' * 36}1")),
    "VARCHAR": ("'日本 ' || chr(0) || 'ß'", "日本 \0ß"),
    "BLOB": ("'\\x00\\xFFa'::BLOB", b"\x00\xffa"),
    "DATE": ("'2024-02-29'", datetime.date(2024, 2, 29)),
    "TIME": ("'23:59:59.999999'", datetime.time(23, 59, 59, 999999)),
    "TIMESTAMP": ("'1969-12-31 23:59:59.000001'", datetime.datetime(1969, 12, 31, 23, 59, 59, 1)),
    "TIMESTAMP WITH TIME ZONE": ("'2024-01-01 10:00+02'", datetime.datetime(2024, 1, 1, 8, tzinfo=UTC)),
    "INTERVAL": ("INTERVAL '-3 days 5 s 7 us'", datetime.timedelta(days=-3, seconds=5, microseconds=7)),
    "UUID": ("'00000000-0000-0000-0000-0000000000ff'", UUID(int=255)),
    "BIGINT[]": ("[1, NULL, 3]", [1, None, 3]),
    "HUGEINT[][]": ("[[1, NULL], NULL, []]", [[1, None], None, []]),
    'STRUCT("a b" BIGINT, "u" UUID)': ("{'a b': 1, 'u': NULL}", {"a b": 1, "u": None}),
    'STRUCT("h" HUGEINT, "l" STRUCT("i" INTERVAL)[])[]': (
        "[{'h': 5, 'l': [{'i': INTERVAL 1 DAY}, NULL]}, NULL]",
        [{"h": 5, "l": [{"i": datetime.timedelta(days=1)}, None]}, None],
    ),
}  # fmt: skip


class Fake:
    """A sandbox: functions are what the test says, by name."""

    def __init__(self, **bodies: Any) -> None:
        self.nulls = 0
        self.bodies = bodies
        self.functions: list[Function] = []
        self.begun: list[str] = []
        self.busy = 0
        self.closed = threading.Event()

    def begin(self, functions: Sequence[Function], query: str) -> None:
        """Keep the names."""
        self.functions = list(functions)
        self.begun.append(query)
        self.nulls = 0
        self.closed.clear()

    def call(self, index: int, columns: Sequence[list[Any]], rows: int) -> list[Any]:
        """Call the test's function, and see that nobody else is here."""
        assert self.busy == 0
        self.busy += 1
        try:
            found: list[Any] = self.bodies[self.functions[index].name](*columns)
            return found
        finally:
            self.busy -= 1

    def whole(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Aggregate."""
        return self.call(index, [column], rows)

    def merge(self, index: int, column: list[Any], rows: int) -> list[Any]:
        """Merge."""
        return self.call(index, [column], rows)

    def close(self) -> None:
        """End a call that waits."""
        self.closed.set()


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_database() as database:
        yield database


def known(name: str, returns: str = "BIGINT", **parameters: str) -> Known:
    return Known(Function(name, "scalar", tuple(parameters.items()), returns, ""), "gears_hook_x")


@pytest.mark.parametrize("type_", VALUES)
def test_values_of_all_types_come_and_go(database: duckdb.DuckDBPyConnection, type_: str) -> None:
    text, value = VALUES[type_]
    seen: list[Any] = []

    def same(column: list[Any]) -> list[Any]:
        seen.extend(column)
        return column

    runner = HookRunner(database, lambda: Fake(same=same))
    with runner.running((known("same", type_, x=type_),), Calling("q")), database.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE v AS SELECT unnest([({text})::{type_}, NULL, ({text})::{type_}]) AS x"
        )
        answer = cursor.sql("SELECT same(x) AS y, x IS NOT DISTINCT FROM y FROM v")
        assert answer.types[0] == cursor.sql("SELECT x FROM v").types[0]
        assert [row[1] for row in answer.fetchall()] == [True] * 3
    assert seen == [value, None, value]
    assert type(seen[0]) is type(value)


def test_an_interval_with_months_is_no_timedelta(database: duckdb.DuckDBPyConnection) -> None:
    runner = HookRunner(database, lambda: Fake(same=lambda column: column))
    with (
        pytest.raises(DataError, match="months"),
        runner.running((known("same", "INTERVAL", x="INTERVAL"),), Calling("q")),
        database.cursor() as cursor,
    ):
        cursor.sql("SELECT same(INTERVAL 1 MONTH)").fetchall()


def test_an_error_of_a_function_is_not_duckdbs(database: duckdb.DuckDBPyConnection) -> None:
    def fail(column: list[Any]) -> list[Any]:
        raise HookError("f() failed: ValueError: no (in this client)", function="f")

    runner = HookRunner(database, lambda: Fake(f=fail))
    with (
        pytest.raises(HookError, match="f\\(\\) failed"),
        runner.running((known("f", x="BIGINT"),), Calling("q")),
    ):
        database.sql("SELECT f(i) FROM range(10000) r(i)").fetchall()
    # The next query is not concerned.
    with runner.running((known("f", x="BIGINT"),), Calling("q")):
        pass


def test_after_a_death_the_next_query_gets_another_process(database: duckdb.DuckDBPyConnection) -> None:
    def die(column: list[Any]) -> list[Any]:
        raise HookDiedError("f(): killed by SIGSEGV")

    dead, alive = Fake(f=die), Fake(f=lambda column: column)
    fakes = iter([dead, alive])
    runner = HookRunner(database, lambda: next(fakes))
    with pytest.raises(HookDiedError), runner.running((known("f", x="BIGINT"),), Calling("q")):
        database.sql("SELECT f(i) FROM range(10) r(i)").fetchall()
    assert dead.closed.is_set()
    with runner.running((known("f", x="BIGINT"),), Calling("q")):
        assert database.sql("SELECT f(5)").fetchall() == [(5,)]


def test_a_failure_that_duckdb_passes_over_is_none(database: duckdb.DuckDBPyConnection) -> None:
    def picky(column: list[Any]) -> list[Any]:
        if 7 in column:
            raise HookError("f() failed", function="f")
        return column

    runner = HookRunner(database, lambda: Fake(f=picky))
    with runner.running((known("f", x="BIGINT"),), Calling("q")):
        text = "SELECT CASE WHEN i > 99 THEN f(7) ELSE f(i) END, TRY(f(i + 5)) FROM range(3) r(i)"
        assert database.sql(text).fetchall() == [(0, 5), (1, 6), (2, None)]


def test_an_error_of_duckdb_stays(database: duckdb.DuckDBPyConnection) -> None:
    runner = HookRunner(database, lambda: Fake(f=lambda column: column))
    with pytest.raises(duckdb.ConversionException), runner.running((known("f", x="BIGINT"),), Calling("q")):
        database.sql("SELECT f('x'::BIGINT)").fetchall()


def test_a_process_is_started_when_a_function_is_called(database: duckdb.DuckDBPyConnection) -> None:
    fake = Fake(f=lambda column: column)
    runner = HookRunner(database, lambda: fake)
    hooks = (known("f", x="BIGINT"),)
    with runner.running(hooks, Calling("first")):
        assert fake.begun == []
        database.sql("SELECT sum(f(i)) FROM range(10000) r(i)").fetchall()
        database.sql("SELECT f(1)").fetchall()
    with runner.running(hooks, Calling("second")):
        database.sql("SELECT f(1)").fetchall()
    assert fake.begun == ["first", "second"]


def test_rows_that_on_error_made_null_are_told(database: duckdb.DuckDBPyConnection) -> None:
    fake = Fake()

    def forgiving(column: list[Any]) -> list[Any]:
        fake.nulls += len(column)
        return [None] * len(column)

    fake.bodies["f"] = forgiving
    told: list[int] = []
    with HookRunner(database, lambda: fake).running((known("f", x="BIGINT"),), Calling("q", told.append)):
        database.sql("SELECT f(i) FROM range(7) r(i)").fetchall()
    assert told == [7]


def test_a_redefined_function_takes_the_place_of_the_one_before(database: duckdb.DuckDBPyConnection) -> None:
    runner = HookRunner(database, lambda: Fake(f=lambda *columns: columns[0]))
    for hook, call, type_ in [
        (known("f", x="BIGINT"), "f(1)", "BIGINT"),
        (known("f", "VARCHAR", x="VARCHAR"), "f('1')", "VARCHAR"),
        (known("f", "DOUBLE", x="DOUBLE", y="DATE"), "f(1, '2024-01-01')", "DOUBLE"),
    ]:
        with runner.running((hook,), Calling("q")):
            assert [str(t) for t in database.sql(f"SELECT {call}").types] == [type_]
            assert len(database.sql(f"SELECT {call}").fetchall()) == 1


def test_a_function_without_parameters_is_called_for_each_row(database: duckdb.DuckDBPyConnection) -> None:
    numbers = iter(range(100))
    hook = Known(Function("f", "scalar", (), "BIGINT", "", volatile=True), "gears_hook_x")
    with HookRunner(database, lambda: Fake(f=lambda: [next(numbers)])).running((hook,), Calling("q")):
        assert len(set(database.sql("SELECT f() FROM range(5)").fetchall())) == 5


def test_aggregates_get_groups_as_lists_of_rows(database: duckdb.DuckDBPyConnection) -> None:
    groups: list[Any] = []

    def whole(column: list[Any]) -> list[Any]:
        groups.extend(column)
        return [len(group or ()) for group in column]

    function = Function("f", "aggregate", (("x", "BIGINT"), ("y", "VARCHAR")), "BIGINT", "")
    with HookRunner(database, lambda: Fake(f=whole)).running((Known(function, "c"),), Calling("q")):
        text = 'SELECT "f.whole"(list("f.row"(i, NULL)) FILTER (WHERE i > {})) FROM range(3) r(i)'
        assert database.sql(text.format(1)).fetchall() == [(1,)]
        assert database.sql(text.format(9)).fetchall() == [(0,)]
    assert groups == [[{"a0": 2, "a1": None}], None]


def test_queries_with_functions_wait_for_each_other(database: duckdb.DuckDBPyConnection) -> None:
    def slow(column: list[Any]) -> list[Any]:
        time.sleep(0.01)
        return [x + 1 for x in column]

    runner = HookRunner(database, lambda: Fake(f=slow))

    def query(number: int) -> Any:
        with runner.running((known("f", x="BIGINT"),), Calling(str(number))), database.cursor() as cursor:
            return cursor.sql(f"SELECT sum(f(i)) FROM range({number}) r(i)").fetchall()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(query, range(10000, 10008))) == [
            [(number * (number + 1) // 2,)] for number in range(10000, 10008)
        ]


def test_ctrl_c_ends_a_function_that_hangs(database: duckdb.DuckDBPyConnection) -> None:
    fake = Fake()

    def hang(column: list[Any]) -> list[Any]:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        # As a process that is waited for: signals are seen, on the main thread only.
        while not fake.closed.wait(0.01):
            pass
        raise CancelledError("the function was ended")

    fake.bodies["f"] = hang
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        HookRunner(database, lambda: fake).running((known("f", x="BIGINT"),), Calling("q")),
    ):
        database.sql("SELECT f(i) FROM range(10) r(i)").fetchall()
    assert signal.getsignal(signal.SIGINT) is before
    assert fake.closed.is_set()


def test_a_function_ends_with_its_querys_time(database: duckdb.DuckDBPyConnection) -> None:
    fake = Fake()

    def hang(column: list[Any]) -> list[Any]:
        assert fake.closed.wait(10)
        raise CancelledError("the function was ended")

    fake.bodies["f"] = hang
    runner = HookRunner(database, lambda: fake)
    with (
        pytest.raises(CancelledError, match="time is up"),
        runner.running((known("f", x="BIGINT"),), Calling("q", left=lambda: 0.1)),
    ):
        database.sql("SELECT f(i) FROM range(10) r(i)").fetchall()


def test_ctrl_c_ends_a_function_whose_process_is_being_started(database: duckdb.DuckDBPyConnection) -> None:
    called: list[Any] = []

    def start() -> Fake:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)  # DuckDB's main thread looks for signals meanwhile
        return Fake(f=called.append)

    with (
        pytest.raises(KeyboardInterrupt),
        HookRunner(database, start).running((known("f", x="BIGINT"),), Calling("q")),
    ):
        database.sql("SELECT f(i) FROM range(10) r(i)").fetchall()
    assert not called


def test_a_declaration_that_was_interrupted_is_made_again(
    database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = known("f", x="BIGINT")
    runner = HookRunner(database, lambda: Fake(f=lambda column: column))
    real = hooks.register

    def register(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(hooks, "register", register)
    with pytest.raises(KeyboardInterrupt), runner.running((hook,), Calling("q")):
        pass
    monkeypatch.undo()
    with runner.running((hook,), Calling("q")):
        assert database.sql("SELECT f(1)").fetchall() == [(1,)]
