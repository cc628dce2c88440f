"""Store the ledger's money records other than orders: the opening balance, fills, cash, and the best and worst prices
of positions.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from tradebot.adapters.ledger.rows import (
    AcknowledgedRow,
    CashRow,
    MarksRow,
    StoredFill,
    StoredOpening,
    acknowledged_words,
    cash_words,
)
from tradebot.adapters.ledger.tables import LedgerTables, in_order
from tradebot.errors import OperatorError
from tradebot.model.account import Booking, Entry, EquityPeak, RestatedPosition
from tradebot.model.books import AccountState, terms_set_by_entry
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Operation
from tradebot.model.order import Fill, Order
from tradebot.model.position import EntryTerms, Key, Marks, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement


class ForeignPositions:
    """Positions in our account that the bot didn't open."""

    tables: LedgerTables

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        with self.tables.books.write():
            self.note_foreign(AcknowledgedRow(at, symbol, quantity, origin, about, why))
            self.tables.books.seal()

    def note_foreign(self, row: AcknowledgedRow) -> None:
        """Record a position that the bot didn't open, in the caller's transaction."""
        self.tables.books.note("acknowledged", acknowledged_words(row), row.at)
        self.tables.acknowledged.add(row)

    def acknowledged(self) -> Mapping[str, Decimal]:
        latest = {row.symbol: row.quantity for row in self.tables.acknowledged.after(0).values()}
        return {symbol: quantity for symbol, quantity in latest.items() if quantity}

    def acknowledged_since(self) -> Mapping[str, datetime]:
        since: dict[str, datetime] = {}
        for row in self.tables.acknowledged.after(0).values():
            if row.quantity:
                since.setdefault(row.symbol, row.at)
            else:
                since.pop(row.symbol, None)
        return since


NOTHING, TURNED = EntryTerms(), EntryTerms(turned=True)
OLDEST_FIRST = attrgetter("fill.at")


class SqliteMoney(ForeignPositions):
    """Stores the records from which positions and cash are computed."""

    _fills_read: tuple[int, tuple[OwnedFill, ...]] = (0, ())
    """The number of the last fill that was read, and all fills up to it."""
    _cash_read: tuple[int, Decimal] = (0, Decimal(0))
    """The number of the last cash movement that was read, and the sum up to it."""

    def __init__(self) -> None:
        self._opened_for: dict[Key, EntryTerms] = {}
        "The terms that positions were opened with, once they can no longer change."

    def opening_cash(self) -> Decimal:
        opening = self.tables.book.get()
        if opening is None:
            raise OperatorError("The books were never opened.", "tradebot reconcile")
        return opening.cash

    def open_books(self, opening_cash: Decimal, at: datetime, settlement: Settlement = Settlement.PAID) -> None:
        books, opening = self.tables.books, StoredOpening(opening_cash, at, settlement)
        with books.write():
            if self.books_opened_at() is not None:
                raise AssertionError("the books are open already")
            books.note("opening", opening.words, at)
            books.seal()
            self.tables.book.put(opening)

    def books_opened_at(self) -> datetime | None:
        opening = self.tables.book.get()
        return opening.at if opening else None

    def account_state(self) -> AccountState:
        tables = self.tables
        with tables.books.reading():
            cash, opened_at, settlement = tables.book.get() or (None, None, Settlement.PAID)
            records = self.cash_adjustments(), tables.reconciled.get(), tables.peak.get()
            return AccountState(opened_at, cash, *records, settlement)

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        books = self.tables.books
        with books.write():
            added = sum(self.apply_fill(StoredFill(owned, at)) for owned in fills)
            if added:
                books.seal()
        return added

    def apply_fill(self, row: StoredFill) -> bool:
        """Append a fill in the caller's transaction; return False if its id is already there."""
        row = self.tables.books.as_written(row)
        added = self.tables.fills.add(row)
        if added:
            self.tables.books.note("fill", row.payload, row.applied_at)
        return added

    def fills(self, symbol: str | None = None) -> Sequence[OwnedFill]:
        if symbol is not None:
            return _oldest_first(self.tables.fills.among("symbol", [symbol]))
        last, fills = self._fills_read
        new = self.tables.fills.after(last)
        if new:
            # The sort is stable: fills at the same time stay in the order in which they were written.
            fills = tuple(sorted((*fills, *(row.owned for row in new.values())), key=OLDEST_FIRST))
        if new and not self.tables.books.is_writing:
            self._fills_read = max(new), fills
        return fills

    def fills_since(self, at: datetime) -> Sequence[OwnedFill]:
        """Return the fills and adjustments from a time on, oldest first."""
        return _oldest_first(self.tables.fills.span("at", at))

    def foreign_and_moved_fills(self) -> Sequence[OwnedFill]:
        return _oldest_first(self.tables.fills.among("with_others", [True]))

    def known_fills(self, activity_ids: Collection[str]) -> Collection[str]:
        return self.tables.fills.known_keys(activity_ids)

    def fees_awaited(self, activity_ids: Collection[str]) -> Collection[str]:
        rows = self.tables.fills.several([(name,) for name in activity_ids])
        fees = {name: row.owned.fill.fee for (name,), row in rows.items()}
        return frozenset(name for name, fee in fees.items() if fee is None or fee.amount is None)

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.tables.fills.among("venue_order_id", venue_ids).values():
            filled[row.owned.fill.venue_order_id] += row.owned.fill.quantity
        return dict(filled)

    def last_reported_fill(self, until: datetime) -> datetime | None:
        stored_fill = self.tables.fills.last(_is_reported, "at", until)
        return stored_fill.owned.fill.at if stored_fill else None

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        with self.tables.books.write():
            self.move_cash(CashRow(at, amount, "", origin, about, why))
            self.tables.books.seal()

    def cash_adjustments(self) -> Decimal:
        last, total = self._cash_read
        new = self.tables.cash.after(last)
        if new:
            total = sum((row.amount for row in new.values()), total)
        if new and not self.tables.books.is_writing:
            self._cash_read = max(new), total
        return total

    def book(self, booking: Booking, at: datetime) -> bool:
        with self.tables.books.write():
            if self.booked({entry.activity_id for entry in booking.entries}):
                return False
            for booked in booking.entries:
                of_broker = booked.activity_id, booked.words, booked.at, booked.symbol, booked.sub_kind
                self.move_cash(CashRow(at, booked.amount, booked.kind, Origin.ACTIVITY, *of_broker))
            for owned in booking.fills:
                self.apply_fill(StoredFill(owned, at))
            for symbol, quantity in booking.acknowledged:
                first = booking.entries[0]
                of_first = Origin.ACTIVITY, first.activity_id, first.words
                self.note_foreign(AcknowledgedRow(at, symbol, quantity, *of_first))
            for each in booking.restated:
                self._restate(each)
            self.tables.books.seal()
        return True

    def booked(self, activity_ids: Collection[str] | None = None) -> Mapping[str, Entry]:
        cash = self.tables.cash
        rows = cash.after(0) if activity_ids is None else cash.among("activity", activity_ids)
        return {row.about: row.entry for row in rows.values() if row.origin is Origin.ACTIVITY}

    def equity_peak(self) -> EquityPeak | None:
        return self.tables.peak.get()

    def put_equity_peak(self, peak: EquityPeak) -> None:
        with self.tables.books.write():
            self.tables.peak.put(peak)

    def entry_terms(self, keys: Collection[Key]) -> Mapping[Key, EntryTerms]:
        terms = {}
        with self.tables.books.reading():
            opened_for = self._read_opened_for([key for key in keys if key not in self._opened_for])
            marks = self.tables.marks.several(keys)
        for key in keys:
            entry_terms, row = self._opened_for.get(key) or opened_for[key], marks.get(key)
            if row:
                entry_terms = replace(entry_terms, best=row.marks.best, worst=row.marks.worst)
            if entry_terms != NOTHING:
                terms[key] = entry_terms
        return terms

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        with self.tables.books.write():
            for key, prices in marks.items():
                self.tables.marks.put(MarksRow(key, prices))

    def _restate(self, restated: RestatedPosition) -> None:
        key = (restated.strategy, restated.symbol, restated.opened_at)
        entry_terms = restated.of(self.entry_terms([key]).get(key, NOTHING))
        if entry_terms.best is not None:
            marks = Marks(entry_terms.best, entry_terms.worst)
            self.tables.marks.put(MarksRow((restated.strategy, restated.to_symbol, restated.opened_at), marks))

    def move_cash(self, row: CashRow) -> None:
        """Record a cash movement in the caller's transaction."""
        self.tables.books.note("cash_adjusted", cash_words(row), row.at)
        self.tables.cash.add(row)

    def _read_opened_for(self, keys: Collection[Key]) -> Mapping[Key, EntryTerms]:
        """Return the terms in the intents behind the first fills of positions.

        That is the first intent of the filled order, before any replacement. Once it is known to have replaced nothing
        itself, and a pass has seen its fill, no later report can change the result.
        """
        if not keys:
            return {}
        filled, opened_for = self._opening_orders(keys), dict[Key, EntryTerms]()
        orders, before = self._behind({name for names in filled.values() for name in names})
        records = self.tables.intents.several({(order.client_order_id,) for order in orders.values()})
        for entry_row, names in filled.items():
            behind, entry_terms, first = names[:1], None, False
            for venue_id in behind:
                order = orders.get(venue_id)
                row = records.get((order.client_order_id,)) if order else None
                if order and row and row.record.intent.purpose is Purpose.OPEN:
                    gain = order.first_gain if entry_terms is None else entry_terms.first_gain
                    entry_terms = replace(terms_set_by_entry(row.record.intent), first_gain=gain)
                    first = row.record.intent.operation is Operation.SUBMIT and gain is not None
                behind.extend(name for name in before.get(venue_id, ()) if name not in behind)
            if entry_terms and first and not self.tables.books.is_writing:
                self._opened_for[entry_row] = entry_terms
            opened_for[entry_row] = entry_terms or (TURNED if names and self._close(names, orders, before) else NOTHING)
        return opened_for

    def _close(self, names: Iterable[str], orders: Mapping[str, Order], before: Mapping[str, list[str]]) -> bool:
        """Return True if closing orders of ours are behind these, and no entry is.

        A leg has the venue's own id, so it is ours if its parent is; no leg opens a position.
        """
        behind = list(names)
        for name in behind:
            behind.extend(order_id for order_id in before.get(name, ()) if order_id not in behind)
        own = [orders[name] for name in behind if name in orders]
        led = self.tables.orders.several({(order.parent,) for order in own if order.parent}).values()
        intent_ids = {(order.client_order_id,) for order in own} | {(row.order.client_order_id,) for row in led}
        intents = self.tables.intents.several(intent_ids)
        entries = {name for (name,), row in intents.items() if row.record.intent.purpose is Purpose.OPEN}
        return bool(intents) and entries.isdisjoint(order.client_order_id for order in own)

    def _behind(self, venue_ids: set[str]) -> tuple[Mapping[str, Order], Mapping[str, list[str]]]:
        """Return these orders with all that they replaced, and which orders each of them replaced."""
        orders, before, pending_ids = dict[str, Order](), defaultdict[str, list[str]](list), venue_ids
        waiting = [row.order for row in self.tables.orders.several([(name,) for name in pending_ids]).values()]
        while pending_ids:
            orders |= {order.venue_id: order for order in waiting}
            waiting = [row.order for row in in_order(self.tables.orders.among("replaced_by", pending_ids))]
            for order in waiting:
                before[str(order.replaced_by)].append(order.venue_id)
            pending_ids = {order.venue_id for order in waiting} - orders.keys()
        return orders, before

    def _opening_orders(self, keys: Collection[Key]) -> Mapping[Key, list[str]]:
        """Return the orders whose fills opened positions; positions without such orders are absent."""
        at = defaultdict[datetime, dict[int, StoredFill]](dict)
        for number, row in self.tables.fills.among("at", {opened_at for _, _, opened_at in keys}).items():
            at[row.owned.fill.at][number] = row
        filled = dict[Key, list[str]]()
        for strategy, symbol, opened_at in keys:
            fills = self._opening_fills(strategy, symbol, at[opened_at], set())
            filled[strategy, symbol, opened_at] = list(
                dict.fromkeys(fill.venue_order_id for fill in fills if fill.venue_order_id)
            )
        return filled

    def _opening_fills(
        self, strategy: str, symbol: str, rows: Mapping[int, StoredFill], visited: set[str]
    ) -> Iterator[Fill]:
        """Yield the fills that opened a position, including those under its earlier symbols.

        A rename closes the lots of the old symbol right before opening those of the new one. `rows` has all fills at
        that time.
        """
        for number, row in rows.items():
            owned, fill = row.owned, row.owned.fill
            if (owned.strategy, fill.symbol) != (strategy, symbol) or fill.activity_id in visited:
                continue
            visited.add(fill.activity_id)
            yield fill
            if owned.about and not fill.venue_order_id:
                before = self.tables.fills.row_by_number(number - 1)
                if before and before.owned.about == owned.about:
                    yield from self._opening_fills(strategy, before.owned.fill.symbol, rows, visited)


def _is_reported(row: StoredFill) -> bool:
    return bool(row.owned.fill.venue_order_id)


def _oldest_first(rows: Mapping[int, StoredFill]) -> tuple[OwnedFill, ...]:
    return tuple(sorted([rows[number].owned for number in sorted(rows)], key=OLDEST_FIRST))
