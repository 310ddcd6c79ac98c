"""Joins that run on the shards: which do, what is shipped then, and that the others are answered as well."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from gearsql.embedded import Cluster
from tests.oracle.judge import Oracle, ask

ROWS = 70_000
NATIVE = {
    "sales": "SELECT i AS id, 'p' || i % 40 AS part, CASE WHEN i % 9 > 0 THEN i % 7 END AS shop,"
    " i % 100 AS price, CASE WHEN i % 3 = 0 THEN -0.0::DOUBLE ELSE i % 2 END AS weight"
    f" FROM range({ROWS}) r(i)",
    "parts": "SELECT 'p' || i AS part, 'kind ' || i % 5 AS kind, DATE '2020-01-01' + i::INTEGER AS since"
    " FROM range(35) r(i)",
    "sold": "FROM sales",
    "shops": "SELECT i AS shop, 'town ' || i % 3 AS town FROM range(9) r(i)",
}
KEYS = {"sales": "sale:{id}", "parts": "spare:{part}", "sold": "sale:{id}", "shops": "shop:{shop}"}


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect() as connection:
        for name, query in NATIVE.items():
            connection.execute(f"CREATE TABLE {name} AS {query}")
        yield Oracle(connection)


@pytest.fixture(scope="module")
def connection(three_shards: Cluster, native: Oracle) -> Iterator[gearsql.Connection]:
    shards = Shards(three_shards.url)
    with gearsql.connect(three_shards.url) as connection:
        for name, template in KEYS.items():
            rows = native.connection.table(name)
            if name != "sold":
                load(shards, rows, parse_template(template))
            columns = ", ".join(f"{c} {t}" for c, t in zip(rows.columns, rows.types, strict=True))
            connection.execute(f"CREATE OR REPLACE TABLE {name} ({columns}) WITH (key = '{template}')")
        shards.close()
        yield connection


SPREAD = [
    "SELECT kind, count(*), sum(price), avg(shop) FROM sales JOIN parts USING (part) GROUP BY kind",
    "SELECT kind, count(*) FROM sales LEFT JOIN parts USING (part) GROUP BY kind HAVING count(*) > 3",
    "SELECT count(*), count(town) FROM shops RIGHT JOIN sales USING (shop)",
    "SELECT shop, count(shop), count(town) FROM shops RIGHT JOIN sales USING (shop) GROUP BY shop",
    "SELECT town, kind, median(price) FROM parts p JOIN sales s ON s.part = p.part"
    " LEFT JOIN shops USING (shop)"
    " WHERE since > DATE '2020-01-05' AND price BETWEEN 3 AND 90 GROUP BY ALL",
    "SELECT town, count(DISTINCT s.part), count(DISTINCT kind) FROM sales s JOIN parts p USING (part)"
    " JOIN shops o ON s.shop = o.shop AND o.town <> 'town 1' GROUP BY town",
    "SELECT DISTINCT kind FROM sales, parts WHERE sales.part = parts.part AND price > 97",
    "SELECT id, kind FROM sales JOIN parts USING (part) ORDER BY price DESC, id LIMIT 7 OFFSET 2",
    "SELECT count(*) FROM sales SEMI JOIN parts USING (part)",
    "SELECT max(id) FROM sales ANTI JOIN parts USING (part)",
    "SELECT shop, count(*) FROM sales WHERE part IN (SELECT part FROM parts WHERE kind = 'kind 2')"
    " GROUP BY shop",
    "SELECT shop, sum(price) FROM sales s WHERE NOT EXISTS (FROM parts p WHERE p.part = s.part"
    " AND length(kind) > shop)"
    " GROUP BY shop",
    "SELECT count(*) FROM sales WHERE price > (SELECT avg(shop) FROM shops)",
    "SELECT sum(price * shop) FROM sales CROSS JOIN (SELECT count(*) AS n FROM shops) WHERE price < n",
    "WITH means AS (SELECT part, avg(price) AS mean FROM sales GROUP BY part)"
    " SELECT kind, count(*) FROM sales JOIN means USING (part) JOIN parts USING (part)"
    " WHERE price > mean GROUP BY kind",
    "WITH a AS (SELECT kind, count(*) AS n FROM sales JOIN parts USING (part) GROUP BY kind)"
    " SELECT *, rank() OVER (ORDER BY n, kind) FROM a WHERE n > (SELECT min(shop) FROM shops)",
]
HERE = [
    "SELECT count(*) FROM sales a JOIN sales b ON a.id = b.id + 1",
    "SELECT kind, count(id) FROM parts LEFT JOIN sales USING (part) GROUP BY kind",
    "SELECT kind, count(id) FROM parts FULL JOIN sales USING (part) GROUP BY kind",
    "SELECT count(*) FROM parts WHERE part IN (SELECT part FROM sales WHERE price >= 0)",
    "SELECT id, town FROM sales JOIN shops USING (shop) WHERE id < 20",
    "SELECT count(*) FROM sales POSITIONAL JOIN parts",
]

EAGER = [
    "SELECT count(*), sum(s.shop) FROM sales s JOIN sold o ON o.id = s.price * 7",
    "SELECT s.part, count(*), max(shop) FROM sales s LEFT JOIN (SELECT id FROM sold WHERE price > 1) o"
    " ON o.id = s.price + 1 GROUP BY s.part HAVING min(shop) < 3 ORDER BY 2 DESC, 1 LIMIT 9",
    "SELECT o.part, sum(s.id), count(s.shop), bool_or(s.shop > 5) FROM sales s JOIN sold o"
    " ON o.id BETWEEN s.price AND s.price + 2 GROUP BY o.part",
    "SELECT count(*), sum(id + 1) FILTER (WHERE shop > 2) FROM sales WHERE price IN"
    " (SELECT id FROM sold WHERE price >= 2)",
    "SELECT shop + 1, count(*) FROM sales SEMI JOIN sold ON sold.id = sales.shop GROUP BY ALL",
    "SELECT upper(part), bit_xor(id), count(*) FROM sales s WHERE NOT EXISTS"
    " (FROM sold o WHERE o.id = s.price AND o.part = s.part) GROUP BY 1",
    "SELECT town, sum(s.price) FROM sales s JOIN shops USING (shop) JOIN sold o ON o.id = s.shop + 60000"
    " GROUP BY town",
    "WITH o AS (SELECT id, part FROM sold WHERE price < 98) SELECT o.part, max(s.id) FROM o"
    " RIGHT JOIN sales s ON o.id = s.price WHERE s.shop <> 4 GROUP BY o.part",
    "SELECT min(n) FROM (SELECT s.part, count(*) AS n FROM sales s JOIN sold o ON o.id = s.price GROUP BY 1)",
    "SELECT count(*), sum(s.id) FROM (SELECT id FROM sold EXCEPT ALL SELECT shop FROM sold) o"
    " JOIN sales s ON o.id = s.price",
    "SELECT n FROM (SELECT count(*) AS n, max(s.shop) FROM sales s JOIN sold o ON o.id = s.price"
    " GROUP BY s.part)",
]
"""Both tables are large; sales ships groups."""
NOT_EAGER = [
    "SELECT count(*), sum(o.shop) FROM sales s JOIN sold o ON o.id = s.price",
    "SELECT count(*), sum(s.price) FROM sales s JOIN sold o ON o.id = s.id",
    "SELECT s.part, avg(s.price) FROM sales s JOIN sold o ON o.id = s.price GROUP BY 1",
    "SELECT s.part, count(DISTINCT s.shop) FROM sales s JOIN sold o ON o.id = s.price GROUP BY 1",
    "SELECT s.weight::VARCHAR, count(*), sum(s.id) FROM sales s JOIN sold o ON o.id = s.price GROUP BY 1",
    "SELECT count(*), count(s.id) FROM sales s RIGHT JOIN sold o ON o.id = s.price",
    "SELECT n FROM (SELECT count(*) AS n, max(s.shop) FROM sales s JOIN sold o ON o.id = s.price"
    " GROUP BY s.part LIMIT 99999)",
]


def stages(connection: gearsql.Connection, query: str) -> list[str]:
    lines = [row[0] for row in ask(connection, f"EXPLAIN ANALYZE {query}").rows]
    return [line.split(": ")[1] for line in lines if line.startswith("measured")]


@pytest.mark.parametrize("query", SPREAD)
def test_what_is_small_is_sent_to_the_shards(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    assert sorted(map(repr, ask(connection, query).rows)) == sorted(map(repr, native.ask(query).rows))
    assert any(stage.startswith("sales, joined") for stage in stages(connection, query))


@pytest.mark.parametrize("query", HERE)
def test_what_may_not_be_sent_is_joined_here(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    if "POSITIONAL" not in query:
        assert sorted(map(repr, ask(connection, query).rows)) == sorted(map(repr, native.ask(query).rows))
    assert not any("joined" in stage for stage in stages(connection, query))


def test_a_join_ships_groups(connection: gearsql.Connection) -> None:
    assert 3 <= shipped_of(connection, SPREAD[0], "sales, joined with what was sent") <= 15


def test_two_large_sides_are_joined_here_and_not_tried_again(
    connection: gearsql.Connection, native: Oracle
) -> None:
    query = "SELECT count(*) FROM sales a JOIN sold b ON a.id = b.id + 1 AND b.price < 99 AND a.price >= 0"
    for _ in range(2):
        assert ask(connection, query).rows == native.ask(query).rows
    assert stages(connection, query) == ["sales", "sold"]


@pytest.mark.parametrize("query", EAGER + NOT_EAGER)
def test_a_large_table_ships_groups_to_another(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    assert sorted(map(repr, ask(connection, query).rows)) == sorted(map(repr, native.ask(query).rows))
    assert (0 < shipped_of(connection, query, "sales") < ROWS // 5) == (query in EAGER)


def shipped_of(connection: gearsql.Connection, query: str, table: str) -> int:
    """The rows that all shards shipped of a table."""
    lines = [row[0] for row in ask(connection, f"EXPLAIN ANALYZE {query}").rows]
    (start,) = (
        n for n, line in enumerate(lines) if line.startswith("measured") and line.endswith(f": {table}")
    )
    return sum(int(line.split()[3].replace(",", "")) for line in lines[start + 2 : start + 5])


def test_a_value_that_no_shard_takes_is_joined_here(connection: gearsql.Connection, native: Oracle) -> None:
    query = (
        "WITH d AS (SELECT kind, CAST('infinity' AS DATE) AS day FROM parts GROUP BY kind)"
        " SELECT kind, day, count(*) FROM sales JOIN parts USING (part) JOIN d USING (kind)"
        " GROUP BY ALL ORDER BY ALL"
    )
    assert ask(connection, query).rows == native.ask(query).rows
    assert not any("joined" in stage for stage in stages(connection, query))


def test_rows_of_the_text_need_not_be_sent(connection: gearsql.Connection, native: Oracle) -> None:
    query = (
        "SELECT shop, sum(n) FROM sales JOIN (VALUES ('p1', 2), ('p2', 3)) v(part, n) USING (part) GROUP BY 1"
    )
    assert sorted(map(repr, ask(connection, query).rows)) == sorted(map(repr, native.ask(query).rows))
    assert "  join     sales (scan_part_0) stays" in [
        row[0] for row in ask(connection, f"EXPLAIN {query}").rows
    ]


def test_what_is_sent_is_less_than_what_stays(connection: gearsql.Connection, native: Oracle) -> None:
    query = "SELECT count(*) FROM shops WHERE shop IN (SELECT id FROM sales WHERE price < 20)"
    ask(connection, "SELECT count(*) FROM shops")
    assert ask(connection, query).rows == native.ask(query).rows
    assert stages(connection, query) == ["sales", "shops"]


def test_a_join_with_other_values_is_filled_in(connection: gearsql.Connection, native: Oracle) -> None:
    query = (
        "SELECT kind, count(*) FROM sales JOIN parts USING (part) WHERE price > ? GROUP BY kind ORDER BY kind"
    )
    for price in (3, 50, 90, 98):
        assert ask(connection, query, [price]).rows == native.ask(query, [price]).rows


def test_rows_of_named_keys_are_sent(connection: gearsql.Connection, native: Oracle) -> None:
    query = (
        "SELECT kind, sum(price) FROM sales JOIN parts USING (part) WHERE part IN ('p1', 'p7') GROUP BY ALL"
    )
    assert sorted(ask(connection, query).rows) == sorted(native.ask(query).rows)
    assert sorted(ask(connection, query).rows) == sorted(native.ask(query).rows)


@pytest.mark.parametrize(
    ("inner", "reads"),
    [
        ("SELECT * FROM sales s WHERE s.shop = o.shop AND price > 97", "shop, price"),
        ("FROM sales s WHERE s.shop = o.shop LIMIT 3", "shop"),
        ("SELECT max(id) FROM sales s WHERE s.shop = o.shop + 20", "shop"),
        ("SELECT DISTINCT s.* FROM sales s WHERE s.shop = o.shop", "id, part, shop, price, weight"),
    ],
)
def test_exists_reads_no_more_than_its_conditions(
    connection: gearsql.Connection, native: Oracle, inner: str, reads: str
) -> None:
    query = f"SELECT count(*), EXISTS (SELECT * FROM shops) FROM shops o WHERE EXISTS ({inner})"
    found, expected = ask(connection, query), native.ask(query)
    assert (found.names, found.rows) == (expected.names, expected.rows)
    lines = [line for (line,) in ask(connection, f"EXPLAIN {query}").rows]
    scan = next(index for index, line in enumerate(lines) if line.endswith("keys     sale:*"))
    found_reads = [column.split()[0] for column in lines[scan + 1].split("reads")[1].split(",")]
    assert ", ".join(found_reads) == reads
