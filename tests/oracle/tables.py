"""Tables of an oracle as hashes: loaded under the keys of their templates, declared with their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import gearsql
from gearsql.catalog.template import parse_template
from gearsql.cluster.load import load
from gearsql.cluster.shards import Shards
from tests.oracle.judge import Oracle


@contextmanager
def filled(url: str, native: Oracle, templates: Mapping[str, str]) -> Iterator[gearsql.Connection]:
    """Load and declare the tables that `templates` names."""
    shards = Shards(url)
    with gearsql.connect(url) as connection:
        for name, template in templates.items():
            rows = native.connection.sql(f"FROM {name}")
            (count,) = native.connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0]
            assert load(shards, rows, parse_template(template)).hashes == count
            columns = ", ".join(f"{c} {t}" for c, t in zip(rows.columns, rows.types, strict=True))
            connection.execute(f"CREATE TABLE {name} ({columns}) WITH (key = '{template}')")
        shards.close()
        yield connection
