"""Changed statements through the front of our SQL: a statement, or an error of ours that has its place."""

from __future__ import annotations

import os
import random
import re
import resource
import sys
import threading
import time
from pathlib import Path

from gearsql.errors import Error
from gearsql.sql.parse import parse
from tests.fuzz.native import HERE

# ruff: noqa: E501
STATEMENTS = (
    'SELECT city, count(*) AS n, avg(age) FROM "user:*" WHERE age > 30 GROUP BY city HAVING count(*) > 1 ORDER BY n',
    'SELECT DISTINCT "a""b", CAST(x AS DECIMAL(10,2)) FROM t AS u ORDER BY 1 DESC NULLS LAST LIMIT 5 OFFSET 2',
    "SELECT CASE WHEN a IS NULL THEN 'x''y' ELSE b || $$c$$ END, a::BIGINT, -b % 3 FROM t WHERE a IN (1, 2e3, ?)",
    "SELECT sum(x) FILTER (WHERE y LIKE 'a%'), count(DISTINCT z), row_number() OVER (ORDER BY z) FROM t",
    "WITH w AS (SELECT 1 AS a) SELECT * FROM w JOIN t USING (a) WHERE a BETWEEN $1 AND $2 UNION ALL SELECT 1",
    "EXPLAIN SELECT f(x, y := 2) FROM t -- note",
    "CREATE TABLE users (id BIGINT, name VARCHAR NOT NULL) USING KEYS 'user:{id}' WITH (cast = 'strict')",
    "CREATE OR REPLACE FUNCTION f(x BIGINT, y VARCHAR[]) RETURNS STRUCT(a BIGINT) LANGUAGE python AS $$ return x $$",
    "INSERT INTO users (id, name) VALUES (1, 'a'), (?, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name || 'b' WHERE id > 1",
    "INSERT OR REPLACE INTO users BY NAME SELECT id, upper(name) AS name FROM t",
    "UPDATE users AS u SET name = u.name || 'x', age = (SELECT max(age) FROM t) WHERE id IN (1, 2)",
    "DELETE FROM users WHERE name LIKE 'a%'",
    "COPY (SELECT a, b FROM t) TO 'out.csv' WITH (FORMAT csv, HEADER true, DELIMITER ';')",
    "CREATE OR REPLACE VIEW v (a, b) AS SELECT x, y FROM t WHERE x = 1",
    "PIVOT t ON city, year % 2 IN (0, 1) USING sum(x) AS total GROUP BY a ORDER BY 1",
    "SELECT * FROM (PIVOT (FROM t WHERE a > 1) ON b USING count(*)) UNPIVOT (v FOR k IN (c, d))",
    "SUMMARIZE SELECT a, b FROM t USING SAMPLE 10%",
    "DROP TABLE IF EXISTS users",
    "DROP FUNCTION f",
    "SHOW TABLES",
    "DESCRIBE users",
)
PIECES = re.compile(r"\w+|\s+|.", re.DOTALL)
EXTRA = (
    *(
        "(",
        ")",
        ",",
        ";",
        "'",
        '"',
        "$$",
        "--",
        "/*",
        "*/",
        "\\",
        "\0",
        "\n",
        "?",
        "$1",
        "::",
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        "é",
        "𝄞",
        "\u202e",
        "\ud800",
        "1e999",
        "0x",
        "9" * 40,
        "NULL",
        "SELECT",
        "FROM",
        "GROUP",
        "OVER",
        "LATERAL",
    ),
    *(
        "INSERT",
        "UPDATE",
        "DELETE",
        "COPY",
        "PRAGMA",
        "SUMMARIZE",
        "PIVOT",
        "QUALIFY",
        "INTERVAL",
        "E'\\x'",
        "(",
    ),
)


MOST_SECONDS = 2.0
"""Of a processor, for one input."""
MOST_BYTES = 4 << 30
"""Of memory, for all of them."""


def run(inputs: int, seed: int) -> str | None:
    """Return the first text that raised what it may not, or took too long, and what that was."""
    chosen = random.Random(seed)
    words = [piece for text in STATEMENTS for piece in PIECES.findall(text)] + list(EXTRA)
    with Watch(HERE / "sql-crash") as watch:
        for _ in range(inputs):
            text = changed(chosen, words)
            watch.begin(text)
            problem = tried(text)
            if problem is None and watch.late():  # A machine that is short of memory is late once.
                watch.begin(text)
                problem = tried(text) or watch.late()
            if problem is not None:
                watch.keep()
                return f"{text!r}: {problem}"
    return None


def tried(text: str) -> str | None:
    """Parse a text, and return what is wrong with that."""
    try:
        parse(text)
    except Error as error:
        if error.position is None or error.text is None:
            return None
        # A caret may stand behind the last character: something is missing there.
        if not 0 <= error.position.start <= error.position.end <= len(error.text) + 1:
            return f"no such place {error.position}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


class Watch:
    """Times each input and bounds their memory; one that does not end is kept, and ends the process after a minute of the processor."""

    GIVEN_UP = 60.0

    def __init__(self, file: Path) -> None:
        """Keep what is found in `file`."""
        self._file = file
        self._text, self._used = "", time.process_time()
        self._over = threading.Event()
        self._limits = resource.getrlimit(resource.RLIMIT_AS)

    def __enter__(self) -> Watch:
        """Begin to watch."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.unlink(missing_ok=True)
        threading.Thread(target=self._watch, daemon=True).start()
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, self._limits[1]))
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        self._over.set()
        resource.setrlimit(resource.RLIMIT_AS, self._limits)

    def begin(self, text: str) -> None:
        """Begin an input."""
        self._text, self._used = text, time.process_time()

    def late(self) -> str | None:
        """Say so if the input at hand took too long."""
        used = time.process_time() - self._used
        return f"{used:.1f} s" if used > MOST_SECONDS else None

    def keep(self) -> None:
        """Write the input at hand to the file."""
        self._file.write_text(self._text, errors="surrogatepass")

    def _watch(self) -> None:
        """DuckDB runs without the GIL, so that this thread runs meanwhile."""
        while not self._over.wait(1):
            if time.process_time() - self._used > self.GIVEN_UP:
                self.keep()
                print(f"{self._text!r} does not end", file=sys.stderr, flush=True)
                os._exit(3)


def changed(chosen: random.Random, words: list[str]) -> str:
    """Take a statement and change some pieces of it."""
    pieces = PIECES.findall(chosen.choice(STATEMENTS))
    for _ in range(chosen.randrange(1, 6)):
        at = chosen.randrange(len(pieces) + 1)
        match chosen.randrange(6):
            case 0:
                pieces[at:at] = [chosen.choice(words)]
            case 1:
                pieces[at : at + 1] = [chosen.choice(words)]
            case 2:
                del pieces[at : at + chosen.randrange(1, 4)]
            case 3:
                pieces[at:at] = pieces[at : at + chosen.randrange(1, 12)] * chosen.choice((1, 1, 1, 40))
            case 4:
                other = PIECES.findall(chosen.choice(STATEMENTS))
                pieces[at:] = other[chosen.randrange(len(other)) :]
            case 5:
                pieces = repeated(chosen, pieces)
    return "".join(pieces)


OPENERS = (
    *(
        "(",
        "[",
        "{'a': ",
        "(SELECT ",
        "(FROM ",
        "WITH w AS (",
        "WITH w AS MATERIALIZED (",
        "SELECT 1 UNION (",
        "SELECT ",
    ),
    *(
        "CASE WHEN ",
        "CASE a WHEN ",
        "NOT ",
        "- ",
        "EXISTS (",
        "CAST(",
        "f(",
        "position(",
        "x -> ",
        "lambda x: ",
        "a.",
        "1 + ",
    ),
    *(
        "t JOIN (",
        "a IN (",
        "FROM (",
        "PIVOT (",
        "EXPLAIN ",
        "VALUES (",
        "a BETWEEN ",
        "INTERVAL ",
        "struct_pack(a := ",
    ),
)


def repeated(chosen: random.Random, pieces: list[str]) -> list[str]:
    """Repeat some of its pieces, or what opens something, 2 to 14 times, behind a head of it, with an end or without."""
    head, rest = sorted(chosen.randrange(len(pieces) + 1) for _ in range(2))
    part = []
    for _ in range(chosen.randrange(1, 4)):
        at = chosen.randrange(len(pieces) + 1)
        opener = chosen.choice(OPENERS)
        part.append(chosen.choice((opener, opener, "".join(pieces[at : at + chosen.randrange(1, 12)]) + " ")))
    times = chosen.randrange(2, 15)
    end = [")"] * chosen.choice((0, times)) + chosen.choice(([], pieces[rest:]))
    return [*chosen.choice(([], pieces[:head])), *part * times, *end]
