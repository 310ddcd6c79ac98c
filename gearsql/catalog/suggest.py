"""The CREATE TABLE line to paste for an undeclared table, as a hint in errors."""

from __future__ import annotations

import re

from gearsql.catalog.names import fold
from gearsql.catalog.table import Column, FieldSource, Glob, Table

PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
SPECIAL = re.compile(r"[?\[\]\\]")


def create_table_line(table: Table, as_text: str) -> str | None:
    """Return a declaration of `table` with the column `as_text` as VARCHAR.

    None for a pattern that no key template says as well, and for fields under another name than theirs.
    """
    template = _template(table)
    if template is None or not all(_is_own_name(column) for column in table.columns):
        return None
    columns = ", ".join(
        f"{_quoted(column.name)} {'VARCHAR' if column.name == as_text else column.type}"
        for column in table.columns
    )
    return f"CREATE TABLE {_name(table.name)} ({columns}) WITH (key = '{template}');"


def _template(table: Table) -> str | None:
    pattern = table.keys.pattern.decode(errors="replace") if isinstance(table.keys, Glob) else ""
    if not pattern or SPECIAL.search(pattern) or "**" in pattern:
        return None
    taken = {fold(column.name) for column in table.columns}
    text = pattern.replace("{", "{{").replace("}", "}}").replace("'", "''")
    while "*" in text:
        name = next(name for name in _placeholder_names() if name not in taken)
        taken.add(name)
        text = text.replace("*", f"{{{name}}}", 1)
    return text


def _placeholder_names() -> list[str]:
    return ["id", *(f"id{number}" for number in range(2, 1000))]


def _is_own_name(column: Column) -> bool:
    return isinstance(column.source, FieldSource) and column.source.field == column.name.encode()


def _name(pattern: str) -> str:
    words = re.findall(r"[A-Za-z][A-Za-z0-9_]*", pattern)
    return _quoted(words[0].lower()) if words else "rows"


def _quoted(name: str) -> str:
    return name if PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'
