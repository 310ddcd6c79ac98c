"""The shard checks a stage's SQL itself: a client can send any text to GEARSQL.EXECUTE."""

import time

import pytest
import redis

from gearsql.embedded import Cluster
from gearsql.sql.stage_functions import header
from tests.module.raw import Scan, execute_words, run

REFUSED = [
    # Functions: files, settings, the environment, SQL in text; however they are written.
    "SELECT getenv('HOME')",
    "SELECT GetEnv('HOME') FROM scan_0",
    "SELECT \"getenv\"('HOME')",
    "SELECT 'HOME'.getenv()",
    "SELECT main.getenv('HOME')",
    "SELECT system.main.lower('HOME')",
    "SELECT current_setting('memory_limit')",
    "SELECT current_database(), version()",
    "SELECT json_serialize_sql('SELECT 1')",
    "SELECT json_deserialize_sql('{}')",
    "SELECT json_serialize_plan('SELECT 1')",
    "SELECT random() FROM scan_0",
    "SELECT uuid()",
    "SELECT now()",
    "SELECT age(TIMESTAMP '2020-01-01')",
    "SELECT nextval('s')",
    "SELECT error('x')",
    "SELECT getvariable('x')",
    "SELECT txid_current()",
    "SELECT write_log('x')",
    "SELECT in_search_path('x', 'y')",
    "SELECT pg_catalog.pg_get_viewdef(1)",
    "SELECT no_such_function(1)",
    "SELECT gears_scan(0)",
    # … wherever they stand.
    "SELECT 1 FROM scan_0 WHERE getenv('HOME') = ''",
    "SELECT count(*) FROM scan_0 GROUP BY getenv('HOME')",
    "SELECT count(*) FROM scan_0 HAVING getenv('HOME') = ''",
    "SELECT 1 FROM scan_0 ORDER BY getenv('HOME')",
    "SELECT 1 FROM scan_0 LIMIT length(getenv('HOME'))",
    "SELECT sum(age) FILTER (WHERE getenv('HOME') = '') FROM scan_0",
    "SELECT list(age ORDER BY getenv('HOME')) FROM scan_0",
    "SELECT sum(age) OVER (PARTITION BY getenv('HOME')) FROM scan_0",
    "SELECT sum(age) OVER (ORDER BY age ROWS length(getenv('HOME')) PRECEDING) FROM scan_0",
    "SELECT lag(age, 1, getenv('HOME')) OVER () FROM scan_0",
    "SELECT list_transform([1], lambda x: getenv('HOME'))",
    "SELECT [getenv(x) FOR x IN ['HOME']]",
    "SELECT [1, [getenv('HOME')]]",
    "SELECT {'a': getenv('HOME')}",
    "SELECT map {'a': getenv('HOME')}",
    "SELECT CASE WHEN true THEN getenv('HOME') END",
    "SELECT CAST(getenv('HOME') AS VARCHAR)",
    "SELECT try(getenv('HOME'))",
    "SELECT getenv('HOME') COLLATE NOCASE",
    "SELECT age IN (SELECT length(getenv('HOME'))) FROM scan_0",
    "SELECT (SELECT getenv('HOME'))",
    "SELECT 1 WHERE EXISTS (SELECT getenv('HOME'))",
    "SELECT * REPLACE (getenv('HOME') AS age) FROM scan_0",
    "SELECT COLUMNS(c -> c = getenv('HOME')) FROM scan_0",
    "SELECT DISTINCT ON (getenv('HOME')) age FROM scan_0",
    "VALUES (getenv('HOME'))",
    "FROM (VALUES (getenv('HOME')))",
    "SELECT 1 UNION ALL SELECT length(getenv('HOME'))",
    "WITH a AS (SELECT getenv('HOME')) FROM a",
    "WITH a AS MATERIALIZED (SELECT getenv('HOME')) FROM a",
    "FROM scan_0 a JOIN scan_0 b ON a.city = getenv('HOME')",
    "FROM range(length(getenv('HOME')))",
    "FROM unnest([getenv('HOME')])",
    # Table functions.
    "FROM read_csv('/etc/passwd')",
    "FROM main.read_csv('/etc/passwd')",
    "FROM system.main.range(3)",
    "FROM \"read_csv\"('/etc/passwd')",
    "FROM READ_TEXT('/etc/hostname')",
    "FROM read_blob('/etc/hostname')",
    "FROM read_json('/etc/hostname')",
    "FROM read_parquet('x')",
    "FROM parquet_metadata('x')",
    "FROM parquet_schema('x')",
    "FROM sniff_csv('/etc/passwd')",
    "FROM glob('/*')",
    "FROM query('SELECT 1')",
    "FROM query_table('scan_0')",
    "FROM json_execute_serialized_sql('{}')",
    "FROM duckdb_settings()",
    "FROM duckdb_functions()",
    "FROM duckdb_secrets()",
    "FROM pragma_version()",
    "FROM pragma_table_info('x')",
    "FROM gears_scan(0)",
    "FROM repeat(1, 10)",
    "FROM repeat_row(1, num_rows = 10)",
    "FROM test_all_types()",
    "FROM histogram_values(scan_0, age)",
    "FROM checkpoint()",
    "FROM enable_logging()",
    "FROM scan_0, LATERAL (FROM read_text(city))",
    "FROM arrow_scan(0, 0, 0)",
    "FROM pandas_scan(0)",
    "FROM python_arrow_scan(0)",
    "FROM seq_scan('x')",
    # Relations that are not the stage's.
    "FROM '/etc/passwd'",
    "FROM 'x.csv'",
    'FROM "x.parquet"',
    "FROM 's3://bucket/x.parquet'",
    "FROM duckdb_settings",
    "FROM duckdb_tables",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_class",
    "FROM pg_class",
    "FROM sqlite_master",
    "FROM memory.main.scan_0",
    "FROM main.scan_0",
    "FROM scan_x",
    "FROM scan_",
    "FROM scan_0 AT (VERSION => 1)",
    "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
    "WITH RECURSIVE pg_class AS (FROM pg_class UNION ALL FROM pg_class) FROM pg_class",
    "SELECT (WITH pg_class AS (SELECT 1) FROM pg_class) FROM pg_class",
    "WITH a AS (FROM pg_class), pg_class AS (SELECT 1) FROM a",
    # Clauses.
    "SELECT 1 FROM scan_0 USING SAMPLE 3",
    "FROM scan_0 TABLESAMPLE 10%",
    "FROM (DESCRIBE scan_0)",
    "FROM (SHOW TABLES)",
    "FROM (SUMMARIZE scan_0)",
    "SELECT $1",
    "SELECT ?",
    "WITH a AS (INSERT INTO t SELECT 1 RETURNING 1) FROM a",
    # Statements.
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE x",
    "",
    ";",
    "SELEC 1",
    "CREATE TABLE t (i INT)",
    "CREATE MACRO m() AS 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "INSERT INTO scan_0 VALUES (1)",
    "SET threads = 8",
    "RESET threads",
    "SET VARIABLE x = 1",
    "PRAGMA version",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL duckdb_settings()",
    "COPY (SELECT 1) TO '/tmp/gearsql-leak'",
    "COPY scan_0 FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/gearsql-leak'",
    "ATTACH '/tmp/gearsql-leak.db'",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "DESCRIBE scan_0",
    "SHOW ALL TABLES",
]

ALLOWED = [
    "SELECT count(*), sum(age), avg(age) EXPORT_STATE AS s FROM scan_0",
    "SELECT city, count(*) FROM scan_0 WHERE age > 3 AND city LIKE 'x%' GROUP BY ALL ORDER BY 2 DESC LIMIT 3",
    "WITH a AS (SELECT age FROM scan_0), b AS (FROM a) SELECT count(*) FROM b JOIN a USING (age)",
    "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a WHERE x < 3) SELECT max(x) FROM a",
    "SELECT (WITH a AS (SELECT 1) FROM a) FROM (WITH b AS (SELECT 2) FROM b)",
    "SELECT count(*) FROM scan_0, LATERAL (SELECT unnest([age, 1]))",
    "SELECT count(*) FROM scan_0, LATERAL unnest([age, 1]) u(x)",
    "SELECT count(*) FROM range(3) UNION ALL (VALUES (1), (2)) EXCEPT SELECT 7",
    "SELECT row_number() OVER (ORDER BY age), lag(age) OVER w, sum(age) OVER w FROM scan_0 WINDOW w AS ()",
    "SELECT GROUPING(city), city, count(*) FROM scan_0 GROUP BY ROLLUP (city)",
    "SELECT list_transform([1, 2], lambda x: x + 1)[1:2], {'a': 1}.a, map {'k': 1}['k'], 'x' COLLATE NOCASE",
    "SELECT CAST('[1]' AS INT[]), 1::DECIMAL(3, 2), try_cast('x' AS DATE), INTERVAL 1 DAY, DATE '2020-01-01'",
    "SELECT * EXCLUDE (city) FROM scan_0",
    "FROM (PIVOT scan_0 ON city IN ('a', 'b') USING sum(age))",
    "FROM (UNPIVOT (SELECT age, 1 AS b FROM scan_0) ON age, b)",
    "SELECT count(*) FROM json_each('[1]'), json_tree('{}')",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_what_no_plan_has_is_refused_by_the_shard(client: redis.Redis, sql: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"^GEARSREFUSED "):
        run(client, sql)


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_only_computes_passes_every_time(client: redis.Redis, sql: str) -> None:
    for _ in range(2):
        run(client, sql)


def test_a_refusal_names_what_is_refused(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError) as caught:
        run(client, "SELECT 1, getenv('x')")
    assert str(caught.value) == "GEARSREFUSED the function getenv may not stand in a stage"


def test_the_names_are_those_of_this_duckdb() -> None:
    with open("module/check_names.h") as file:
        assert file.read() == header(), "run `make names`"


@pytest.mark.parametrize("text", ["(" * 100_000 + "1", "SELECT " + "(" * 5000 + "1" + ")" * 5000])
def test_a_text_nested_too_deeply_is_refused(client: redis.Redis, text: str) -> None:
    with pytest.raises(redis.ResponseError, match="GEARS"):
        run(client, text)


@pytest.mark.parametrize(
    "text",
    [
        "WITH w AS (" * 10,
        "with w as materialized ((" * 10,
        "WITH w AS (SELECT 1 UNION (" * 10,
        "WITH w AS (EXPLAIN " * 10,
        "(scan_0 JOIN " * 2000,
        "SELECT " + "x -> POSITION(" * 40 + "1",
        "WITH w AS (" * 8 + "SELECT FROM FROM" + ")" * 8 + " SELECT 1",
        "WITH w AS (" * 4 + "SELECT " + "1, " * 20_000,
        r"""SELECT E'\'', "''", 1 FROM (""" + "WITH w AS (" * 10,
        "SELECT 1 -- WITH",
        "SELECT 1 /* WITH */",
        "SELECT $$WITH$$",
    ],
)
def test_what_the_parser_would_take_long_for_is_refused_before(client: redis.Redis, text: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"^GEARSREFUSED .* nested too deeply"):
        run(client, text)


def test_queries_in_with_may_begin_with_with(client: redis.Redis) -> None:
    run(client, "WITH w AS (" * 6 + "SELECT 1 AS x" + ") FROM w" * 6)
    run(client, "SELECT * FROM (WITH w AS (SELECT * FROM (" * 3 + "SELECT 1 AS x" + ")) FROM w)" * 3)
    run(client, r"""SELECT '-- /* $$ (AS (WITH', "--" FROM (SELECT E'\'--' AS "--")""")


def test_many_conditions_pass(client: redis.Redis) -> None:
    run(client, "SELECT count(*) FROM scan_0 WHERE " + " OR ".join(f"age = {i}" for i in range(800)))
    run(client, f"SELECT count(*) FROM scan_0 WHERE age IN ({', '.join(map(str, range(50_000)))})")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1" + ",1" * 140_000,
        "SELECT 1 FROM a" + ",a" * 400_000,
        r"SELECT E'\''" + ",1" * 140_000,
        "SELECT " + "[" * 270_000,
        "SELECT '" + "x" * (13 << 20) + "'",
    ],
)
def test_what_the_parser_would_need_too_much_memory_for_is_refused_before(
    client: redis.Redis, text: str
) -> None:
    with pytest.raises(redis.ResponseError, match=r"^GEARSMEMORY more than 805306368 bytes would be taken"):
        run(client, text)
    run(client, "SELECT '" + "1," * (1 << 20) + "'")


def test_the_memory_for_a_text_is_the_querys(client: redis.Redis) -> None:
    long = "SELECT 1" + ",1" * 3000
    words = execute_words(long, Scan(), options=["LIMITS", 1, "MEMORY_BYTES", 16 << 20])
    with pytest.raises(redis.ResponseError, match=r"^GEARSMEMORY more than 16777216 bytes would be taken"):
        client.execute_command(*words)
    run(client, long)


def test_invalid_text_is_refused(client: redis.Redis) -> None:
    words = execute_words("SELECT 1", Scan())
    with pytest.raises(redis.ResponseError, match="GEARS"):
        client.execute_command(*words[:-1], b"SELECT '\xff\xfe'")


def test_a_query_that_never_ends_is_cancelled(server: Cluster, client: redis.Redis) -> None:
    endless = "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT 1 FROM a) SELECT count(*) FROM a"
    quick = redis.Redis(port=server.ports[0], socket_timeout=0.5, retry=None, single_connection_client=True)
    with quick, pytest.raises(redis.TimeoutError):
        quick.execute_command(*execute_words(endless, Scan()))
    deadline = time.monotonic() + 5
    while client.info("gearsql")["gearsql_stages_running"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
