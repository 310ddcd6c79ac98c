"""ON CONFLICT DO UPDATE with expressions: rows that are there are read, computed and written as by UPDATE.

All others are inserted. What changed, came or went meanwhile is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gearsql.answer import Answer
from gearsql.catalog.names import fold
from gearsql.catalog.table import Column
from gearsql.cluster.replies import shown
from gearsql.cluster.write import TRIES, Target, delivered, once_each, rows_text, told, update_rows
from gearsql.cluster.write_rows import Incoming, Outgoing, empty_row, outgoing
from gearsql.cluster.write_script import Mode, Outcome, Row
from gearsql.errors import Error, NotSupportedError, RowsChangedError
from gearsql.sql.ddl_conflict import conflict_query, used_of_excluded
from gearsql.sql.ddl_rows import RowQuery
from gearsql.sql.statements import Conflict, Insert

TOGETHER = 500
"""New rows that stand in one query."""


@dataclass
class Upsert:
    """One statement; `ask` answers the query for rows that are there, `sets` are the columns of its SET."""

    target: Target
    statement: Insert
    conflict: Conflict
    sets: tuple[Column, ...]
    ask: Callable[[RowQuery], Answer]
    _count: int = 0

    def run(self, incoming: Incoming) -> int:
        """Write the rows and return how many."""
        statement, place = self.statement, self.statement.name_position
        used = used_of_excluded(statement, self.conflict, self.target.table)
        out = outgoing(self.target.writer, self.target.table, incoming, clears=False)
        out = once_each(out, None, statement.text, place)
        texts = self._texts(out, used)
        pending = {row.key: row for row in out.rows}
        for _ in range(TRIES):
            found, inserts = self._sorted_out(list(pending.values()), used, texts)
            again = [*self._deliver("insert", inserts), *self._deliver("update", found)]
            if not again:
                return self._count
            pending = {key: pending[key] for key in again}
        raise RowsChangedError(
            f"{len(pending):,} rows changed whenever they had been read, such as {shown(min(pending))} "
            f"({rows_text(self._count)} written)",
            position=place,
            text=statement.text,
            hint="run the statement again",
        )

    def _texts(self, out: Outgoing, used: Iterable[Column]) -> dict[bytes, dict[str, str | None]]:
        names = [fold(column.name) for column in used if fold(column.name) in out.texts]
        columns = {name: out.texts[name].to_pylist() for name in names}
        return {
            row.key: {
                name: None if values[number] is None else values[number].decode()
                for name, values in columns.items()
            }
            for number, row in enumerate(out.rows)
        }

    def _sorted_out(
        self, rows: Sequence[Row], used: Sequence[Column], texts: dict[bytes, dict[str, str | None]]
    ) -> tuple[list[Row], list[Row]]:
        """Those that are there with what they become, and those to insert; nothing is written yet."""
        updates: list[Row] = []
        inserts: list[Row] = []
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            given = {self._key(row): texts[row.key] for row in some}
            query = conflict_query(self.statement, self.conflict, self.target.table, self.sets, used, given)
            answer = self.ask(query)
            assert answer.table is not None
            found = update_rows(self.target, query, answer, self.statement.text)
            wanted = answer.table.column(answer.table.num_columns - 1).to_pylist()
            updates += [row for row, is_wanted in zip(found, wanted, strict=True) if is_wanted]
            there = {row.key for row in found}
            inserts += [row for row in some if row.key not in there]
        return updates, inserts

    def _key(self, row: Row) -> str:
        try:
            return row.key.decode()
        except UnicodeDecodeError:
            raise NotSupportedError(
                f"DO UPDATE of the key {shown(row.key)} is not supported: it is no text",
                position=self.conflict.position,
                text=self.statement.text,
            ) from None

    def _deliver(self, mode: Mode, rows: Sequence[Row]) -> list[bytes]:
        """Write rows; return the keys of those that are otherwise by now."""
        text, place = self.statement.text, self.statement.name_position
        try:
            tally = delivered(self.target, mode, rows)
        except Error as error:
            if error.written is not None:
                error.written = replace(error.written, rows=error.written.rows + self._count)
            raise
        self._count += tally.written
        if empty := tally.of(Outcome.EMPTY):
            refused = empty_row(rows[empty[0]].key, text)
            refused.position, refused.message = place, f"{refused.message} ({rows_text(self._count)} written)"
            raise refused
        told(tally, rows, text, place, skips=True)
        otherwise = (Outcome.EXISTS, Outcome.CHANGED, Outcome.GONE)
        return [rows[number].key for outcome in otherwise for number in tally.of(outcome)]
