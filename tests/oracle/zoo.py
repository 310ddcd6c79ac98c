"""Small tables with everything odd in them, as native DuckDB tables: the hashes are made from these."""

from __future__ import annotations

COLUMNS = {
    "id": "VARCHAR",
    "n": "BIGINT",
    "g": "VARCHAR",
    "h": "INTEGER",
    "ti": "TINYINT",
    "si": "SMALLINT",
    "b": "BIGINT",
    "hu": "HUGEINT",
    "uti": "UTINYINT",
    "usi": "USMALLINT",
    "ui": "UINTEGER",
    "ub": "UBIGINT",
    "uhu": "UHUGEINT",
    "x": "DOUBLE",
    "d": "DOUBLE",
    "r": "FLOAT",
    "c": "DECIMAL(10,2)",
    "e": "DECIMAL(38,10)",
    "s": "VARCHAR",
    "big": "VARCHAR",
    "day": "DATE",
    "tod": "TIME",
    "ts": "TIMESTAMP",
    "tz": "TIMESTAMP WITH TIME ZONE",
    "iv": "INTERVAL",
    "f": "BOOLEAN",
    "en": "ENUM('z', 'a', '', 'it''s', 'ß')",
    "u": "UUID",
    "z": "BLOB",
    "j": "JSON",
    "li": "INTEGER[]",
    "st": "STRUCT(a INTEGER, b VARCHAR, c STRUCT(d DATE, e DECIMAL(10,2))[])",
    "ma": "MAP(VARCHAR, DOUBLE)",
    "ne": "MAP(VARCHAR, STRUCT(x BOOLEAN, j JSON, u UUID[]))[]",
}
"""`id` is in the key, the others are fields; `n` is never NULL."""

# name → (key template, its text before the id, number of rows)
TABLES = {
    "zoo": ("zoo:{id}", "zoo:", 3000),
    # One hash tag: all rows on one shard, the other shards are empty.
    "tag": ("tag:{{one}}:{id}", "tag:{one}:", 500),
    "lonely": ("lonely:{id}", "lonely:", 1),
    "nobody": ("nobody:{id}", "nobody:", 0),
}

# Ids that try the reader of keys: signs of glob patterns, NUL, other scripts, what looks like a template.
ODD_IDS = [
    "*",
    "?[a]",
    "\\",
    "a:b",
    ":",
    " ",
    "x\0y",
    "\0",
    "é",
    "日本語",
    "{}",
    "{one}",
    "}{",
    "\r\n",
    "%00",
    "'",
]


def create(name: str) -> str:
    """Return the CREATE TABLE of our own dialect."""
    columns = ", ".join(f"{column} {type_}" for column, type_ in COLUMNS.items())
    return f"CREATE OR REPLACE TABLE {name} ({columns}) WITH (key = '{TABLES[name][0]}')"


def native(name: str) -> str:
    """Return the CREATE TABLE … AS of DuckDB, `_key` included."""
    _, prefix, rows = TABLES[name]
    columns = ", ".join(f"({VALUES[column]})::{type_} AS {column}" for column, type_ in COLUMNS.items())
    return f"""CREATE TABLE {name} AS SELECT *, '{prefix}' || id AS _key
        FROM (SELECT {columns} FROM range({rows}) r(i), (SELECT $odd AS odd))"""


VALUES = {
    "id": "CASE WHEN i % 7 = 0 AND i // 7 < len(odd) THEN odd[i // 7 + 1] ELSE i::VARCHAR END",
    "n": "i",
    "g": "[NULL, '', '0', 'Zoë', 'zoë', '日本', 'a' || chr(0) || 'b', ' 0', 'g', 'g '][1 + (i * 7919) % 10]",
    "h": "CASE WHEN i % 11 <> 0 THEN i % 5 - 2 END",
    "ti": "[NULL, -128, 127, 0, -1][1 + i % 5]",
    "si": "[-32768, NULL, 32767, 7][1 + i % 4]",
    "b": """CASE i % 9 WHEN 0 THEN NULL WHEN 1 THEN 9223372036854775807 WHEN 2 THEN -9223372036854775808
        ELSE (i * 7919) % 1009 - 500 END""",
    "hu": """CASE i % 50 WHEN 0 THEN NULL WHEN 1 THEN 170141183460469231731687303715884105727
        WHEN 2 THEN -170141183460469231731687303715884105728
        ELSE i::HUGEINT * 100000000000000000000000 END""",
    "uti": "[255, 0, NULL][1 + i % 3]",
    "usi": "[65535, 1, NULL, 0][1 + i % 4]",
    "ui": "[4294967295, 2, 0, NULL, 17][1 + i % 5]",
    "ub": "[18446744073709551615::UBIGINT, 3::UBIGINT, NULL, 0::UBIGINT][1 + i % 4]",
    "uhu": """CASE i % 50 WHEN 0 THEN NULL WHEN 1 THEN 340282366920938463463374607431768211455
        ELSE i::UHUGEINT * 100000000000000000000000 END""",
    "x": "CASE WHEN i % 9 <> 0 THEN ((i * 31) % 997) / 7.0::DOUBLE - 50 END",
    "d": """['nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::DOUBLE, '-0.0'::DOUBLE, 0.0::DOUBLE, NULL, 5e-324::DOUBLE,
        1e308::DOUBLE, 0.1::DOUBLE, 1e-7::DOUBLE, 123456789012345680::DOUBLE][1 + (i * 31) % 11]""",
    "r": "CASE WHEN i % 17 <> 0 THEN (i % 37) / 4.0 + 0.1::FLOAT END",
    "c": "CASE WHEN i % 8 <> 0 THEN ((i * 37) % 100003) / 100 - 300 END",
    "e": "CASE WHEN i % 6 <> 0 THEN '12345678901234567' || (i % 10) || '.0000000' || (100 + i % 900) END",
    "s": """['007', '7', '07', NULL, '', '0', '-0', '1e3', '1_000', ' 7', '7 ', 'NaN', 'null', 'NULL',
        'true', '٣', '日本 ''quoted'' "and" \\n', chr(0), chr(128512),
        'O''Brien; DROP TABLE zoo'][1 + (i * 13) % 20]""",
    "big": """CASE i % 300 WHEN 0 THEN repeat('é', 500000) || i WHEN 150 THEN repeat('x', 65536)
        WHEN 7 THEN '' END""",
    "day": """CASE i % 13 WHEN 0 THEN NULL WHEN 1 THEN DATE '0001-01-01' WHEN 2 THEN DATE '9999-12-31'
        ELSE DATE '2024-02-27' + (i % 400)::INTEGER END""",
    "tod": "CASE WHEN i % 14 <> 0 THEN TIME '00:00:00' + INTERVAL (i * 28.123457) SECOND END",
    "ts": """CASE i % 15 WHEN 0 THEN NULL WHEN 1 THEN TIMESTAMP '1969-12-31 23:59:59.999999'
        ELSE TIMESTAMP '2024-12-30 23:59:58.5' + INTERVAL (i) HOUR END""",
    "tz": """CASE i % 15 WHEN 0 THEN NULL WHEN 1 THEN TIMESTAMPTZ '0001-01-01 00:00:00+00'
        WHEN 2 THEN TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'
        ELSE TIMESTAMPTZ '2024-12-30 23:59:58.5+02' + INTERVAL (i % 700) MINUTE END""",
    "iv": """CASE i % 16 WHEN 0 THEN NULL WHEN 1 THEN INTERVAL '-1 year -2 months 3 days -00:00:00.000001'
        WHEN 2 THEN INTERVAL '2562047:47:16.854775' WHEN 3 THEN INTERVAL '0 days'
        WHEN 4 THEN INTERVAL '1 month'
        WHEN 5 THEN INTERVAL '30 days' ELSE INTERVAL (i % 333) HOUR + INTERVAL (i % 7) DAY END""",
    "f": "[NULL, true, false][1 + i % 3]",
    "en": "[NULL, 'z', 'a', '', 'it''s', 'ß'][1 + (i * 7) % 6]",
    "u": "CASE WHEN i % 5 <> 0 THEN md5((i % 20)::VARCHAR)::UUID END",
    "z": """[NULL, '\\x00\\xFF\\xFE'::BLOB, ''::BLOB, '\\x0D\\x0A$-1\\x0D\\x0A'::BLOB, 'abc'::BLOB,
        '\\xC3'::BLOB][1 + i % 6]""",
    "j": """CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN 'null' WHEN 2 THEN '"Zoë \\u0000 \\ud83d\\ude00"'
        WHEN 3 THEN ' [1, 2.50, ' || i % 11 || '] ' WHEN 4 THEN (i % 5) || '.0e2'
        ELSE '{"a": {"b": [' || i % 3 || ', null]}, "c": "x' || i % 4 || '"}' END""",
    "li": "CASE WHEN i % 5 <> 0 THEN list_transform(range(i % 4), lambda y: nullif((i * 7 + y) % 10, 3)) END",
    "st": """CASE WHEN i % 6 <> 0 THEN {'a': nullif(i % 8, 5),
        'b': ['', 'x"y' || chr(92), NULL, chr(0) || 'é' || chr(10), 'longer than twelve bytes'][1 + i % 5],
        'c': CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN [] ELSE
            [{'d': DATE '2024-02-27' + (i % 9)::INTEGER, 'e': (i % 100) / 100}, NULL, {'d': NULL, 'e': -0.5}]
        END} END""",
    "ma": """CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN MAP {}
        WHEN 2 THEN MAP {'k': (i % 3)::DOUBLE, '': 'nan', 'Ö"': NULL}
        ELSE MAP {'k': (i % 5)::DOUBLE, 'i': '-inf', 'e': 1e300} END""",
    "ne": """CASE WHEN i % 7 <> 0 THEN [MAP {'p': {'x': i % 2 = 0, 'j': '{"q": [1, "' || i % 3 || '"]}',
        'u': [md5((i % 4)::VARCHAR)::UUID, NULL]}, 'n': NULL}, NULL, MAP {}] END""",
}
