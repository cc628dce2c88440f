"""Counts over the whole ledger, and a comparison with its journal, without loading whole rows."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.schema import translated
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, REBUILD
from tradebot.adapters.text.canonical import time_text
from tradebot.errors import DamagedBooksError, DamagedJournalError
from tradebot.model.intent import IntentState

_AS_JOURNALED: Mapping[str, str] = {
    # A row stores the same text as its journal record, so the two can be compared byte for byte.
    "promised": """SELECT CAST('{"intent":' || intent || ',"verdicts":' || verdicts || '}' AS BLOB)
        FROM intents WHERE account = ?""",
    "fill": "SELECT CAST(body AS BLOB) FROM fills WHERE account = ?",
}
ENDING = """SELECT DISTINCT venue_id FROM orders INDEXED BY orders_working
    CROSS JOIN intents INDEXED BY intents_by_target
    ON intents.account = ?1 AND intents.intent ->> '$.target_venue_id' = venue_id AND state = 'acked'
    AND intents.intent ->> '$.operation' = 'cancel'
    WHERE orders.account = ?1 AND terminal = 0"""
DIGEST_BYTES = 16


class Compared(NamedTuple):
    """The ledger compared with its journal: records, rows, rows missing from the journal, and records ahead."""

    records: int
    rows: int
    missing: int
    ahead: int


class Tallies:
    """Counts and comparisons for commands that only read."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def intent_states(self) -> Mapping[IntentState, int]:
        """Return how many intents are in each state."""
        found = self._file.rows("SELECT state, count(*) FROM intents WHERE account = ? GROUP BY state")
        return {IntentState(state): count for state, count in found}

    def rejected_since(self, since: datetime) -> int:
        """Return how many orders the venue has refused since a time."""
        query = "SELECT count(*) FROM intents WHERE account = ? AND state = 'rejected' AND updated_at >= ?"
        ((count,),) = self._file.rows(query, (time_text(since),))
        return int(count)

    def ending(self) -> frozenset[str]:
        """Return the venue's ids of working orders whose cancel the venue has acknowledged."""
        return frozenset(venue_id for (venue_id,) in self._file.rows(ENDING))

    def counts(self) -> tuple[int, int]:
        """Return how many intents and how many fills the ledger holds."""
        # Both are numbered without gaps, and nothing is ever deleted; counting them would read their whole index.
        ((intents,),) = self._file.rows("SELECT coalesce(max(sequence), 0) FROM intents WHERE account = ?")
        ((fills,),) = self._file.rows("SELECT fills FROM fill_seals WHERE account = ?")
        return int(intents), int(fills)

    def compare_journal(self) -> Compared:
        """Compare the money rows with the journal; raise OperatorError if either is damaged or the journal is short."""
        with translated(self._file.folder / LEDGER):
            found = [row[0] for row in self._file.database.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise DamagedBooksError(f"The ledger is damaged: {found[0]}.", REBUILD)
        # Read the ledger before the journal: whatever is committed has been journaled already.
        sealed = self._file.sealed().sequence
        rows = {
            kind: {_digest(text) for (text,) in self._file.streamed(query)} for kind, query in _AS_JOURNALED.items()
        }
        return self._against(rows, sealed)

    def _against(self, rows: Mapping[str, set[bytes]], sealed: int) -> Compared:
        total, ahead, sequence = sum(map(len, rows.values())), 0, 0
        for record in self._journaled(sealed):
            sequence = record.head.sequence
            if record.kind in rows:
                digest = _digest(record.payload)
                ahead += digest not in rows[record.kind]
                rows[record.kind].discard(digest)
        if sequence < sealed:
            raise DamagedJournalError(f"The journal ends before record {sealed}, which the ledger has.", REBUILD)
        return Compared(sequence, total, sum(map(len, rows.values())), ahead)

    def _journaled(self, sealed: int) -> Iterator[journal.Record]:
        return journal.records(self._file.folder / JOURNAL, sealed)


def _digest(text: bytes) -> bytes:
    """Return a short digest of a text, because all texts of large books would take too much memory."""
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()
