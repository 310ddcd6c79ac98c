"""gearsql module: the line for a server's own configuration."""

from __future__ import annotations

import click

from gearsql.cli.exits import errors_to_exits
from gearsql.embedded.module_line import module_arguments


@click.command()
def module() -> None:
    """Print the loadmodule line for a server's own configuration.

    The server embeds the Python and the DuckDB that this gearsql is installed with.
    """
    with errors_to_exits():
        click.echo(" ".join(["loadmodule", *map(_quoted, module_arguments())]))


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if " " in word or escaped != word else word
