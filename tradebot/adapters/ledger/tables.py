"""Define the ledger's tables: how a file stores their rows, and how rows are found.

Tables are either in a file (`FileTable`) or, for backtests and tests, in memory (`MemoryTable`), because SQLite would
double the time of a backtest. The stores use both in the same way.
"""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from tradebot.adapters.ledger.rows import (
    CACHED_VALUES,
    AcknowledgedRow,
    CashRow,
    IntentRow,
    MarksRow,
    SessionRow,
    StoredFill,
    StoredOpening,
    StoredOrder,
    acknowledged_words,
    cash_words,
    decode_as,
    decode_cached,
    note_words,
    owned_fill,
)
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import encode
from tradebot.model.account import EquityPeak
from tradebot.model.bar import Session
from tradebot.model.instrument import ListingRecord
from tradebot.model.intent import Intent, IntentRecord, IntentState, mark_of
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, Marks, Origin
from tradebot.model.trade import TradeNote
from tradebot.model.trading import ReconcileMark, SlotClaim
from tradebot.model.venue import Settlement

Row = TypeVar("Row")


class Index(NamedTuple, Generic[Row]):
    """An index for finding rows by the value that `of` returns; rows with the value None are left out.

    In a file, `column` is the column or expression with this value, and `named` is the index's name. An index with a
    `condition` has only the rows that match it, under the value True. Only a `sorted` index can be queried for ranges
    (`span`).
    """

    of: Callable[[Row], Any]
    column: str = ""
    named: str = ""
    condition: str = ""
    sorted: bool = False


class TableKind(NamedTuple, Generic[Row]):
    """The definition of a table.

    `key` has the columns that identify a row, and `key_of` returns their values. `changing` returns the values that are
    written again whenever a row changes, and `fixed` those that are written only once, with a new row. `of_row` builds
    a row from the `columns` read. `order` is the column with a row's number, if rows are numbered.
    """

    name: str
    key: tuple[str, ...]
    key_of: Callable[[Row], tuple[Any, ...]]
    columns: str
    of_row: Callable[..., Any]
    changing: Callable[[Row], Mapping[str, Any]]
    fixed: Callable[[Row], Mapping[str, Any]] = lambda row: {}
    indexes: Mapping[str, Index[Row]] = {}
    order: str = "sequence"

    @property
    def is_numbered(self) -> bool:
        """Return True if rows are numbered in the order of writing."""
        return self.order == "sequence"


class LedgerTable(Protocol[Row]):
    """The rows of one account.

    Methods that return several rows map each row's number, or its position if rows have no numbers, to the row.
    """

    def add(self, row: Row) -> bool:
        """Append a row; return False and change nothing if a row with its key exists."""

    def put(self, row: Row) -> None:
        """Write a row, replacing the row with the same key, if any."""

    def drop(self, *key: Any) -> None:
        """Delete the row with this key, if there is one."""

    def get(self, *key: Any) -> Row | None:
        """Return the row with this key, or None."""

    def several(self, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        """Return the rows with these keys, by key."""

    def known_keys(self, keys: Collection[str]) -> frozenset[str]:
        """Return which of these keys exist; the key must be a single column."""

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        """Return the rows whose indexed value is one of these."""

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        """Return the rows whose indexed value is from `first` through `last`; if `last` is None, there is no upper
        limit.
        """

    def after(self, number: int) -> dict[int, Row]:
        """Return the rows with numbers above `number`."""

    def row_by_number(self, number: int) -> Row | None:
        """Return the row with this number, or None."""

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        """Return the newest row for which `suits` returns True, or None.

        With a sorted `index`, return the one with the greatest indexed value up to `until`.
        """


class LazyTextRow(Protocol):
    """A row whose texts are expensive to build."""

    def with_texts(self) -> Self:
        """Return the row with its texts already built."""


Worded = TypeVar("Worded", bound=LazyTextRow)


class AccountTables(Protocol):
    """The tables of one account, and its journal."""

    account_number: str

    @property
    def is_writing(self) -> bool:
        """Return True inside a transaction, when data just read may still be rolled back."""

    def table(self, kind: TableKind[Row]) -> LedgerTable[Row]:
        """Return the account's table of this kind."""

    def as_written(self, row: Worded) -> Worded:
        """Return a row as it is written: with its texts already built for a file, unchanged in memory."""

    def write(self) -> AbstractContextManager[None]:
        """Run one durable transaction; an error inside rolls back all of it."""

    def reading(self) -> AbstractContextManager[None]:
        """Make several queries see the same state."""

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal; an expensive payload is given as a function."""

    def seal(self) -> None:
        """Make the journal durable before the transaction ends."""


def in_order(rows: Mapping[int, Row]) -> list[Row]:
    """Return the rows sorted by their numbers."""
    return [rows[number] for number in sorted(rows)]


MOVED = frozenset({Origin.GIVEN_BACK, Origin.TAKEN_OVER})


def forget() -> None:
    """Empty the caches of orders, intents and listings."""
    _intent.cache_clear()
    _listing.cache_clear()
    mark_of.cache_clear()


@lru_cache(maxsize=CACHED_VALUES)
def _intent(intent: str, state: str, code: str | None, message: str | None, updated_at: str) -> IntentRow:
    """Parse a recorded intent with a cache, because each pass reads most of them twice."""
    record = IntentRecord(decode_as(Intent, intent), IntentState(state), code, message, parse_time(updated_at))
    return IntentRow(record)


@lru_cache(maxsize=4 * CACHED_VALUES)
def _listing(body: str) -> ListingRecord:
    """Parse a stored listing with its own cache, because a pass reads the listings of its whole universe."""
    return decode_as(ListingRecord, body)


def _cash(
    at: str,
    amount: str,
    kind: str,
    origin: str,
    about: str,
    why: str,
    happened_at: str | None,
    symbol: str | None,
    sub_kind: str | None,
) -> CashRow:
    happened = parse_time(happened_at) if happened_at else None
    words = kind, Origin(origin), about, why, happened, symbol or "", sub_kind or ""
    return CashRow(parse_time(at), Decimal(amount), *words)


def _intent_changes(row: IntentRow) -> Mapping[str, Any]:
    record = row.record
    at = time_text(record.updated_at)
    return {"state": record.state, "code": record.code, "message": record.message, "updated_at": at}


def _order_changes(row: StoredOrder) -> Mapping[str, Any]:
    order = row.order
    return {
        "terminal": int(order.status.terminal),
        "replaced_by": order.replaced_by,
        "body": json_text(encode(order)),
        "applied_at": time_text(row.applied_at),
        "promised": int(row.is_ours),
    }


def _fill_values(row: StoredFill) -> Mapping[str, Any]:
    owned = row.owned
    return {
        "at": time_text(owned.fill.at),
        "body": row.body,
        "applied_at": time_text(row.applied_at),
        "origin": owned.origin,
        "about": owned.about,
        "strategy": owned.strategy,
        "venue_order_id": owned.fill.venue_order_id,
    }


def _note(strategy: str, symbol: str, opened_at: str, tags: str, note: str, who: str, at: str) -> TradeNote:
    return TradeNote((strategy, symbol, parse_time(opened_at)), tuple(json.loads(tags)), note, who, parse_time(at))


def _marks(strategy: str, symbol: str, opened_at: str, best: str, worst: str | None) -> MarksRow:
    marks = Marks(Decimal(best), None if worst is None else Decimal(worst))
    return MarksRow((strategy, symbol, parse_time(opened_at)), marks)


def _marks_changes(row: MarksRow) -> Mapping[str, Any]:
    worst = row.marks.worst
    return {"price": decimal_text(row.marks.best), "worst": None if worst is None else decimal_text(worst)}


BOOK = TableKind[StoredOpening](
    "book",
    key=(),
    key_of=lambda row: (),
    columns="opening_cash, opened_at, settlement",
    of_row=lambda cash, at, kind: StoredOpening(Decimal(cash), parse_time(at), Settlement(kind)) if at else None,
    changing=lambda row: {
        "opening_cash": decimal_text(row.cash),
        "opened_at": time_text(row.at),
        "settlement": row.settlement,
    },
    order="account",
)
INTENTS = TableKind[IntentRow](
    "intents",
    key=("client_order_id",),
    key_of=lambda row: (row.record.intent.client_order_id,),
    columns="intent, state, code, message, updated_at",
    of_row=_intent,
    fixed=lambda row: {
        "session": row.record.intent.session.isoformat(),
        **dict(zip(("intent", "verdicts"), row.texts, strict=True)),
    },
    changing=_intent_changes,
    indexes={
        "session": Index(lambda row: row.record.intent.session, "session", "intents_by_session", sorted=True),
        "state": Index(lambda row: row.record.state, "state", "intents_by_state"),
    },
)
ORDERS = TableKind[StoredOrder](
    "orders",
    key=("venue_id",),
    key_of=lambda row: (row.order.venue_id,),
    columns="body, applied_at, promised",
    of_row=lambda body, at, promised: StoredOrder(decode_cached(Order, body), parse_time(at), bool(promised)),
    fixed=lambda row: {"client_order_id": row.order.client_order_id},
    changing=_order_changes,
    indexes={
        "client_order_id": Index(lambda row: row.order.client_order_id, "client_order_id", "orders_by_client_order_id"),
        "replaced_by": Index(lambda row: row.order.replaced_by, "replaced_by", "orders_replaced"),
        "working": Index(
            lambda row: None if row.order.status.terminal else True, named="orders_working", condition="terminal = 0"
        ),
        "unpromised": Index(
            lambda row: None if row.is_ours else True, named="orders_unpromised", condition="promised = 0"
        ),
        "applied_at": Index(lambda row: row.applied_at, "applied_at", "orders_by_time", sorted=True),
    },
)
FILLS = TableKind[StoredFill](
    "fills",
    key=("activity_id",),
    key_of=lambda row: (row.owned.fill.activity_id,),
    columns="body, origin, about, applied_at",
    of_row=lambda body, origin, about, at: StoredFill(owned_fill(body, origin, about), parse_time(at)),
    changing=_fill_values,
    indexes={
        "symbol": Index(lambda row: row.owned.fill.symbol, "body ->> '$.fill.symbol'"),
        "at": Index(lambda row: row.owned.fill.at, "at", "fills_by_time", sorted=True),
        "venue_order_id": Index(lambda row: row.owned.fill.venue_order_id, "venue_order_id", "fills_by_order"),
        "with_others": Index(
            lambda row: True if row.owned.strategy == FOREIGN or row.owned.origin in MOVED else None,
            named="fills_with_others",
            condition="(strategy = '' OR origin IN ('given_back', 'taken_over'))",
        ),
    },
)
CASH = TableKind[CashRow](
    "cash_adjustments",
    key=(),
    key_of=lambda row: (),
    columns="at, amount, kind, origin, about, why, happened_at, symbol, sub_kind",
    of_row=_cash,
    changing=lambda row: {**cash_words(row), "at": time_text(row.at)},
    indexes={"activity": Index(lambda row: row.about if row.origin is Origin.ACTIVITY else None, "about")},
)
ACKNOWLEDGED = TableKind[AcknowledgedRow](
    "acknowledged",
    key=(),
    key_of=lambda row: (),
    columns="at, symbol, quantity, origin, about, why",
    of_row=lambda at, symbol, quantity, origin, about, why: AcknowledgedRow(
        parse_time(at), symbol, Decimal(quantity), Origin(origin), about, why
    ),
    changing=lambda row: {**acknowledged_words(row), "at": time_text(row.at)},
)
NOTES = TableKind[TradeNote](
    "trade_notes",
    key=(),
    key_of=lambda row: (),
    columns="strategy, symbol, opened_at, tags, note, who, at",
    of_row=_note,
    changing=lambda note: {**note_words(note), "tags": json_text(list(note.tags)), "at": time_text(note.at)},
)
MARKS = TableKind[MarksRow](
    "high_water",
    key=("strategy", "symbol", "opened_at"),
    key_of=lambda row: row.held,
    columns="strategy, symbol, opened_at, price, worst",
    of_row=_marks,
    changing=_marks_changes,
    order="opened_at",
)
PEAK = TableKind[EquityPeak](
    "equity_peak",
    key=(),
    key_of=lambda row: (),
    columns="highest, seen_once",
    of_row=lambda highest, seen_once: EquityPeak(Decimal(highest), Decimal(seen_once)),
    changing=lambda row: {"highest": decimal_text(row.highest), "seen_once": decimal_text(row.seen_once)},
    order="account",
)
RECONCILED = TableKind[ReconcileMark](
    "last_reconcile",
    key=(),
    key_of=lambda row: (),
    columns="at, blocking, findings",
    of_row=lambda at, blocking, findings: ReconcileMark(parse_time(at), blocking, findings),
    changing=lambda row: {"at": time_text(row.at), "blocking": row.blocking, "findings": row.findings},
    order="account",
)
SLOTS = TableKind[SlotClaim](
    "slots",
    key=("job", "session", "slot"),
    key_of=lambda row: (row.job, row.session, row.slot),
    columns="job, session, slot, holder, at",
    of_row=lambda job, day, slot, by, at: SlotClaim(job, date.fromisoformat(day), slot, by, parse_time(at), won=False),
    changing=lambda row: {"holder": row.by, "at": time_text(row.at)},
    indexes={"session": Index(lambda row: row.session, "session", "slots_by_session")},
    order="at, job, slot",
)
SESSIONS = TableKind[SessionRow](
    "sessions",
    key=("calendar", "date"),
    key_of=lambda row: (row.calendar, row.session.date),
    columns="calendar, date, open, close",
    of_row=lambda calendar, day, start, end: SessionRow(
        calendar, Session(date.fromisoformat(day), parse_time(start), parse_time(end))
    ),
    changing=lambda row: {"open": time_text(row.session.open), "close": time_text(row.session.close)},
    indexes={"date": Index(lambda row: row.session.date, "date", "sessions_by_date", sorted=True)},
    order="date",
)
LISTINGS = TableKind[ListingRecord](
    "listings",
    key=("symbol",),
    key_of=lambda row: (row.listing.symbol,),
    columns="body",
    of_row=_listing,
    changing=lambda row: {"body": json_text(encode(row)), "read_at": time_text(row.listing.read_at)},
)
KINDS: Mapping[str, TableKind[Any]] = {
    kind.name: kind
    for kind in (
        BOOK, INTENTS, ORDERS, FILLS, CASH, ACKNOWLEDGED, NOTES, MARKS, PEAK, RECONCILED, SLOTS, SESSIONS, LISTINGS,
    )
}  # fmt: skip


class LedgerTables:
    """All tables of the books of one account."""

    def __init__(self, books: AccountTables) -> None:
        self.books = books
        self.book = books.table(BOOK)
        self.intents = books.table(INTENTS)
        self.orders = books.table(ORDERS)
        self.fills = books.table(FILLS)
        self.cash = books.table(CASH)
        self.acknowledged = books.table(ACKNOWLEDGED)
        self.notes = books.table(NOTES)
        self.marks = books.table(MARKS)
        self.peak = books.table(PEAK)
        self.reconciled = books.table(RECONCILED)
        self.slots = books.table(SLOTS)
        self.sessions = books.table(SESSIONS)
        self.listings = books.table(LISTINGS)
