"""The process behind peers/adbc.py; runs on a Python that has the driver, imports nothing of this repository.

Arguments: URL, table, pushdown, Arrow stream file. Answers a line of JSON when the rows are copied,
then one for each line of SQL on its input.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pyarrow.ipc


def main(url: str, table: str, pushdown: str, file: str) -> None:
    driver = import_module("adbc_driver_redis.dbapi")
    connection = driver.connect(url, {"adbc.redis.aggregate_pushdown": pushdown})
    with connection, connection.cursor() as cursor:
        with pyarrow.ipc.open_stream(file) as rows:
            cursor.adbc_statement.set_options(**{"adbc.redis.ingest.index_columns": "*"})
            cursor.adbc_ingest(table, rows.read_all(), mode="create")
        say(value=version("adbc-driver-redis"))
        for line in sys.stdin:
            answer(driver, connection, line)


def answer(driver: Any, connection: Any, sql: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            say(value=cursor.fetchall())
    except driver.Error as error:
        say(error=str(error))


def say(**reply: Any) -> None:
    print(json.dumps(reply, default=float), flush=True)


main(*sys.argv[1:])
