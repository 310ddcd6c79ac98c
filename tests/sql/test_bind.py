"""Names, types, needed columns and the normalised tree, over many queries and expressions (*.sql)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp

from gearsql.catalog.table import Table
from gearsql.errors import Position, ProgrammingError, TypeMismatchError, UnknownFunctionError
from gearsql.sql.bind import Binder, bind
from gearsql.sql.bound import BoundQuery, ResultColumn
from gearsql.sql.parse import parse
from gearsql.sql.plans import plan_of
from gearsql.sql.statements import Explain, Query

Front = Callable[..., BoundQuery]
HERE = Path(__file__).parent


def lines(file: str) -> list[str]:
    return [line for line in (HERE / file).read_text("utf-8").splitlines() if not line.startswith("--")]


QUERIES = lines("queries.sql") + [
    f"select {expression} from flights" for expression in lines("expressions.sql")
]

# Rows are gathered for these: sqlglot cannot say them, or says something else.
WITHOUT_TREE = {
    "select +distance from flights",
    "select list_transform([1,2], lambda x: x + flight) from flights",
    "select [x + 1 for x in [1,2]] from flights",
    "select x'00' from flights",
    "select .5 from flights",
}


@pytest.fixture(scope="module")
def oracle(flights: Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a native table of three odd rows, `_key` hidden from nobody."""
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in flights.all_columns)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE flights ({columns})")
        connection.execute(
            "INSERT INTO flights VALUES ('UA', 'SFO', 'JFK', NULL, 2586, 1, -3.5, 99.95, '2020-01-31',"
            " '2020-01-31 10:00', true, '\\x00', 3, '00000000-0000-0000-0000-000000000001', 'flight:1'),"
            "('AA', 'sfo', 'JFK', 'x', 500, 2, NULL, 0, '2020-02-01', NULL, false, '', 0, NULL, 'flight:2'),"
            "(NULL, '', NULL, '', NULL, NULL, 1e300, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'flight:3')"
        )
        yield connection


@pytest.fixture(scope="module")
def natives(flights: Table) -> Iterator[dict[bool, duckdb.DuckDBPyConnection]]:
    """DuckDB with a native table, without and with the column `_key`."""
    connections = {False: duckdb.connect(), True: duckdb.connect()}
    for with_key, connection in connections.items():
        columns = ", ".join(f'"{column.name}" {column.type}' for column in flights.columns)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE flights ({columns}{', _key VARCHAR' if with_key else ''})")
    yield connections
    for connection in connections.values():
        connection.close()


@pytest.mark.parametrize("text", QUERIES)
def test_names_and_types_are_duckdbs(
    front: Front, natives: dict[bool, duckdb.DuckDBPyConnection], text: str
) -> None:
    relation = natives["_key" in text].sql(text)
    types = map(str, relation.types)
    assert list(front(text).columns) == list(map(ResultColumn, relation.columns, types))


@pytest.mark.parametrize("text", QUERIES)
def test_the_tree_is_there_and_means_the_same(
    front: Front, oracle: duckdb.DuckDBPyConnection, text: str
) -> None:
    bound = front(text)
    if bound.tree is None:
        assert text in WITHOUT_TREE
        return
    assert text not in WITHOUT_TREE
    assert not list(bound.tree.find_all(exp.Alias)), "references are written out"
    assert outcome(oracle, bound.text) == outcome(oracle, bound.tree.sql("duckdb"))


def outcome(connection: duckdb.DuckDBPyConnection, text: str) -> object:
    try:
        return sorted(map(repr, connection.execute(text).fetchall()))
    except duckdb.Error as error:
        return type(error)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("select * exclude (raw, u, id, ts, day, price, cancelled, tail, origin) from flights f limit 1",
         'SELECT "carrier", "dest", "distance", "flight", "dep_delay" FROM "flights" LIMIT 1'),
        ("select carrier c, count(*) n from flights group by all order by n, 1",
         'SELECT "carrier", COUNT(*) FROM "flights" GROUP BY "carrier" ORDER BY COUNT(*), "carrier"'),
        ("select -flight as flight from flights where flight > 1 order by flight",
         'SELECT (-("flight")) FROM "flights" WHERE ("flight" > 1) ORDER BY (-("flight"))'),
        ("select sum(flight) as flight from flights f group by f.dest having flight > 1",
         'SELECT SUM("flight") FROM "flights" GROUP BY "dest" HAVING (SUM("flight") > 1)'),
        ("select flight + 1 as a, a + 1 as b from flights where b > 3",
         'SELECT ("flight" + 1), (("flight" + 1) + 1) FROM "flights" WHERE ((("flight" + 1) + 1) > 3)'),
        ("select distinct carrier, dest from flights order by all desc",
         'SELECT DISTINCT "carrier", "dest" FROM "flights" ORDER BY "carrier" DESC, "dest" DESC'),
    ],
)  # fmt: skip
def test_references_are_written_out(front: Front, text: str, normalised: str) -> None:
    tree = front(text).tree
    assert tree is not None and tree.sql("duckdb") == normalised


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("select count(*) from flights", ()),
        ("select 1 from flights", ()),
        (
            "select tail, dest from flights where _key > 'a' order by distance",
            ("dest", "tail", "distance", "_key"),
        ),
        ("select * exclude (carrier) from flights group by all having false", None),
        ("select list_transform([1], lambda dest: dest + flight) from flights", ("flight",)),
        ("select dest as carrier from flights order by carrier", ("dest",)),
    ],
)
def test_only_the_columns_that_are_needed_are_read(
    front: Front, flights: Table, text: str, reads: tuple[str, ...] | None
) -> None:
    everything_but_carrier = tuple(column.name for column in flights.columns)[1:]
    assert front(text).reads == (everything_but_carrier if reads is None else reads)


def test_a_star_leaves_the_key_out_unless_it_is_named(front: Front, flights: Table) -> None:
    names = [column.name for column in flights.columns]
    assert [column.name for column in front("select * from flights").columns] == names
    assert [column.name for column in front("select _key, * from flights").columns] == ["_key", *names]


def test_constants_that_would_be_ordinals_have_no_tree(front: Front) -> None:
    assert front("select 2, dest from flights order by 1").tree is None
    assert front("select 2 as x, dest from flights order by x").tree is None


@pytest.mark.parametrize(
    "pair",
    [
        ("quantile_cont(distance, 0.5)", "quantile_cont(distance, 0.9)"),
        ("approx_quantile(distance, 0.5)", "approx_quantile(distance, 0.9)"),
        ("string_agg(dest, ',')", "string_agg(dest, ';')"),
        ("list(dest order by day)", "list(dest order by day desc)"),
        ("list(dest order by day)", "list(dest order by day nulls first)"),
        ("count(dest)", "count(distinct dest)"),
        ("count(dest)", "count(dest) filter (where cancelled)"),
        ("dest is null", "dest is not null"),
        ("dest like 'a'", "dest ilike 'a'"),
        ("cast(dest as int)", "try_cast(dest as int)"),
        ("position('a' in dest)", "position(dest in 'a')"),
        ("dest = 'a'", "dest collate nocase = 'a'"),
        ("date_trunc('day', ts)", "date_trunc('hour', ts)"),
        ("distance / 2", "distance // 2"),
        ("price::decimal(5,1)", "price::decimal(5,2)"),
        ("strftime(ts, '%Y')", "strftime(ts, '%m')"),
        ("list_transform([1], lambda x: x + 1)", "list_transform([1], lambda x: x + 2)"),
        ("regexp_extract(dest, '(a)(b)', 1)", "regexp_extract(dest, '(a)(b)', 2)"),
    ],
)
def test_plans_tell_different_expressions_apart(
    oracle: duckdb.DuckDBPyConnection, pair: tuple[str, str]
) -> None:
    one, two = (plan_of(oracle, f"select {expression} from flights") for expression in pair)
    assert one.nodes is not None and two.nodes is not None
    assert one.means(one) and not one.means(two)


@pytest.mark.parametrize(
    "pair",
    [
        ("dest from flights order by 1", "dest from flights order by 1 desc"),
        ("dest from flights order by 1", "dest from flights order by 1 nulls first"),
        ("dest from flights limit 1", "dest from flights limit 2"),
        ("dest from flights limit 1", "dest from flights limit 1 offset 1"),
        ("dest from flights", "distinct dest from flights"),
        ("dest from flights", "dest from flights group by dest"),
        ("dest from flights order by dest", "dest from flights order by dest collate nocase"),
        ("dest from flights where cancelled", "dest from flights where not cancelled"),
        ("count(*) from flights group by dest", "count(*) from flights group by dest having count(*) > 1"),
    ],
)
def test_plans_tell_different_queries_apart(oracle: duckdb.DuckDBPyConnection, pair: tuple[str, str]) -> None:
    one, two = (plan_of(oracle, f"select {rest}") for rest in pair)
    assert one.nodes is not None and two.nodes is not None and not one.means(two)


@pytest.mark.parametrize(
    ("text", "under", "message"),
    [
        ("select dest from flights where dest > 9", "dest > 9", "Cannot compare"),
        ("select sum(dest) from flights", "sum(dest)", "No function matches"),
        ("select dest, count(*) from flights group by origin", "dest", "must appear in the GROUP BY"),
        ("select dest from flights where sum(distance) > 1", "sum(distance)", "cannot contain aggregates"),
        ("select sum(sum(distance)) from flights", "sum(distance)", "nested"),
        ("select dest from flights order by 5", "5", "out of range"),
        ("select 'é', dest > 9 from flights", "dest > 9", "Cannot compare"),
        ("select *, dest > 9 from flights", "dest > 9", "Cannot compare"),
        ("explain select dest > 9 from flights", "dest > 9", "Cannot compare"),
    ],
)
def test_binder_errors_point_into_the_users_text(
    binder: Binder, flights: Table, text: str, under: str, message: str
) -> None:
    statement = parse(text)
    query = statement.query if isinstance(statement, Explain) else statement
    assert isinstance(query, Query)
    with pytest.raises(TypeMismatchError, match=message) as raised:
        binder.bind(query, flights)
    error = raised.value
    assert error.position is not None and error.text == text
    assert text[error.position.start : error.position.end] == under


def test_text_compared_with_a_number_hints_at_types(front: Front) -> None:
    for expression in ("dest > 9", "sum(dest)", "avg(dest)"):
        with pytest.raises(TypeMismatchError) as raised:
            front(f"select {expression} from flights")
        assert "CREATE TABLE" in (raised.value.hint or "")


def test_unknown_functions_come_with_the_near_ones(front: Front) -> None:
    with pytest.raises(UnknownFunctionError, match="no function lowr") as raised:
        front("select lowr(dest) from flights")
    assert "lower" in raised.value.candidates
    assert raised.value.position == Position(7, 17)


def test_a_glob_names_its_table_and_the_text_is_trimmed(binder: Binder, flights: Table) -> None:
    glob = Table("flight:*", flights.keys, flights.columns, declared=False)
    text = 'select count(*) as n from "flight:*" AS f -- all\n; -- the end'
    query = parse(text)
    assert isinstance(query, Query) and query.table_name == "flight:*"
    assert text[query.table_position.start : query.table_position.end] == '"flight:*"'
    assert bind(query, glob).text == 'select count(*) as n from "flight:*" AS f'


def test_a_binder_follows_a_table_that_changes(binder: Binder, flights: Table) -> None:
    query = parse("select * from flights")
    assert isinstance(query, Query)
    small = Table("flights", flights.keys, flights.columns[:1], declared=True, version=2)
    assert [len(binder.bind(query, table).columns) for table in (flights, small, flights)] == [14, 1, 14]


def test_a_table_that_duckdb_cannot_hold_is_a_named_error(binder: Binder, flights: Table) -> None:
    query = parse("select 1 from twins")
    assert isinstance(query, Query)
    twins = Table("twins", flights.keys, (flights.columns[0], flights.columns[0]), declared=False)
    with pytest.raises(ProgrammingError, match="twins"):
        binder.bind(query, twins)


def test_a_star_over_no_columns_is_an_error(binder: Binder, flights: Table) -> None:
    nothing = Table("nothing", flights.keys, (), declared=False)
    for text in ("select * from nothing", "from nothing"):
        query = parse(text)
        assert isinstance(query, Query)
        with pytest.raises(ProgrammingError, match="leaves no column"):
            binder.bind(query, nothing)
