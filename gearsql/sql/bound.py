"""The bound query: knows tables and types, nothing of sockets. The front end's product, the split's input."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from gearsql.catalog.table import Table
from gearsql.sql.hooks import Hooks


@dataclass(frozen=True)
class ResultColumn:
    """A column of an answer: DuckDB's own name and type for it."""

    name: str
    type: str


@dataclass(frozen=True)
class BoundQuery:
    """A SELECT over one table that DuckDB has bound.

    `text` is the user's SELECT, parameters written in as typed constants; it names the table as the user did.
    `tree` is the normalised tree: stars, ordinals, GROUP BY ALL, ORDER BY ALL and references to aliases are
    written out, columns are unqualified and quoted in the catalog's spelling. It is None if the plan that
    DuckDB binds from its text is not the plan of `text`: then rows are gathered and `text` itself runs.
    `reads` are the names of the table's columns (maybe `_key`) that the query uses, in the table's order.
    `hooks` are the users' functions that it calls. Aggregates stand in `text` and `tree` as the user calls
    them, table functions in `text` as DuckDB binds them (hooks.py, sources.py). `exploded` is what these add
    behind the tree's table in FROM. `source` is the relation that shards read; without one, the table's scan.
    """

    text: str
    tree: exp.Select | None
    table: Table
    columns: tuple[ResultColumn, ...]
    reads: tuple[str, ...]
    hooks: Hooks = ()
    exploded: str = ""
    source: str = ""


@dataclass(frozen=True)
class Part:
    """A relation of a wide query's text: `name`, with columns c0, c1, …, what a query over one table gives.

    `table` is that table as the user knows it. `rows` says that it gives its rows one by one, not groups;
    `lean`, that it gives no column that the query does not read.
    """

    name: str
    bound: BoundQuery
    table: Table
    rows: bool = False
    lean: bool = False

    def shown(self, place: int) -> str | None:
        """The table's column that one of the part's is, None if it is no column as it stands."""
        tree = self.bound.tree
        item = tree.expressions[place].unalias() if tree and place < len(tree.expressions) else None
        return item.name if isinstance(item, exp.Column) else None


@dataclass(frozen=True)
class Join:
    """A SELECT of a wide query that is a block but for its FROM: it joins the relations that it `takes`.

    `text` is the whole of it, over parts and earlier joins; its answer has columns c0, c1, … where `name`
    stands. `bound` is the block alone, over a relation of the same name: `rows`, behind `ctes`. Each of the
    parts in `stays` gives each row of its own a share in these, whatever its other rows are: so they may
    lie on several shards, as long as all of the rest is there. Those in `together`, each as often as it is
    joined, may do so all at once: rows of theirs that meet are on one shard (together.py).
    """

    name: str
    text: str
    bound: BoundQuery
    ctes: str
    rows: str
    takes: tuple[str, ...]
    stays: tuple[str, ...]
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class WideScan:
    """A table of a wide query: its name in the text, and the columns that it has to have to be bound."""

    name: str
    table: Table
    reads: tuple[str, ...]


@dataclass(frozen=True)
class WideBound:
    """A query of any shape (wide.py) that DuckDB has bound.

    `text` is DuckDB's own for it, over the relations of `scans`. `merged` is it over those of `parts`, in
    which blocks and filters are already, and of `joins`; `takes` are the ones that it names. If the whole is
    a join, `merged` is that join's text, and `whole` its name.
    """

    text: str
    scans: tuple[WideScan, ...]
    merged: str
    parts: tuple[Part, ...]
    columns: tuple[ResultColumn, ...]
    hooks: Hooks = ()
    joins: tuple[Join, ...] = ()
    takes: tuple[str, ...] = ()
    whole: str = ""
