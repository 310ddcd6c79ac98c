"""Runs scripts and prints their answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

import click
import pyarrow as pa

from gearsql.cli.bar import query_progress
from gearsql.cli.exits import answers_written
from gearsql.cli.formats import Format, plan_lines, property_lines, table
from gearsql.cli.script import statements
from gearsql.cluster.presence import Wanted
from gearsql.dbapi import Cursor, connect
from gearsql.plan.stages import AclMode, ReadFrom, ScanMode
from gearsql.sql.parse import parse
from gearsql.sql.statements import DescribeFunction, Explain


def run_scripts(
    url: str | None,
    scripts: Sequence[str],
    form: Format,
    reader: str,
    scan: str,
    acl: str,
    read_from: str,
    timeout: float | None = None,
) -> None:
    """Run all statements in order and print each answer; the first error ends it."""
    modes = cast(ScanMode, scan), cast(AclMode, acl), cast(ReadFrom, read_from)
    with connect(
        url,
        reader=cast(Wanted, reader),
        scan=modes[0],
        acl=modes[1],
        read_from=modes[2],
        files=True,
        timeout=timeout,
    ) as connection:
        for script in scripts:
            for statement in statements(script):
                with connection.cursor() as cursor:
                    run_and_print(cursor, statement, form)


def run_and_print(cursor: Cursor, statement: str, form: Format) -> None:
    """Run a statement and print its answer; a plan and a function's source have no grid."""
    run_statement(cursor, statement)
    print_answer(cursor, _without_grid(statement) if form is table else form)


def run_statement(cursor: Cursor, statement: str) -> None:
    """Execute with a progress bar; what there is to say beside the rows goes to stderr."""
    with query_progress(cursor):
        cursor.execute(statement)
    for _, message in cursor.messages:
        click.echo(f"note: {message}", err=True)


def print_answer(cursor: Cursor, form: Format) -> None:
    """Print the rows, if the statement has any."""
    if cursor.description is None:
        return
    types: list[Any] = [column[1] for column in cursor.description]
    answer: pa.Table = cursor.fetch_arrow_table()
    with answers_written():
        for line in form(answer, types):
            # Not click.echo, which takes bytes that look like colours out of the data.
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _without_grid(statement: str) -> Format:
    match parse(statement):
        case Explain():
            return plan_lines
        case DescribeFunction():
            return property_lines
        case _:
            return table
