"""A view: a query with a name, kept in the catalog beside the tables."""

from __future__ import annotations

from dataclasses import dataclass

from gearsql.errors import NotSupportedError


@dataclass(frozen=True)
class View:
    """`text` is the query as its creator wrote it; `columns` are other names for the first of its columns."""

    name: str
    text: str
    columns: tuple[str, ...] = ()
    version: int = 1


class ViewNamedError(NotSupportedError):
    """A name that was looked up as a table's is a view's; a query goes on with its text in its place."""

    def __init__(self, view: View) -> None:
        super().__init__(f"{view.name} is a view, and no table")
        self.view = view
