"""Joins that run where their tables lie: rows that meet have one hash tag, and so they are on one shard."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

import gearsql
from gearsql.embedded import Cluster
from tests.oracle.judge import Oracle, ask

NATIVE = {
    "tusers": "SELECT 'u' || i AS who, i % 3 AS level, i::INTEGER AS number FROM range(40) r(i)",
    "torders": "SELECT CASE WHEN i % 11 = 0 THEN 'gone' ELSE 'u' || i % 60 END AS who, i::INTEGER AS id,"
    " CASE WHEN i % 7 > 0 THEN i % 50 END AS price, i % 2 = 0 AS paid FROM range(300) r(i)",
    "tnotes": "SELECT 'u' || i % 50 AS who, i::INTEGER AS id, 'note ' || i % 4 AS text FROM range(90) r(i)",
    "tlevels": "SELECT i AS level, 'level ' || i AS title FROM range(3) r(i)",
    "tnumbers": "SELECT i::BIGINT AS n, i % 5 AS v FROM range(60) r(i)",
    "tpairs": "SELECT i::INTEGER % 20 AS n, 'x' || i AS id, i % 9 AS w FROM range(120) r(i)",
    "tplaces": "SELECT 'c' || i % 4 AS country, 't' || i % 6 AS town, i::INTEGER AS id, 1 AS one"
    " FROM range(80) r(i)",
    "ttowns": "SELECT 'c' || i % 5 AS country, 't' || i % 7 AS town, i AS people FROM range(35) r(i)",
    "tfixed": "SELECT i::INTEGER AS id, i % 4 AS v FROM range(20) r(i)",
}
KEYS = {
    "tusers": "tuser:{{{who}}}",
    "torders": "torder:{{{who}}}:{id}",
    "tnotes": "tnote:{{{who}}}:{id}",
    "tlevels": "tlevel:{level}",
    "tnumbers": "tnumber:{{{n}}}",
    "tpairs": "tpair:{{{n}}}:{id}",
    "tplaces": "tplace:{{{country}/{town}}}:{id}",
    "ttowns": "ttown:{{{country}/{town}}}x",
    "tfixed": "{{tag}}:{id}",
}


@pytest.fixture(scope="module")
def native() -> Iterator[Oracle]:
    with duckdb.connect() as connection:
        for name, query in NATIVE.items():
            connection.execute(f"CREATE TABLE {name} AS {query}")
        yield Oracle(connection)


@pytest.fixture(scope="module")
def filled(three_shards: Cluster, native: Oracle) -> Iterator[Cluster]:
    with gearsql.connect(three_shards.url) as connection:
        for name, template in KEYS.items():
            rows = native.connection.table(name)
            columns = ", ".join(f"{c} {t}" for c, t in zip(rows.columns, rows.types, strict=True))
            connection.execute(f"CREATE OR REPLACE TABLE {name} ({columns}) WITH (key = '{template}')")
            insert = f"INSERT OR REPLACE INTO {name} VALUES ({', '.join('?' * len(rows.columns))})"
            connection.cursor().executemany(insert, rows.fetchall())
        yield three_shards
        for name in KEYS:
            connection.execute(f"DELETE FROM {name}")
            connection.execute(f"DROP TABLE {name}")


@pytest.fixture
def connection(filled: Cluster) -> Iterator[gearsql.Connection]:
    with gearsql.connect(filled.url) as connection:
        yield connection


TOGETHER = {
    "torders and tusers": [
        "SELECT level, count(*), sum(price) FROM torders JOIN tusers USING (who) GROUP BY level",
        "SELECT level, count(id), count(DISTINCT price) FROM torders RIGHT JOIN tusers USING (who)"
        " GROUP BY level",
        "SELECT count(*), count(u.who), median(price) FROM torders o LEFT JOIN tusers u ON o.who = u.who"
        " AND u.level > o.price % 3",
        "SELECT count(*), count(o.id), count(u.who) FROM torders o FULL JOIN tusers u USING (who)",
        "SELECT who, count(who), count(id) FROM torders RIGHT JOIN tusers USING (who) GROUP BY who"
        " ORDER BY who DESC LIMIT 9",
        "SELECT count(*), max(price) FROM torders SEMI JOIN tusers USING (who)",
        "SELECT count(*), max(price) FROM torders o ANTI JOIN tusers u ON u.who = o.who AND u.level = 1",
        "SELECT o.who, price FROM torders o, tusers u WHERE o.who = u.who ORDER BY price DESC, o.id LIMIT 7",
        "SELECT DISTINCT level FROM torders o CROSS JOIN tusers u WHERE price > 20 AND u.who = o.who",
        "SELECT count(*) FROM torders o JOIN tusers u ON o.who = u.who WHERE o.price > u.number",
    ],
    "tusers and torders": [
        "SELECT count(*) FROM tusers u SEMI JOIN torders o ON o.who = u.who AND price > 30",
        "SELECT title, sum(price) FROM tusers u LEFT JOIN torders o USING (who) JOIN tlevels USING (level)"
        " GROUP BY title",
        "SELECT u.who, count(o.id) AS n FROM tusers u LEFT JOIN torders o ON u.who = o.who GROUP BY u.who"
        " HAVING count(o.id) <> 5 ORDER BY n, u.who LIMIT 9",
    ],
    "tusers and torders and tnotes": [
        "SELECT text, count(*), avg(price) FROM tusers u JOIN torders o USING (who) JOIN tnotes n USING (who)"
        " GROUP BY text",
        "SELECT count(*), count(n.id) FROM tusers u LEFT JOIN torders o ON u.who = o.who"
        " LEFT JOIN tnotes n ON n.who = o.who",
        "SELECT count(*), count(u.who), count(o.who), count(n.who) FROM tusers u FULL JOIN torders o"
        " ON u.who = o.who FULL JOIN tnotes n ON n.who = o.who",
    ],
    "torders": [
        "SELECT count(*), sum(a.price - b.price) FROM torders a JOIN torders b"
        " ON a.who = b.who AND a.id < b.id",
    ],
    "tnumbers and tpairs": [
        "SELECT v, count(*), sum(w) FROM tnumbers JOIN tpairs USING (n) GROUP BY v",
    ],
    "tplaces and ttowns": [
        "SELECT country, sum(people), count(*) FROM tplaces JOIN ttowns USING (country, town)"
        " GROUP BY country",
    ],
    "tfixed": ["SELECT count(*), sum(a.v * b.v) FROM tfixed a, tfixed b WHERE a.id <> b.id"],
}
APART = [
    # The tags of both need not be equal.
    "SELECT count(*) FROM torders o JOIN tusers u ON o.who >= u.who",
    "SELECT count(*) FROM torders o JOIN tusers u ON o.who = u.who OR o.id = u.number",
    "SELECT count(*) FROM torders o JOIN tusers u ON o.who = lower(u.who)",
    "SELECT count(*) FROM torders o LEFT JOIN tusers u ON o.id = u.number WHERE o.who = u.who",
    "SELECT count(*) FROM tplaces JOIN ttowns USING (town)",
    # The tags are made otherwise.
    "SELECT count(*) FROM torders o JOIN tpairs p ON o.who = 'u' || p.n",
    "SELECT count(*) FROM tusers JOIN tlevels USING (level)",
    # The table is named elsewhere, too.
    "SELECT count(*) FROM torders o JOIN tusers u USING (who)"
    " WHERE u.number < (SELECT avg(t.number) FROM tusers t WHERE t.level = u.level)",
    # Joined rows travel as those of the tables.
    "SELECT o.id, u.level FROM torders o JOIN tusers u USING (who)",
]


def stages(connection: gearsql.Connection, query: str) -> list[str]:
    lines = [row[0] for row in ask(connection, f"EXPLAIN ANALYZE {query}").rows]
    return [line.split(": ")[1] for line in lines if line.startswith("measured")]


def same(connection: gearsql.Connection, native: Oracle, query: str) -> None:
    found, expected = ask(connection, query), native.ask(query)
    assert (found.names, found.types) == (expected.names, expected.types)
    assert sorted(map(repr, found.rows)) == sorted(map(repr, expected.rows))


@pytest.mark.parametrize(("tables", "query"), [(t, q) for t, queries in TOGETHER.items() for q in queries])
def test_tables_are_joined_where_they_lie(
    connection: gearsql.Connection, native: Oracle, tables: str, query: str
) -> None:
    same(connection, native, query)
    assert stages(connection, query)[-1].removesuffix(", joined with what was sent") == tables


@pytest.mark.parametrize("query", APART)
def test_tables_are_not_joined_where_they_lie(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    same(connection, native, query)
    assert not any(" and " in stage for stage in stages(connection, query))


def test_the_plan_tells_who_stays(connection: gearsql.Connection) -> None:
    query = TOGETHER["torders and tusers"][0]
    lines = [line for (line,) in ask(connection, f"EXPLAIN {query}").rows]
    start = lines.index("scan_join_0, where its rows lie: those that meet have one hash tag")
    assert lines[start + 1 : start + 4] == [
        "  join     torders (scan_part_0) and tusers (scan_part_1) stay",
        "  on each of 3 shards",
        "    keys     torder:{*}:*",
    ]


def test_a_tag_that_is_none_is_joined_all_the_same(filled: Cluster, native: Oracle) -> None:
    """`tuser:{}x}` has no hash tag: its slot is that of the whole key."""
    query = "SELECT level, count(*), sum(price) FROM torders JOIN tusers USING (who) GROUP BY level"
    with gearsql.connect(filled.url) as connection:
        for number in range(6):
            connection.execute("INSERT INTO tusers VALUES (?, 7, 0)", ["}" + str(number)])
            connection.execute(
                "INSERT INTO torders VALUES (?, ?, 1, true)", ["}" + str(number), 1000 + number]
            )
        found = ask(connection, query).rows
        connection.execute("DELETE FROM tusers WHERE level = 7")
        connection.execute("DELETE FROM torders WHERE id >= 1000")
    assert sorted(found) == sorted([*native.ask(query).rows, (7, 6, 6)])


WHOLE = [
    "SELECT who, count(*), count(DISTINCT price), median(price), string_agg(id, ',' ORDER BY id) FROM torders"
    " GROUP BY who",
    "SELECT count(DISTINCT price) AS n, who FROM torders WHERE id > 20 GROUP BY who"
    " HAVING count(*) > 3 ORDER BY n DESC, who LIMIT 7 OFFSET 1",
    "SELECT who, paid, avg(price) FROM torders GROUP BY paid, who HAVING mode(price ORDER BY id) > 3",
    "SELECT DISTINCT count(*) + 1 FROM tnotes GROUP BY who",
    "SELECT n, max(w), histogram(w) FROM tpairs GROUP BY n ORDER BY max(w), n LIMIT 3",
    "SELECT sum(one), country || town FROM tplaces GROUP BY town, country ORDER BY 1, 2",
    "SELECT who, id, sum(price) FROM torders GROUP BY who, id ORDER BY 3 DESC NULLS LAST, 2 LIMIT 4",
    "SELECT level, count(*) FROM tlevels GROUP BY level",
    "SELECT _key, count(*) FROM tusers GROUP BY _key ORDER BY _key LIMIT 5",
    "SELECT v, count(*), sum(id) FROM tfixed GROUP BY v",
    "SELECT max(n) FROM (SELECT who, count(*) AS n FROM torders GROUP BY who)",
    "SELECT count(*) FROM torders UNION ALL SELECT count(DISTINCT price) FROM torders GROUP BY who",
]
SPLIT = [
    "SELECT id, count(*) FROM torders GROUP BY id",
    "SELECT who || 'x', count(*) FROM torders GROUP BY who || 'x'",
    "SELECT town, sum(one) FROM tplaces GROUP BY town",
    "SELECT count(*) FROM torders",
]


@pytest.mark.parametrize("query", WHOLE)
def test_groups_are_finished_where_they_lie(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    found, own = ask(connection, query), query.replace("_key", "'tuser:{' || who || '}'")
    assert sorted(map(repr, found.rows)) == sorted(map(repr, native.ask(own).rows))
    if "ORDER BY 1, 2" in query or "LIMIT" in query:
        assert found.rows == native.ask(own).rows
    lines = [line.strip() for (line,) in ask(connection, f"EXPLAIN {query}").rows]
    assert any(line.startswith("ships    groups, each of them whole on its shard") for line in lines)


@pytest.mark.parametrize("query", SPLIT)
def test_groups_that_no_slot_keeps_together_are_merged(
    connection: gearsql.Connection, native: Oracle, query: str
) -> None:
    same(connection, native, query)
    lines = [line for (line,) in ask(connection, f"EXPLAIN {query}").rows]
    assert not any("whole on its shard" in line for line in lines)


def test_groups_of_a_tag_that_is_none_are_merged(three_shards: Cluster) -> None:
    """Rows of the group `}` are in a slot of their own each."""
    with gearsql.connect(three_shards.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE odd (v INTEGER) WITH (key = 'odd:{{{tag}}}:{id}')")
        rows = [(number, "}" if number < 20 else "x", str(number)) for number in range(30)]
        connection.cursor().executemany("INSERT OR REPLACE INTO odd VALUES (?, ?, ?)", rows)
        query = "SELECT tag, count(*), sum(v) FROM odd GROUP BY tag ORDER BY tag"
        both = f"SELECT count(*)::VARCHAR, 1, 2 FROM odd UNION ALL ({query})"
        for _ in range(2):
            assert ask(connection, query).rows == [("x", 10, 245), ("}", 20, 190)]
            assert sorted(ask(connection, both).rows) == [("30", 1, 2), ("x", 10, 245), ("}", 20, 190)]
        connection.execute("DELETE FROM odd")
        connection.execute("DROP TABLE odd")


def test_texts_that_are_null_may_be_anywhere(three_shards: Cluster) -> None:
    nulls = "CREATE OR REPLACE TABLE nulls (v INTEGER) WITH (key = 'nulls:{id}'%s)"
    with gearsql.connect(three_shards.url) as connection:
        connection.execute(nulls % "")
        rows = [(number, str(number)) for number in range(10)]
        connection.cursor().executemany("INSERT OR REPLACE INTO nulls VALUES (?, ?)", rows)
        connection.execute(nulls % ", null_values = ('1', '2', '3')")
        found = ask(connection, "SELECT id, count(*) FROM nulls GROUP BY id ORDER BY 2 DESC LIMIT 1").rows
        assert found == [(None, 3)]
        connection.execute(nulls % "")
        connection.execute("DELETE FROM nulls")
        connection.execute("DROP TABLE nulls")
