"""gearsql load: a CSV or Parquet file into hashes."""

from __future__ import annotations

import time
from pathlib import Path

import click
import duckdb

from gearsql.catalog.template import parse_template
from gearsql.cli.bar import row_progress
from gearsql.cli.exits import errors_to_exits
from gearsql.cluster.load import Loaded, check_rows
from gearsql.cluster.load import load as load_rows
from gearsql.cluster.shards import Shards
from gearsql.cluster.source import find_fault, read_file

URL_HELP = "URL of a server; default: $GEARSQL_URL."


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-k", "--key", required=True, metavar="TEMPLATE", help="'flight:{id}'; {_row} is the row's number."
)
@click.option("-u", "--url", metavar="URL", help=URL_HELP)
@click.option("--null", "nulls", multiple=True, metavar="TEXT", help="A text in a CSV file that means NULL.")
@click.option("--delimiter", metavar="CHARACTER", help="Between CSV fields; default: comma, in .tsv a tab.")
@click.pass_obj
def load(
    inherited: str | None, file: str, key: str, url: str | None, nulls: tuple[str, ...], delimiter: str | None
) -> None:
    """Load a CSV or Parquet file into hashes, one for each row.

    CSV fields are stored as they stand in the file. NULL is no field; columns in the key are no fields. The
    whole file is checked before the first hash is written.
    """
    target = url or inherited
    if target is None:
        raise click.UsageError("where to? give -u URL or set $GEARSQL_URL")
    sign = "\t" if delimiter == r"\t" else delimiter
    if sign is not None and (len(sign) != 1 or sign in '"\r\n'):
        raise click.UsageError("--delimiter is one character, and no quote; \\t is a tab")
    with errors_to_exits():
        begun = time.monotonic()
        loaded = load_file(target, Path(file), key, nulls, sign)
        seconds = time.monotonic() - begun
        click.echo(f"{loaded.hashes:,} hashes in {seconds:.1f} s ({loaded.hashes / seconds:,.0f}/s)")
        if loaded.empty:
            rows = "row has no values and became no hash"
            if loaded.empty > 1:
                rows = "rows have no values and became no hashes"
            click.echo(f"note: {loaded.empty:,} {rows}", err=True)


def load_file(
    url: str, file: Path, key: str, nulls: tuple[str, ...] = (), delimiter: str | None = None
) -> Loaded:
    """Check a file, then load it with a progress bar."""
    keys = parse_template(key)
    sign = delimiter or ("\t" if file.suffix.lower() == ".tsv" else ",")
    shards = Shards(url)
    try:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.execute("SET enable_progress_bar = false")
            rows = read_file(connection, file, nulls, sign)
            total = check_rows(rows, keys)
            with row_progress(total, "loading") as progress:
                return load_rows(shards, rows, keys, progress)
    except duckdb.Error as error:
        raise find_fault(file, sign, error) from error
    finally:
        shards.close()
