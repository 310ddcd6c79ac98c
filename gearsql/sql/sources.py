"""FROM: one table, and users' table functions that make rows of each of its rows.

`FROM t, tags(t.body)`, LATERAL or not, and JOIN … ON true; DuckDB binds each as a LATERAL subquery that
unnests the list of rows. A function alone in FROM needs no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from duckdb.sqltypes import DuckDBPyType

from gearsql.catalog.function import Known
from gearsql.catalog.hook_types import quoted
from gearsql.catalog.names import fold
from gearsql.catalog.table import KEY_COLUMN, Glob, Table
from gearsql.errors import NotSupportedError, Position, ProgrammingError
from gearsql.sql.calls import find_calls
from gearsql.sql.hooks import explodes
from gearsql.sql.splice import Edit
from gearsql.sql.syntax import Node, Syntax, children
from gearsql.sql.tokens import first_word

NO_TABLE = Table("nothing", Glob(b""), (), declared=True)
"""The table of a query that has none."""


@dataclass(frozen=True)
class Relation:
    """What a query may name of one thing in FROM.

    `name` is folded, `title` is for messages. `columns` leads from a column's own name to one that no other
    in FROM has. `hidden` are those that a star leaves out. `call` is a table function's reference, `outer`
    says that it is LEFT JOINed. `structs` are the members of columns that are structs.
    """

    name: str
    title: str
    columns: tuple[tuple[str, str], ...]
    hidden: frozenset[str] = frozenset()
    call: Node | None = None
    outer: bool = False
    structs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def members(self, column: str) -> tuple[str, ...]:
        """What `column.*` stands for, by the column's folded name; () if it is no struct."""
        return next((members for own, members in self.structs if fold(own) == column), ())

    def unique(self, column: str) -> str | None:
        """The unique name of a folded one."""
        return next((unique for own, unique in self.columns if fold(own) == column), None)


def source(syntax: Syntax) -> tuple[str | None, Position]:
    """The table's name in the FROM of a block and its place; no name if a function stands there alone."""
    table = base_of(syntax.select)
    if table["type"] != "BASE_TABLE":
        return None, syntax.position(table) or first_word(syntax.text).position
    return table["table_name"], name_position(syntax, table)


def name_position(syntax: Syntax, table: Node) -> Position:
    """The place of a table's name; the span of the table is `name AS alias`."""
    place, text = syntax.position(table) or first_word(syntax.text).position, syntax.text
    end = place.start + 1
    if text[place.start] == '"':
        end = text.index('"', end)
        while text[end : end + 2] == '""':
            end = text.index('"', end + 2)
        return Position(place.start, end + 1)
    while end < place.end and not (text[end].isspace() or text[end] in "(,;)"):
        end += 1
    return Position(place.start, end)


def base_of(select: Node) -> Node:
    """The reference that stands first in FROM: a table, or a table function alone."""
    node: Node = select["from_table"]
    while node["type"] == "JOIN":
        node = node["left"]
    return node


def references(select: Node) -> Iterator[tuple[Node, bool]]:
    """The table functions of a checked FROM, in their order, and whether rows without rows are kept."""
    node: Node = select["from_table"]
    if node["type"] == "TABLE_FUNCTION":
        yield node, False
    elif node["type"] == "JOIN":
        yield from references({"from_table": node["left"]})
        yield node["right"], node["join_type"] == "LEFT"


def relations(syntax: Syntax, table: Table, hooks: Mapping[str, Known]) -> tuple[Relation, ...]:
    """What stands in FROM; every reference was looked up before."""
    base = base_of(syntax.select)
    found: list[Relation] = []
    taken: set[str] = set()
    if base["type"] == "BASE_TABLE":
        columns = tuple((column.name, column.name) for column in table.all_columns)
        name = fold(base["alias"] or base["table_name"])
        structs = tuple((c.name, _members(c.type)) for c in table.all_columns if c.type.startswith("STRUCT("))
        found.append(Relation(name, table.name, columns, frozenset({KEY_COLUMN.name}), structs=structs))
        taken |= {fold(column.name) for column in table.all_columns}
    for node, outer in references(syntax.select):
        found.append(_exploded(syntax, node, outer, hooks[fold(node["function"]["function_name"])], taken))
    return tuple(found)


@lru_cache(256)
def _members(type_: str) -> tuple[str, ...]:
    parsed = DuckDBPyType(type_)
    return tuple(name for name, _ in parsed.children) if parsed.id == "struct" else ()


def _exploded(syntax: Syntax, node: Node, outer: bool, known: Known, taken: set[str]) -> Relation:
    names = [name for name, _ in known.function.rows]
    renamed: list[str] = node["column_name_alias"]
    if len(renamed) > len(names):
        raise ProgrammingError(
            f"{known.function.name} has {len(names)} columns, not {len(renamed)}",
            position=syntax.position(node),
            text=syntax.text,
        )
    own = [*renamed, *names[len(renamed) :]]
    name = fold(node["alias"] or node["function"]["function_name"])
    columns = tuple((column, _unique(column, name, taken)) for column in own)
    return Relation(name, known.function.name, columns, frozenset(), node, outer)


def _unique(column: str, relation: str, taken: set[str]) -> str:
    unique = column
    while fold(unique) in taken:
        unique = f"{relation}.{unique}"
    taken.add(fold(unique))
    return unique


def explode_edits(syntax: Syntax, hooks: Mapping[str, Known]) -> list[Edit]:
    """The edits that put the table functions of any query into the form that DuckDB binds."""
    return [edit for node in _exploding(syntax.select) for edit in _edits_of(syntax, node, hooks)]


def _exploding(node: Node) -> Iterator[Node]:
    if node.get("type") == "TABLE_FUNCTION" and explodes(node):
        yield node
    for child in children(node):
        yield from _exploding(child)


def _edits_of(syntax: Syntax, node: Node, hooks: Mapping[str, Known]) -> Iterator[Edit]:
    known = hooks[fold(node["function"]["function_name"])]
    if node["with_ordinality"] != "WITHOUT_ORDINALITY":
        message = f"WITH ORDINALITY behind {known.function.name} is not supported"
        raise NotSupportedError(message, position=syntax.position(node), text=syntax.text)
    yield from _edits(syntax, _exploded(syntax, node, False, known, set()), node)


def lateral_edits(syntax: Syntax, found: Iterable[Relation]) -> list[Edit]:
    """The edits that put each table function into the form that DuckDB binds; its arguments stay."""
    return [edit for relation in found if relation.call for edit in _edits(syntax, relation, relation.call)]


def _edits(syntax: Syntax, relation: Relation, node: Node) -> Iterator[Edit]:
    place = syntax.position(node)
    assert place is not None
    name = fold(node["function"]["function_name"])
    call = next(call for call in find_calls(syntax.text, {name}) if call.at.start >= place.start)
    own = [own for own, _ in relation.columns]
    yield Edit(Position(place.start, call.at.start), _HEAD)
    yield Edit(Position(call.end, place.end), _tail(relation.name, own))


def lateral(call: str, relation: Relation, alias: str) -> str:
    """A table function's call over columns with unique names, as it follows those in FROM."""
    rows = _HEAD + call + _tail(alias, [unique for _, unique in relation.columns])
    return f" LEFT JOIN {rows} ON true" if relation.outer else f", {rows}"


_HEAD = "LATERAL (SELECT unnest("


def _tail(alias: str, columns: Sequence[str]) -> str:
    # Deeper than the rows of the list and their columns nothing is unnested.
    return f", max_depth := 2)) AS {quoted(alias)}({', '.join(map(quoted, columns))})"
