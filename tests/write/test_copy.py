"""COPY: what goes out comes back the same, in each format; and what it refuses."""

import datetime
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import (
    DataError,
    Error,
    KeyExistsError,
    NotSupportedError,
    ProgrammingError,
    SqlSyntaxError,
    UnknownColumnError,
)

COLUMNS = "id INTEGER, a BIGINT, b VARCHAR, c DOUBLE, d DECIMAL(2,2), e BLOB, f TIMESTAMP, g BOOLEAN, h UUID"
COLUMNS += ", i UHUGEINT, j TIMESTAMPTZ, k INTERVAL, l ENUM('z', 'it''s', 'a')"
MOMENT = datetime.datetime(2024, 2, 29, 1, 2, 3)
TIMES = (datetime.datetime(1, 1, 1, tzinfo=UTC), datetime.timedelta(3, 2, 1000))
ROWS: list[tuple[Any, ...]] = [
    (1, 2**62, "", 0.1, Decimal("0.50"), b"\x00\xff,", MOMENT, True, None, 7, *TIMES, "it's"),
    (2, None, 'é,"\n', -1e300, None, b"", None, False, *[None] * 5),
    (3, -1, *[None] * 11),
]


@pytest.fixture
def copying(place: Cluster) -> Any:
    """A connection that may use files, with the table c of three rows."""
    with gearsql.connect(place.url, files=True) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE c ({COLUMNS}) WITH (key = 'wc:{{id}}')")
        connection.execute("DELETE FROM c")
        connection.cursor().executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
        yield connection
        connection.execute("DELETE FROM c")
        connection.execute("DROP TABLE c")


def rows(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM c ORDER BY id").fetchall()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.csv", ""),
        ("x.tsv", ""),
        ("x.csv", "(HEADER false, DELIMITER ';')"),
        ("x.csv", "WITH (FORMAT csv, NULL 'none')"),
        ("x.parquet", ""),
        ("x.file", "(FORMAT parquet)"),
        ("x.json", ""),
    ],
)
def test_what_goes_out_comes_back(copying: Connection, tmp_path: Path, name: str, options: str) -> None:
    file = tmp_path / name
    assert copying.execute(f"COPY c TO '{file}' {options}").rowcount == 3
    assert copying.execute("DELETE FROM c").rowcount == 3
    assert copying.execute(f"COPY c FROM '{file}' {options}").rowcount == 3
    assert rows(copying) == ROWS
    with pytest.raises(KeyExistsError) as raised:
        copying.execute(f"COPY c FROM '{file}' {options}")
    assert raised.value.hint is not None and raised.value.hint.startswith("COPY takes new keys")


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json"])
def test_values_with_parts_go_out_and_come_back(copying: Connection, tmp_path: Path, name: str) -> None:
    columns = "id INTEGER, i STRUCT(x INTEGER, y VARCHAR)[], j MAP(VARCHAR, DATE), k JSON"
    copying.execute(f"CREATE OR REPLACE TABLE c ({columns}) WITH (key = 'wn:{{id}}')")
    copying.execute("""INSERT INTO c VALUES (2, [], MAP {}, '7'), (3, NULL, NULL, '[1]'), (1,
        [{'x': 1, 'y': 'a, "b"' || chr(10)}, NULL, {'x': NULL, 'y': ''}],
        MAP {'': NULL, 'k': DATE '2024-02-29'}, '{}')""")
    before = rows(copying)
    assert before[0][1] == [{"x": 1, "y": 'a, "b"\n'}, None, {"x": None, "y": ""}]
    copying.execute(f"COPY c TO '{tmp_path / name}'")
    copying.execute("DELETE FROM c")
    copying.execute(f"COPY c FROM '{tmp_path / name}'")
    assert rows(copying) == before


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json"])
def test_strings_of_json_keep_their_quotes(copying: Connection, tmp_path: Path, name: str) -> None:
    columns = "id INTEGER, j JSON, l JSON[]"
    copying.execute(f"CREATE OR REPLACE TABLE c ({columns}) WITH (key = 'wj:{{id}}')")
    texts = ['"1"', '"null"', '"[1]"', '"NULL"', '"é\\""', '{"a":"1"}']
    copying.cursor().executemany(
        "INSERT INTO c VALUES (?, ?, [?::JSON, NULL])", [(n, t, t) for n, t in enumerate(texts)]
    )
    before = rows(copying)
    assert [row[1] for row in before] == texts
    copying.execute(f"COPY c TO '{tmp_path / name}'")
    copying.execute("DELETE FROM c")
    copying.execute(f"COPY c FROM '{tmp_path / name}'")
    assert rows(copying) == before


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json"])
def test_decimals_keep_all_digits(copying: Connection, tmp_path: Path, name: str) -> None:
    columns = "id INTEGER, d DECIMAL(38,10), l DECIMAL(19,10)[], s STRUCT(p DECIMAL(25,5)), f DECIMAL(5,5)"
    copying.execute(f"CREATE OR REPLACE TABLE c ({columns}) WITH (key = 'wd:{{id}}')")
    copying.execute("""INSERT INTO c VALUES
        (1, -0.0000000001, [123456789.1234567891, NULL], {'p': 12345678901234567890.12345}, 0.00001),
        (2, 1234567890123456789012345678.0123456789, [], NULL, NULL), (3, 5, NULL, {'p': NULL}, -0.5)""")
    before = rows(copying)
    copying.execute(f"COPY c TO '{tmp_path / name}'")
    copying.execute("DELETE FROM c")
    copying.execute(f"COPY c FROM '{tmp_path / name}'")
    assert rows(copying) == before


def test_a_json_file_may_have_texts_among_its_numbers(copying: Connection, tmp_path: Path) -> None:
    file = tmp_path / "mixed.json"
    file.write_text('{"id": 1, "d": 1.5, "w": 12345678901234567.25}\n{"id": 2, "d": "0.25", "w": "7.5"}\n')
    columns = "id INTEGER, d DECIMAL(8,2), w DECIMAL(30,2)"
    copying.execute(f"CREATE OR REPLACE TABLE c ({columns}) WITH (key = 'wm:{{id}}')")
    copying.execute(f"COPY c FROM '{file}'")
    assert [tuple(map(str, row)) for row in rows(copying)] == [
        ("1", "1.50", "12345678901234567.25"),
        ("2", "0.25", "7.50"),
    ]


def test_a_query_goes_out_as_duckdb_reads_it(copying: Connection, tmp_path: Path) -> None:
    file = tmp_path / "it's.parquet"
    text = str(file).replace("'", "''")
    copying.execute(f"COPY (SELECT id AS n, c FROM c WHERE id < 3) TO '{text}'")
    read = duckdb.connect().execute("SELECT n, c FROM read_parquet(?) ORDER BY n", [str(file)])
    assert read.fetchall() == [(1, 0.1), (2, -1e300)]


def test_columns_go_by_name_or_in_the_order_of_a_list(copying: Connection, tmp_path: Path) -> None:
    file = tmp_path / "part.csv"
    file.write_text("b,id\nx,11\ny,12\n")
    assert copying.execute(f"COPY c FROM '{file}'").rowcount == 2
    file.write_text("foo,bar\n13,5\n")
    assert copying.execute(f"COPY c (id, a) FROM '{file}'").rowcount == 1
    found = copying.execute("SELECT id, a, b FROM c WHERE id > 10 ORDER BY id").fetchall()
    assert found == [(11, None, "x"), (12, None, "y"), (13, 5, None)]


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("id,a\n21,1\n22,1.5\n", DataError, r"row 2, column a: '1.5' is not a BIGINT"),
        ("id,aa\n21,1\n", UnknownColumnError, "no column aa"),
        ("a\n1\n", ProgrammingError, "no value for id"),
        ("id,a\n21,1\n22\n", DataError, "line 3: 1 value for 2 columns"),
        ("id,a\n,1\n", DataError, "cannot be NULL"),
        ("id,a\n1,1\n21,1\n", KeyExistsError, "wc:1"),
    ],
)
def test_a_file_that_does_not_fit_writes_nothing(
    copying: Connection, tmp_path: Path, text: str, error: type[Error], match: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(error, match=match) as raised:
        copying.execute(f"COPY c FROM '{file}'")
    assert raised.value.line == 1 and raised.value.text is not None
    assert rows(copying) == ROWS


@pytest.mark.parametrize(
    ("statement", "error", "under"),
    [
        ("COPY c TO 'x' (FORMAT orc)", ProgrammingError, "orc"),
        ("COPY c TO 'x' (DELIMITER 'ab')", ProgrammingError, "'ab'"),
        ("COPY c TO 'x' (HEADER maybe)", ProgrammingError, "maybe"),
        ("COPY c TO 'x' (COMPRESSION zstd)", NotSupportedError, "COMPRESSION"),
        ("COPY c TO 'https://example.invalid/x'", NotSupportedError, "'https://example.invalid/x'"),
        ("COPY c FROM '/no/such/file'", DataError, "'/no/such/file'"),
        ("COPY c FROM '/tmp/*'", DataError, "'/tmp/*'"),
        ("COPY c (nix) TO '/tmp/x'", UnknownColumnError, "nix"),
        ("COPY nix TO '/tmp/x'", ProgrammingError, "nix"),
        ("COPY (SELECT nix FROM c) TO '/tmp/x'", UnknownColumnError, "nix"),
        ("COPY c TO '/no/such/place/x'", DataError, "'/no/such/place/x'"),
        ("COPY c", SqlSyntaxError, None),
    ],
)
def test_the_caret_is_under_the_fault(
    one_server: Cluster, statement: str, error: type[Error], under: str | None
) -> None:
    with gearsql.connect(one_server.url, files=True) as connection:
        connection.execute("CREATE OR REPLACE TABLE c (id INTEGER, a INTEGER) WITH (key = 'wc:{id}')")
        with pytest.raises(error) as raised:
            connection.execute(statement)
        fault = raised.value
        assert fault.text == statement
        if under is not None:
            assert fault.position is not None
            assert statement[fault.position.start : fault.position.end] == under


def test_a_connection_must_allow_files(one_server: Cluster, tmp_path: Path) -> None:
    with gearsql.connect(one_server.url) as connection:
        connection.execute("CREATE OR REPLACE TABLE c (id INTEGER, a INTEGER) WITH (key = 'wc:{id}')")
        with pytest.raises(NotSupportedError, match=r"files=True"):
            connection.execute(f"COPY c TO '{tmp_path / 'x'}'")
    assert not list(tmp_path.iterdir())
