"""The money records of one broker account: stores over shared tables, in a file with its journal or in memory.

They include the configurations that a person approved. These rows are appended and journaled, but never changed. Only
`init` and `config accept` write one, so running with tighter settings doesn't change what is accepted.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import starmap
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.ledger import journal, rows, tables
from tradebot.adapters.ledger.account_history import AccountHistory, FillTotals
from tradebot.adapters.ledger.file import LedgerFile, describe_damage
from tradebot.adapters.ledger.file_table import TableFile
from tradebot.adapters.ledger.fills_and_cash import SqliteMoney
from tradebot.adapters.ledger.orders import SqliteOrders
from tradebot.adapters.ledger.rebuild_records import RebuildRecords
from tradebot.adapters.ledger.rows import SessionRow, note_words
from tradebot.adapters.ledger.schema import translate_errors
from tradebot.adapters.ledger.state_history import HaltHistory
from tradebot.adapters.ledger.states import TradingStates
from tradebot.adapters.ledger.tables import AccountTables, LedgerTables
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, REBUILD
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import DamagedBooksError, DamagedJournalError, OperatorError, TradebotError
from tradebot.model.bar import Session
from tradebot.model.instrument import ListingRecord
from tradebot.model.intent import IntentState
from tradebot.model.position import Key
from tradebot.model.promotion import Promotion
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Arming, Baseline, ReconcileMark, SlotClaim


class TradeNotes:
    """The tags and notes of one account's trades."""

    tables: LedgerTables

    def note_trade(self, note: TradeNote) -> None:
        self.change_note(note.trade, lambda _: note)

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        books = self.tables.books
        with books.write():
            note = change(self.trade_notes().get(trade))
            books.note("trade_noted", note_words(note), note.at)
            books.seal()
            self.tables.notes.add(note)
        return note

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        # Sort by time: a rebuild may append an earlier note after a later one.
        notes = sorted(self.tables.notes.after(0).values(), key=attrgetter("at"))
        return {note.trade: note for note in notes}


class SqlitePasses:
    """The slots, sessions, listings and reconcile times of one account."""

    tables: LedgerTables

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        with self.tables.books.write():
            return self._claim_slot_row(job, session, slot, by, at)

    def miss_slots(self, slots: Iterable[tuple[str, date, str]], by: str, at: datetime) -> Sequence[SlotClaim]:
        with self.tables.books.write():
            return [self._claim_slot_row(*slot, by, at) for slot in slots]

    def _claim_slot_row(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        if self.tables.slots.add(SlotClaim(job, session, slot, by, at, won=False)):
            return SlotClaim(job, session, slot, by, at, won=True)
        holder = self.slot_claim(job, session, slot)
        assert holder is not None, "nothing deletes a claim"
        return holder

    def slot_claim(self, job: str, session: date, slot: str) -> SlotClaim | None:
        return self.tables.slots.get(job, session, slot)

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        return tuple(self.tables.slots.among("session", [session]).values())

    def sessions(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        dict_values = self.tables.sessions.span("date", start, end).values()
        return tuple([row.session for row in dict_values if row.calendar == calendar])

    def calendars(self, start: date, end: date) -> Mapping[str, Sequence[Session]]:
        by_name = defaultdict[str, list[Session]](list)
        for row in self.tables.sessions.span("date", start, end).values():
            by_name[row.calendar].append(row.session)
        return by_name

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = (), calendar: str = "") -> None:
        with self.tables.books.write():
            for day in gone:
                self.tables.sessions.drop(calendar, day)
            for session in sessions:
                self.tables.sessions.put(SessionRow(calendar, session))

    def listings(self, symbols: Collection[str] | None = None) -> Mapping[str, ListingRecord]:
        table = self.tables.listings
        if symbols is None:
            return {record.listing.symbol: record for record in table.after(0).values()}
        return {symbol: record for (symbol,), record in table.several([(symbol,) for symbol in symbols]).items()}

    def put_listings(self, records: Iterable[ListingRecord]) -> None:
        with self.tables.books.write():
            for record in records:
                self.tables.listings.put(record)

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        with self.tables.books.write():
            self.tables.reconciled.put(mark)

    def last_reconcile(self) -> ReconcileMark | None:
        return self.tables.reconciled.get()


LONGEST = 240_000
"""The most bytes of one configuration, close to the limit of a journal record."""


class Baselines:
    """The accepted configurations of one account; the last one is in force."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def approve(self, baseline: Baseline) -> None:
        """Append an approved configuration, durably; raise OperatorError if it is too large to record."""
        payload = {"fingerprint": baseline.fingerprint, "values": baseline.values, "who": baseline.who}
        body = json_text(payload["values"])
        if len(body.encode()) > LONGEST:
            raise OperatorError(
                f"The configuration takes {len(body.encode())} bytes, more than the {LONGEST} that can be recorded.",
                "Remove symbols from universe: and sectors:, or settings from strategies:.",
            )
        with self._file.write():
            last = self.last()
            # A rebuild sorts records by time, so even after a clock was set back, this one must sort last.
            at = max(baseline.at, last.at) if last else baseline.at
            self._file.note("approved", payload, at)
            self._file.seal()
            row = {"fingerprint": baseline.fingerprint, "body": body, "who": baseline.who, "at": time_text(at)}
            self._file.append("baselines", row)

    def last(self) -> Baseline | None:
        """Return the last approved configuration; None if there is none, as in new books."""
        row = self._file.newest("baselines", "body, who, at")
        return None if row is None else _baseline(*row)

    def since(self, at: datetime) -> Sequence[Baseline]:
        """Return the configurations approved after a time, oldest first, preceded by the one in force at that time."""
        last = "SELECT max(sequence) FROM baselines WHERE account = ?1 AND at <= ?2"
        query = f"SELECT body, who, at FROM baselines WHERE account = ?1 AND sequence >= coalesce(({last}), 0)"  # noqa: S608
        return tuple(starmap(_baseline, self._file.rows(f"{query} ORDER BY sequence", (time_text(at),))))


def _baseline(body: str, who: str, at: str) -> Baseline:
    try:
        values: dict[str, Any] = json.loads(body)
        return Baseline(values, who, parse_time(at))
    except ValueError as error:
        raise DamagedBooksError(f"The approved configuration can't be read: {error}.", REBUILD) from error


class StoredPromotions:
    """The promotions of one account's strategies; the last row of each strategy is in force."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def append(self, promotion: Promotion) -> None:
        """Append a promotion or its end to the journal and then to the ledger; it is durable on return."""
        with self._file.write():
            last = self._file.newest("promotions", "at")
            # A rebuild sorts records by time, so even after a clock was set back, this one must sort last.
            at = max(promotion.at, parse_time(last[0])) if last else promotion.at
            body = json_text(encode(replace(promotion, at=at)))
            self._file.note("promoted", body.encode(), at)
            self._file.seal()
            self._file.append("promotions", {"body": body, "at": time_text(at)})

    def every(self) -> Sequence[Promotion]:
        """Return all rows, oldest first; raise DamagedBooksError if one can't be read."""
        rows = self._file.rows("SELECT body FROM promotions WHERE account = ? ORDER BY at, sequence")
        try:
            return tuple(decode(Promotion, json.loads(body)) for (body,) in rows)
        except ValueError as error:
            raise DamagedBooksError(f"A promotion can't be read: {error}.", REBUILD) from error


class Armings:
    """Records of when a person armed live trading in one account; only the last one counts."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def append(self, arming: Arming) -> None:
        """Append an arming to the journal and then to the ledger; it is durable on return."""
        words = {
            "sessions": arming.sessions,
            "first": arming.first.isoformat(),
            "last": arming.last.isoformat(),
            "until": time_text(arming.until),
            "who": arming.who,
        }
        with self._file.write():
            self._file.note("live_armed", words, arming.at)
            self._file.seal()
            self._file.append("armings", {**words, "at": time_text(arming.at)})

    def last(self) -> Arming | None:
        """Return the last arming, even an expired one; None if this account was never armed."""
        row = self._file.newest("armings", "sessions, first, last, until, who, at")
        if row is None:
            return None
        count, first, last, until, who, at = row
        days = date.fromisoformat(first), date.fromisoformat(last)
        return Arming(count, *days, parse_time(until), who, parse_time(at))


LAST_CLAIM = """SELECT session, slot, holder, at FROM slots WHERE account = ? AND job = ?
    ORDER BY session DESC, at DESC LIMIT 1"""


class LedgerStores(SqliteOrders, SqliteMoney, SqlitePasses, TradeNotes):
    """The stores that a file ledger and a backtest's ledger share: all but the trading state and the totals of
    fills.
    """

    def __init__(self, books: AccountTables) -> None:
        SqliteMoney.__init__(self)
        self.tables = LedgerTables(books)
        self.account_number = books.account_number


class SqliteLedger(LedgerStores, TradingStates, FillTotals):
    """The ledger of a state folder; writing to it needs the folder's lock, reading needs no lock."""

    def __init__(self, file: TableFile) -> None:
        LedgerStores.__init__(self, file)
        TradingStates.__init__(self, file)
        self.file = file
        self.close = file.close
        self.past = AccountHistory(file)
        self.tallies = Tallies(file)
        self.armings = Armings(file)
        self.baselines = Baselines(file)
        self.promotions = StoredPromotions(file)
        self.history = HaltHistory(file)
        self.upkeep = RebuildRecords(file)
        self.cash_movements = self.past.cash_movements
        self._listed_at, self._listed = -1, dict[str, ListingRecord | None]()
        "The listings read since another process last wrote; None for symbols without one."

    def listings(self, symbols: Collection[str] | None = None) -> Mapping[str, ListingRecord]:
        if self.file.is_writing:
            return LedgerStores.listings(self, symbols)
        version = self.file.version()
        if version != self._listed_at:
            self._listed_at, self._listed = version, {}
        if symbols is None:
            every = LedgerStores.listings(self)
            self._listed.update(every)
            return every
        new = [symbol for symbol in symbols if symbol not in self._listed]
        if new:
            listings = LedgerStores.listings(self, new)
            self._listed.update((symbol, listings.get(symbol)) for symbol in new)
        return {symbol: record for symbol in symbols if (record := self._listed[symbol])}

    def put_listings(self, records: Iterable[ListingRecord]) -> None:
        self._listed_at = -1
        LedgerStores.put_listings(self, records)

    def last_claim(self, job: str) -> SlotClaim | None:
        """Return the last claim of a job in the latest session in which it has any; None if there is none."""
        row = self.file.row(LAST_CLAIM, (job,))
        if row is None:
            return None
        session, slot, by, at = row
        return SlotClaim(job, date.fromisoformat(session), slot, by, parse_time(at), won=False)

    def forget(self) -> None:
        """Clear the cache of parsed rows; a pass reads those that it needs again.

        Otherwise a process that runs for months would cache thousands of rows that are no longer needed.
        """
        rows.forget()
        tables.forget()
        self.file.shrink()

    @classmethod
    def open(cls, folder: Path, account_number: str | None = None, *, read_only: bool = False) -> "SqliteLedger":
        """Open the books; raise OperatorError if they are damaged or belong to another account."""
        return cls(TableFile.open(folder, account_number, read_only=read_only))

    @classmethod
    def view(cls, folder: Path, account_number: str) -> "SqliteLedger":
        """Open the books read-only; raise as `open` and `LedgerFile.glance` do."""
        books = cls.open(folder, account_number, read_only=True)
        try:
            books.file.glance()
        except TradebotError:
            books.close()
            raise
        return books

    @classmethod
    def create(cls, folder: Path, account_number: str, at: datetime) -> "SqliteLedger":
        """Create the books of one account; raise OperatorError if there is a ledger or a journal already."""
        return cls(TableFile.create(folder, account_number, at))


_AS_JOURNALED: Mapping[str, str] = {
    # A row has the same text as its journal record, so that the two can be compared byte for byte.
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


class JournalComparison(NamedTuple):
    """Counts from comparing the ledger with its journal.

    The journal has `records`, and the ledger has `rows`. `missing` counts the rows without a record, and `ahead` counts
    the records without a row.
    """

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
        rows = self._file.rows("SELECT state, count(*) FROM intents WHERE account = ? GROUP BY state")
        return {IntentState(state): count for state, count in rows}

    def rejected_since(self, since: datetime) -> int:
        """Return how many orders the venue has refused since a time."""
        query = "SELECT count(*) FROM intents WHERE account = ? AND state = 'rejected' AND updated_at >= ?"
        ((count,),) = self._file.rows(query, (time_text(since),))
        return int(count)

    def ending(self) -> frozenset[str]:
        """Return the venue ids of working orders for which the venue has acknowledged a cancel."""
        return frozenset(venue_id for (venue_id,) in self._file.rows(ENDING))

    def counts(self) -> tuple[int, int]:
        """Return how many intents and how many fills the ledger has."""
        # Both are numbered without gaps, and nothing is ever deleted; counting them would read their whole index.
        ((intents,),) = self._file.rows("SELECT coalesce(max(sequence), 0) FROM intents WHERE account = ?")
        ((fills,),) = self._file.rows("SELECT fills FROM fill_seals WHERE account = ?")
        return int(intents), int(fills)

    def compare_journal(self) -> JournalComparison:
        """Compare the money rows with the journal; raise OperatorError if either is damaged or the journal is too
        short.
        """
        with translate_errors(self._file.folder / LEDGER):
            problems = [row[0] for row in self._file.database.execute("PRAGMA quick_check(1)")]
        if problems != ["ok"]:
            raise DamagedBooksError(describe_damage(problems), REBUILD)
        # Read the ledger before the journal: whatever is committed has already been journaled.
        sealed = self._file.sealed_head().sequence
        rows = {kind: {_digest(text) for (text,) in self._file.stream(query)} for kind, query in _AS_JOURNALED.items()}
        return self._against(rows, sealed)

    def _against(self, rows: Mapping[str, set[bytes]], sealed: int) -> JournalComparison:
        total, ahead, sequence = sum(map(len, rows.values())), 0, 0
        for record in journal.records(self._file.folder / JOURNAL, sealed):
            sequence = record.head.sequence
            if record.kind in rows:
                digest = _digest(record.payload)
                ahead += digest not in rows[record.kind]
                rows[record.kind].discard(digest)
        if sequence < sealed:
            raise DamagedJournalError(f"The journal ends before record {sealed}, which the ledger has.", REBUILD)
        return JournalComparison(sequence, total, sum(map(len, rows.values())), ahead)


def _digest(text: bytes) -> bytes:
    """Return a short digest of a text, because all texts of large books would take too much memory."""
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()
