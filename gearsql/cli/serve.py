"""gearsql serve: a local server or cluster in the foreground."""

from __future__ import annotations

import signal
from types import FrameType

import click

from gearsql.cli.exits import errors_to_exits
from gearsql.embedded import Cluster


@click.command()
@click.option("--shards", default=1, show_default=True, help="How many servers; more than one are a cluster.")
@click.option("--port", type=int, help="Port of the first server, the others follow; default: free ports.")
@click.option("--dir", "directory", type=click.Path(file_okay=False), help="Keep the data here.")
def serve(shards: int, port: int | None, directory: str | None) -> None:
    """Run a local server or cluster with the module until Ctrl-C or SIGTERM; prints its URL."""
    signal.signal(signal.SIGTERM, _interrupt)
    with errors_to_exits(), Cluster(shards, directory=directory, port=port) as cluster:
        click.echo(cluster.url)
        try:
            signal.pause()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
