"""gearsql load: a CSV or Parquet file into hashes."""

from __future__ import annotations

import time
from pathlib import Path

import click
import duckdb

from gearsql.catalog.template import parse_template
from gearsql.cli.bar import row_progress
from gearsql.cli.exits import errors_to_exits
from gearsql.cluster.load import Loaded
from gearsql.cluster.load import load as load_rows
from gearsql.cluster.shards import Shards
from gearsql.errors import DataError

URL_HELP = "URL of a server; default: $GEARSQL_URL."


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-k", "--key", required=True, metavar="TEMPLATE", help="'flight:{id}'; {_row} is the row's number."
)
@click.option("-u", "--url", metavar="URL", help=URL_HELP)
@click.option("--null", "nulls", multiple=True, metavar="TEXT", help="A text in a CSV file that means NULL.")
@click.pass_obj
def load(inherited: str | None, file: str, key: str, url: str | None, nulls: tuple[str, ...]) -> None:
    """Load a CSV or Parquet file into hashes, one for each row.

    CSV fields are stored as they stand in the file. NULL is no field; columns in the key are no fields.
    """
    target = url or inherited
    if target is None:
        raise click.UsageError("where to? give -u URL or set $GEARSQL_URL")
    with errors_to_exits():
        begun = time.monotonic()
        loaded = load_file(target, Path(file), key, nulls)
        seconds = time.monotonic() - begun
        click.echo(f"{loaded.hashes:,} hashes in {seconds:.1f} s ({loaded.hashes / seconds:,.0f}/s)")
        if loaded.empty:
            click.echo(f"note: {loaded.empty:,} rows have no values and became no hashes", err=True)


def load_file(url: str, file: Path, key: str, nulls: tuple[str, ...] = ()) -> Loaded:
    """Load a file with a progress bar."""
    keys = parse_template(key)
    shards = Shards(url)
    try:
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.execute("SET enable_progress_bar = false")
            rows = read_file(connection, file, nulls)
            total = rows.shape[0]
            with row_progress(total, "loading") as progress:
                return load_rows(shards, rows, keys, progress)
    except duckdb.Error as e:
        raise DataError(f"cannot read {file}: {e}") from e
    finally:
        shards.close()


def read_file(
    connection: duckdb.DuckDBPyConnection, file: Path, nulls: tuple[str, ...]
) -> duckdb.DuckDBPyRelation:
    """Return the rows of a Parquet file, or of a CSV file with every value as text."""
    if file.suffix.lower() in (".parquet", ".pq"):
        return connection.sql("FROM read_parquet($file)", params={"file": str(file)})
    options = {"file": str(file), "nulls": ["", *nulls]}
    reading = (
        "read_csv($file, all_varchar = true, header = true, allow_quoted_nulls = false, nullstr = $nulls)"
    )
    return connection.sql(f"FROM {reading}", params=options)
