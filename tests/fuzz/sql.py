"""Changed statements through the front of our SQL: a statement, or an error of ours that has its place."""

from __future__ import annotations

import random
import re

from gearsql.errors import Error
from gearsql.sql.parse import parse

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


def run(inputs: int, seed: int) -> str | None:
    """Return the first text that raised what it may not, and what that was."""
    chosen = random.Random(seed)
    words = [piece for text in STATEMENTS for piece in PIECES.findall(text)] + list(EXTRA)
    for _ in range(inputs):
        text = changed(chosen, words)
        try:
            parse(text)
        except Error as error:
            if error.position is None or error.text is None:
                continue
            # A caret may stand behind the last character: something is missing there.
            if not 0 <= error.position.start <= error.position.end <= len(error.text) + 1:
                return f"{text!r}: no such place {error.position}"
        except Exception as error:
            return f"{text!r}: {type(error).__name__}: {error}"
    return None


def changed(chosen: random.Random, words: list[str]) -> str:
    """Take a statement and change some pieces of it."""
    pieces = PIECES.findall(chosen.choice(STATEMENTS))
    for _ in range(chosen.randrange(1, 6)):
        at = chosen.randrange(len(pieces) + 1)
        match chosen.randrange(5):
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
    return "".join(pieces)
