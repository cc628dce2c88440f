"""Read a ledger's rows as journal records for a rebuild, and record which rebuild awaits the user's acceptance."""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.rows import acknowledged_words, cash_words, intent_payload_text, note_words
from tradebot.adapters.ledger.tables import ACKNOWLEDGED, BOOK, CASH, NOTES, Row, TableKind
from tradebot.adapters.text.canonical import json_text


class Journaled(NamedTuple):
    """Where a ledger stores one kind of record: the table, and the columns with the number, the time and the payload.

    `name` is the column with the record's id, if it has one.
    """

    table: str
    at: str
    columns: str
    payload: Callable[..., bytes]
    name: str = ""
    number: str = "sequence"

    def query(self, columns: str) -> str:
        """Return the query for the number, time and given columns of each record, by number."""
        return f"""SELECT {self.number}, {self.at}, {columns} FROM {self.table}
            WHERE account = ? AND {self.at} IS NOT NULL AND {self.number} BETWEEN ? AND ? ORDER BY 1"""  # noqa: S608 - our own names


def _of(kind: TableKind[Row], words: Callable[[Row], object], at: str = "at", number: str = "sequence") -> Journaled:
    def payload(*row: Any) -> bytes:
        return json_text(words(kind.of_row(*row))).encode()

    return Journaled(kind.name, at, kind.columns, payload, number=number)


def _configuration_payload(fingerprint: str, body: str, who: str) -> bytes:
    return f'{{"fingerprint":{json_text(fingerprint)},"values":{body},"who":{json_text(who)}}}'.encode()


AS_JOURNALED: Mapping[str, Journaled] = {
    "opening": _of(BOOK, attrgetter("words"), "opened_at", "0"),
    "promised": Journaled("intents", "intent ->> '$.at'", "intent, verdicts", intent_payload_text, "client_order_id"),
    "fill": Journaled("fills", "applied_at", "body", str.encode, "activity_id"),
    "cash_adjusted": _of(CASH, cash_words),
    "acknowledged": _of(ACKNOWLEDGED, acknowledged_words),
    "trade_noted": _of(NOTES, note_words),
    "approved": Journaled("baselines", "at", "fingerprint, body, who", _configuration_payload),
    "promoted": Journaled("promotions", "at", "body", str.encode),
}
"""The records that the journal should have for a ledger."""


class JournalRow(NamedTuple):
    """A record as the journal should have it; `sequence` counts within the record's kind."""

    kind: str
    sequence: int
    payload: bytes
    at: str


class RecordIdentity(NamedTuple):
    """A record's identity: its id if it has one, otherwise its payload and time."""

    kind: str
    sequence: int
    at: str
    words: bytes


class RebuildRecords:
    """Reads rows as journal records, and records which rebuild the user hasn't accepted yet."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def mark_rebuilt(self, name: str, details: Mapping[str, str | int | None], at: datetime) -> None:
        """Record that these books come from the rebuild `name`, which the user hasn't accepted yet."""
        with self._file.write():
            self._file.note("rebuilt", {"name": name, **details}, at)
            self._file.seal()
            self._file.execute("UPDATE book SET rebuilt = ? WHERE account = ?", (name, self._file.account_number))

    def accept_rebuilt(self, name: str, who: str, at: datetime) -> None:
        """Record that the user accepted the rebuilt books; raise AssertionError if a different rebuild awaits
        acceptance.
        """
        with self._file.write():
            if self._file.rebuilt() != name:
                raise AssertionError(f"{name} isn't waiting to be accepted")
            self._file.note("accepted", {"name": name, "who": who}, at)
            self._file.seal()
            self._file.execute("UPDATE book SET rebuilt = NULL WHERE account = ?", (self._file.account_number,))

    def newest(self) -> str:
        """Return the time of the last change to intents, fills, slots or the opening balance, as text; "" if none."""
        query = (
            "SELECT max(at) FROM (SELECT max(updated_at) AS at FROM intents WHERE account = ?1"
            " UNION ALL SELECT max(applied_at) FROM fills WHERE account = ?1"
            " UNION ALL SELECT max(at) FROM slots WHERE account = ?1"
            " UNION ALL SELECT opened_at FROM book WHERE account = ?1)"
        )
        ((rows,),) = self._file.rows(query)
        return str(rows or "")

    def as_journaled(self, kind: str, first: int = 0, last: int = sys.maxsize) -> Iterator[JournalRow]:
        """Yield the journal records of one kind for the rows from `first` to `last`."""
        form = AS_JOURNALED[kind]
        for sequence, at, *values in self._file.stream(form.query(form.columns), (first, last)):
            yield JournalRow(kind, sequence, form.payload(*values), at)

    def identities(self) -> Iterator[RecordIdentity]:
        """Yield the identity of every record that the journal should have for this ledger."""
        for kind, form in AS_JOURNALED.items():
            if form.name:
                for sequence, at, name in self._file.stream(form.query(form.name), (0, sys.maxsize)):
                    yield RecordIdentity(kind, sequence, at, name.encode())
            else:
                for record in self.as_journaled(kind):
                    yield RecordIdentity(kind, record.sequence, record.at, record.payload + record.at.encode())

    def latest(self, table: str) -> str:
        """Return the time of the last row of a table, as text; "" if there is none."""
        row = self._file.newest(table, "at")
        return str(row[0]) if row else ""
