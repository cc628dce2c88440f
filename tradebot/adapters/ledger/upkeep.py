"""What a rebuild needs from a ledger: each row as a journal record, and the rebuild that waits to be accepted."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.rows import promised_text
from tradebot.adapters.text.canonical import json_text

AS_JOURNALED: Mapping[str, str] = {
    "opening": """SELECT 0, opened_at, opening_cash FROM book
        WHERE account = ? AND opened_at IS NOT NULL AND 0 BETWEEN ? AND ?""",
    "promised": """SELECT sequence, intent ->> '$.at', intent, verdicts FROM intents
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    "fill": """SELECT sequence, applied_at, body FROM fills
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    "cash_adjusted": """SELECT sequence, at, amount, origin, about, kind, why, happened_at, symbol, sub_kind
        FROM cash_adjustments
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    "acknowledged": """SELECT sequence, at, symbol, quantity, origin, about, why FROM acknowledged
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    "trade_noted": """SELECT sequence, at, strategy, symbol, opened_at, tags, note, who FROM trade_notes
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
    "approved": """SELECT sequence, at, fingerprint, body, who FROM baselines
        WHERE account = ? AND sequence BETWEEN ? AND ? ORDER BY sequence""",
}
"""Select the number and time of each record that the journal should have, and the columns of its payload."""
IDENTITIES: Mapping[str, str] = {
    "promised": "SELECT sequence, intent ->> '$.at', client_order_id FROM intents WHERE account = ?",
    "fill": "SELECT sequence, applied_at, activity_id FROM fills WHERE account = ?",
}
"""Select the number, time and id of records that have an id."""
PAYLOADS: Mapping[str, tuple[str, ...]] = {
    "opening": ("cash",),
    "cash_adjusted": ("amount", "origin", "about", "kind", "why", "happened_at", "symbol", "sub_kind"),
    "acknowledged": ("symbol", "quantity", "origin", "about", "why"),
    "trade_noted": ("strategy", "symbol", "opened_at", "tags", "note", "who"),
}


class JournalRow(NamedTuple):
    """A record as the journal should have it; `sequence` counts within its kind."""

    kind: str
    sequence: int
    payload: bytes
    at: str


class Identity(NamedTuple):
    """What identifies a record: its id if it has one, otherwise its payload and time."""

    kind: str
    sequence: int
    at: str
    words: bytes


class Upkeep:
    """Reads rows as journal records, and writes which rebuild a person has yet to accept."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def mark_rebuilt(self, name: str, details: Mapping[str, str | int | None], at: datetime) -> None:
        """Write that these books come from the rebuild `name`, which a person has yet to accept."""
        with self._file.write():
            self._file.note("rebuilt", {"name": name, **details}, at)
            self._file.seal()
            self._file.execute("UPDATE book SET rebuilt = ? WHERE account = ?", (name, self._file.account_number))

    def accept_rebuilt(self, name: str, who: str, at: datetime) -> None:
        """Write that a person accepted the rebuilt books; raise AssertionError if another rebuild is waiting."""
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
        ((found,),) = self._file.rows(query)
        return str(found or "")

    def as_journaled(self, kind: str, first: int = 0, last: int = sys.maxsize) -> Iterator[JournalRow]:
        """Yield the journal records of one kind for the rows from `first` to `last`."""
        for sequence, at, *values in self._file.streamed(AS_JOURNALED[kind], (first, last)):
            yield JournalRow(kind, sequence, _payload(kind, values), at)

    def identities(self) -> Iterator[Identity]:
        """Yield the identity of every record that the journal should have for this ledger."""
        for kind in AS_JOURNALED:
            if kind in IDENTITIES:
                for sequence, at, name in self._file.streamed(IDENTITIES[kind]):
                    yield Identity(kind, sequence, at, name.encode())
            else:
                for record in self.as_journaled(kind):
                    yield Identity(kind, record.sequence, record.at, record.payload + record.at.encode())

    def latest(self, table: str) -> str:
        """Return the time of the last row of a table, as text; "" if there is none."""
        found = self._file.row(f"SELECT at FROM {table} WHERE account = ? ORDER BY sequence DESC LIMIT 1")  # noqa: S608 - our own name
        return str(found[0]) if found else ""


def _payload(kind: str, values: Sequence[Any]) -> bytes:
    """Return a payload's JSON text; rows of intents, fills and configurations already store it."""
    if kind == "promised":
        return promised_text(*values)
    if kind == "fill":
        return str(values[0]).encode()
    if kind == "approved":
        fingerprint, body, who = values
        return f'{{"fingerprint":{json_text(fingerprint)},"values":{body},"who":{json_text(who)}}}'.encode()
    words = dict(zip(PAYLOADS[kind], values, strict=True))
    if kind == "cash_adjusted":
        # Records of plans and of earlier versions lack what isn't known.
        words = {name: value for name, value in words.items() if value is not None}
    if kind == "trade_noted":
        words["tags"] = json.loads(words["tags"])
    return json_text(words).encode()
