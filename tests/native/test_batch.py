"""DuckDB's vectors → columns of a mailbox → vectors: the same rows; spoilt bytes do no harm."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import _duckdb
import pytest

from tests.native.conftest import FLAGS, MODULE, SANITIZE

SOURCES = ("batch", "hook_type", "hook_logical", "logical", "cast", "json_text")

# Values of each type as SQL over a row number i of 0 … 4,999; each is NULL where i % 7 = 3.
VALUES = {
    "BOOLEAN": "i % 3 = 0",
    "TINYINT": "(i % 256 - 128)::TINYINT",
    "SMALLINT": "(i * 13 % 65536 - 32768)::SMALLINT",
    "INTEGER": "(i * 858993 - 2147483648)::INTEGER",
    "BIGINT": "i * 1844674407370955 - 4611686018427387904",
    "HUGEINT": "i * 34028236692093846346337460743176821::HUGEINT - 85070591730234615865843651857942052864",
    "UHUGEINT": "i * 68056473384187692692674921486353642::UHUGEINT",
    "UTINYINT": "(i % 256)::UTINYINT",
    "USMALLINT": "(i * 13 % 65536)::USMALLINT",
    "UINTEGER": "(i * 858993)::UINTEGER",
    "UBIGINT": "(i * 3689348814741910::HUGEINT)::UBIGINT",
    "FLOAT": "if(i = 4, 'nan'::FLOAT, i / 7)::FLOAT",
    "DOUBLE": "if(i = 5, '-inf'::DOUBLE, i / 7)",
    "DECIMAL(4,1)": "(i - 2500)::DECIMAL(4,0) / 10",
    "DECIMAL(9,2)": "((i - 2500) * 39999)::DECIMAL(9,0) / 100",
    "DECIMAL(18,3)": "((i - 2500) * 399999999999)::DECIMAL(18,0) / 1000",
    "DECIMAL(38,10)": "((i - 2500)::HUGEINT * 39999999999999999999999)::DECIMAL(38,0) / 10000000000",
    "VARCHAR": "repeat('é' || i, (i % 9)::INTEGER)",
    "BLOB": "encode(repeat('é' || i, (i % 9)::INTEGER)) || '\\x00\\xFF'::BLOB",
    "DATE": "DATE '0001-01-01' + (i * 730)::INTEGER",
    "TIME": "TIME '00:00:00' + to_microseconds(i * 17279999)",
    "TIMESTAMP": "TIMESTAMP '0001-01-01' + to_days((i * 730)::INTEGER) + to_microseconds(i)",
    "TIMESTAMP WITH TIME ZONE": "to_timestamp(i * 1000000.5 - 1e9)",
    "INTERVAL": "to_months((i - 2500)::INTEGER) + to_days(i::INTEGER) + to_microseconds(-i)",
    "UUID": "md5(i::VARCHAR)::UUID",
}
NESTED = {
    "BIGINT[]": "list_transform(range(i % 5), lambda x: if(x = 2, NULL, x * i))",
    "VARCHAR[][]": "list_transform(range(i % 4), lambda x: if(x=1, NULL, [x || 'a', NULL, repeat('bc', 9)]))",
    'STRUCT("a" BIGINT, "b" VARCHAR)': "{a: i, b: if(i % 2 = 0, NULL, 'text number ' || i)}",
    'STRUCT("a" BIGINT)[]': "list_transform(range(i % 5), lambda x: if(x = 3, NULL, {a: x}))",
    'STRUCT("l" INTEGER[], "s" STRUCT("x" BLOB, "y" DATE))': (
        "{l: [i, NULL]::INTEGER[], s: if(i % 2 = 0, NULL, {x: i::VARCHAR::BLOB, y: DATE '2024-01-01'})}"
    ),
}
ROWS = 5000


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("batch") / "echo.so"
    sources = sorted(str(path) for stem in SOURCES for path in MODULE.glob(f"{stem}*.c"))
    harness = str(Path(__file__).with_name("batch_echo.c"))
    subprocess.run(["gcc", *FLAGS, *SANITIZE, "-o", str(built), harness, *sources, "-lm", "-ldl"], check=True)
    return built


class Echo:
    """A database of its own in the C harness; a function for each type."""

    def __init__(self, library: Path, room: int = 1 << 22) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.echo_open.restype = ctypes.c_char_p
        self.library.echo_number.restype = ctypes.c_int64
        assert self.library.echo_open(_duckdb.__file__.encode(), ctypes.c_size_t(room)) is None
        self.names: dict[str, str] = {}

    def name(self, type: str) -> str:
        if type not in self.names:
            self.names[type] = f"echo_{len(self.names)}"
            assert self.library.echo_register(self.names[type].encode(), type.encode())
        return self.names[type]

    def number(self, sql: str, seed: int = 0) -> int:
        error = ctypes.create_string_buffer(4096)
        found = self.library.echo_number(sql.encode(), seed, error, ctypes.c_size_t(len(error)))
        if error.value:
            raise ValueError(error.value.decode(errors="replace"))
        return int(found)

    def differing(self, type: str, rows: str) -> int:
        """How many rows of a relation of x come back as others."""
        call = self.name(type)
        return self.number(
            f"SELECT count(*) FROM (SELECT {call}(x) AS y, x FROM ({rows})) WHERE x IS DISTINCT FROM y"
        )


@pytest.fixture(scope="session")
def echo(library: Path) -> Echo:
    return Echo(library)


def rows_of(type: str, count: int = ROWS) -> str:
    value = (VALUES | NESTED)[type]
    cast = type if "STRUCT" not in type else type.replace('"', "")
    return f"SELECT if(i % 7 = 3, NULL, {value})::{cast} AS x FROM range({count}) AS t(i)"


@pytest.mark.parametrize("type", [*VALUES, *NESTED])
def test_all_values_come_back(echo: Echo, type: str) -> None:
    assert echo.number(f"SELECT count(x) FROM ({rows_of(type)})") == ROWS - len(range(3, ROWS, 7))
    assert echo.differing(type, rows_of(type)) == 0


@pytest.mark.parametrize("type", [*VALUES, *NESTED])
def test_few_rows_and_filtered_rows_come_back(echo: Echo, type: str) -> None:
    for count in (0, 1, 2, 63, 64, 65):
        assert echo.differing(type, rows_of(type, count)) == 0
    assert echo.differing(type, f"SELECT x FROM ({rows_of(type)}) WHERE hash(x) % 3 = 0") == 0
    assert echo.differing(type, f"SELECT NULL::{type} AS x FROM range(100)") == 0
    assert echo.differing(type, f"SELECT max(x) OVER () AS x FROM ({rows_of(type, 10)})") == 0


@pytest.mark.parametrize("type", [*VALUES, *NESTED])
def test_lists_and_structs_of_it_come_back(echo: Echo, type: str) -> None:
    inner = rows_of(type)
    lists = f"SELECT list(x) AS x FROM (SELECT x, row_number() OVER () % 700 AS g FROM ({inner})) GROUP BY g"
    assert echo.differing(f"{type}[]", lists) == 0
    assert echo.differing(f"{type}[]", f"SELECT list_slice(x, 2, 4) AS x FROM ({lists})") == 0
    assert echo.differing(f"{type}[]", f"SELECT list_reverse(x) AS x FROM ({lists})") == 0
    assert echo.differing(f"{type}[]", "SELECT [] AS x FROM range(9)") == 0
    struct = f'STRUCT("a" {type}, "b" BIGINT, "c" {type})'
    packed = f"SELECT {{a: x, b: 7, c: x}} AS x FROM ({inner})"
    assert echo.differing(struct, packed) == 0
    assert echo.differing(struct, f"SELECT if(random() < 0.5, NULL, x) AS x FROM ({packed})") == 0
    assert echo.differing(f"{struct}[]", f"SELECT [x, NULL, x] AS x FROM ({packed})") == 0


def test_a_list_that_lies_several_times_in_a_vector_comes_back(echo: Echo) -> None:
    joined = (
        "SELECT l AS x FROM (SELECT [1, 2, 3]::BIGINT[] AS l, 0 AS k) JOIN range(3000) AS t(i) ON i * 0 = k"
    )
    assert echo.differing("BIGINT[]", joined) == 0


def test_what_does_not_fit_is_refused(library: Path, tmp_path: Path) -> None:
    small = Echo(shutil.copy(library, tmp_path), room=1000)  # a copy has globals of its own
    for type in [*VALUES, *NESTED]:
        assert small.differing(type, rows_of(type, 5)) == 0
        for wrapped, rows in (
            (type, rows_of(type)),
            (f"{type}[]", f"SELECT [x, x] AS x FROM ({rows_of(type)})"),
        ):
            with pytest.raises(ValueError, match="full"):
                small.differing(wrapped, rows)


@pytest.mark.parametrize("type", [*VALUES, *NESTED])
def test_spoilt_bytes_are_refused_or_are_values(echo: Echo, type: str) -> None:
    """No crash, and DuckDB can print whatever came through."""
    call, refused = echo.name(type), set()
    for seed in range(1, 400):
        try:
            echo.number(f"SELECT sum(length({call}(x)::VARCHAR))::BIGINT FROM ({rows_of(type, 70)})", seed)
        except ValueError as error:
            refused.add(str(error))
    assert any("a column is cut off" in error for error in refused)
    known = ("cut off", "ascend", "neither 0 nor 1", "outside", "too many digits", "not UTF-8", "too long")
    assert all(any(word in error for word in known) for error in refused), refused
