"""gearsql -u URL -c SQL, and the subcommands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gearsql.cli.demo import demo
from gearsql.cli.exits import errors_to_exits
from gearsql.cli.formats import FORMATS
from gearsql.cli.load import load
from gearsql.cli.module import module
from gearsql.cli.query import run_scripts
from gearsql.cli.serve import serve
from gearsql.version import VERSION

URL_HELP = "redis://, rediss:// or unix:// URL of a server; default: $GEARSQL_URL, else an embedded server."

SCAN_HELP = "Read each server in turns between other clients' commands, or as of one moment."
ACL_HELP = "When some keys may not be read: fail, or answer over the others and say how many were left out."


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-u", "--url", envvar="GEARSQL_URL", metavar="URL", help=URL_HELP)
@click.option(
    "-c", "--command", "commands", multiple=True, metavar="SQL", help="Statements to run; repeatable."
)
@click.option(
    "-f", "--file", "files", multiple=True, type=click.Path(allow_dash=True), help="A script; - is stdin."
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@click.option(
    "--reader", type=click.Choice(["auto", "module", "portable"]), default="auto", show_default=True
)
@click.option(
    "--scan", type=click.Choice(["sliced", "snapshot"]), default="sliced", show_default=True, help=SCAN_HELP
)
@click.option(
    "--acl", type=click.Choice(["error", "skip"]), default="error", show_default=True, help=ACL_HELP
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="For each statement."
)
@click.option(
    "--read-from",
    type=click.Choice(["primary", "replica", "replica-only"]),
    default="primary",
    show_default=True,
    help="Who runs a query's stages.",
)
@click.version_option(VERSION)
@click.pass_context
def gearsql(
    context: click.Context,
    url: str | None,
    commands: tuple[str, ...],
    files: tuple[str, ...],
    form: str,
    reader: str,
    scan: str,
    acl: str,
    read_from: str,
    timeout: float | None,
) -> None:
    """SQL over the hashes of a Redis or Valkey cluster, computed where they live.

    \b
    gearsql -u redis://host:6379 -c 'SELECT city, count(*) FROM "user:*" GROUP BY city'
    gearsql demo

    Exit codes: 0 all well, 1 a statement failed, 2 wrong usage, 3 the servers cannot be reached.
    """
    context.obj = url
    if context.invoked_subcommand is not None:
        return
    if not commands and not files and sys.stdin.isatty():
        click.echo(context.get_help())
        return
    scripts = [*commands, *map(_read, files or ([] if commands else ["-"]))]
    with errors_to_exits():
        run_scripts(url, scripts, FORMATS[form], reader, scan, acl, read_from, timeout)


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as e:
        raise click.UsageError(f"cannot read {file}: {e}") from e


for command in (load, serve, demo, module):
    gearsql.add_command(command)
