"""Money in memory besides fills: the opening balance, cash, activities, marks, and positions that aren't ours."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.adapters.memory.fills import Fills
from tradebot.adapters.memory.orders import Orders
from tradebot.errors import OperatorError
from tradebot.model.account import EquityPeak
from tradebot.model.activity import Booking, Entry, Restated
from tradebot.model.candidate import Purpose
from tradebot.model.cash import CashMovement
from tradebot.model.intent import Intent
from tradebot.model.origin import Origin
from tradebot.model.position import Kept, Key, Marks
from tradebot.model.trade_note import TradeNote

NOTHING = Kept()


class CashRow(NamedTuple):
    """A movement of cash as it was written `at`; `happened_at` is the broker's time if that is known."""

    at: datetime
    amount: Decimal
    kind: str
    origin: Origin
    about: str
    why: str
    happened_at: datetime | None
    symbol: str
    sub_kind: str

    @property
    def entry(self) -> Entry:
        """Return the booked activity that a row was written for."""
        return Entry(self.about, self.kind, self.amount, self.why, self.happened_at, self.symbol, self.sub_kind)


class AcknowledgedRow(NamedTuple):
    """A foreign position as it was noted `at`."""

    at: datetime
    symbol: str
    quantity: Decimal
    origin: Origin
    about: str
    why: str


class Money(Fills, Orders):
    """The records from which positions and cash are computed."""

    def __init__(self) -> None:
        super().__init__()
        self._opening: tuple[Decimal, datetime] | None = None
        self._cash: list[CashRow] = []
        self._adjusted = Decimal(0)
        self._booked: dict[str, Entry] = {}
        self._notes: list[TradeNote] = []
        self._marks: dict[Key, Marks] = {}
        self._kept: dict[Key, Kept] = {}
        """What is kept of positions, once the intent that opened them is known."""
        self._peak: EquityPeak | None = None
        self._acknowledged_rows: list[AcknowledgedRow] = []
        self._acknowledged: dict[str, Decimal] = {}
        self._acknowledged_since: dict[str, datetime] = {}

    def opening_cash(self) -> Decimal:
        """Return the account's cash in USD when the books were opened; raise OperatorError if they weren't."""
        if self._opening is None:
            raise OperatorError("The books were never opened.", "tradebot reconcile")
        return self._opening[0]

    def open_books(self, opening_cash: Decimal, at: datetime) -> None:
        """Write the opening balance, once."""
        if self._opening is not None:
            raise AssertionError("the books are open already")
        self._opening = (opening_cash, at)

    def books_opened_at(self) -> datetime | None:
        """Return when the opening balance was written, or None before the first reconcile."""
        return self._opening[1] if self._opening else None

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        """Write a cash movement that no fill explains, from an accepted plan or a broker's activity."""
        self._adjust_cash(CashRow(at, amount, "", origin, about, why, None, "", ""))

    def cash_adjustments(self) -> Decimal:
        """Return the sum of accepted cash movements, USD."""
        return self._adjusted

    def cash_movements(self) -> Sequence[CashMovement]:
        """Return every movement of cash that no fill explains, in the order of the books.

        Its time is the broker's if that is known, otherwise when it was booked.
        """
        return tuple(
            CashMovement(
                row.happened_at or row.at,
                row.amount,
                row.kind,
                row.origin,
                row.about,
                row.why,
                row.symbol,
                row.sub_kind,
            )
            for row in self._cash
        )

    def cash_rows(self) -> Sequence[CashRow]:
        """Return every movement of cash as it was written."""
        return tuple(self._cash)

    def note_trade(self, note: TradeNote) -> None:
        """Write the tags and the note of a trade, which replace those written before."""
        self._notes.append(note)

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        """Write what `change` makes of what stands with a trade, and return it."""
        self.note_trade(note := change(self.trade_notes().get(trade)))
        return note

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        """Return the tags and the note that each trade has now, by strategy, symbol and opening time."""
        return {note.trade: note for note in sorted(self._notes, key=lambda note: note.at)}

    def book(self, booking: Booking, at: datetime) -> bool:
        """Write everything the activities prove. If one is booked already, change nothing, return False."""
        if any(entry.activity_id in self._booked for entry in booking.entries):
            return False
        for one in booking.entries:
            of_broker = one.activity_id, one.words, one.at, one.symbol, one.sub_kind
            self._adjust_cash(CashRow(at, one.amount, one.kind, Origin.ACTIVITY, *of_broker))
        self.apply_fills(booking.fills, at)
        for symbol, quantity in booking.acknowledged:
            first = booking.entries[0]
            self.acknowledge(symbol, quantity, first.words, at, origin=Origin.ACTIVITY, about=first.activity_id)
        for each in booking.restated:
            self._restate(each)
        return True

    def booked(self, activity_ids: Collection[str] | None = None) -> Mapping[str, Entry]:
        """Return the activities that are booked, all or those of these ids, by their ids."""
        if activity_ids is None:
            return dict(self._booked)
        return {name: self._booked[name] for name in activity_ids if name in self._booked}

    def kept(self, held: Collection[Key]) -> Mapping[Key, Kept]:
        """Return what is kept of these open positions besides their fills; those of which nothing is are left out.

        What a position was opened for, and how it asked to be closed, is read from the intent behind the fill that
        opened it. The original quantity isn't: it follows from the fills.
        """
        kept = {one: self._kept.get(one) or self._read_kept(one) for one in held}
        return {one: found for one, found in kept.items() if found is not NOTHING}

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        """Store the best and the worst prices of positions, all or none."""
        self._marks.update(marks)
        for held, prices in marks.items():
            if held in self._kept:
                self._kept[held] = replace(self._kept[held], best=prices.best, worst=prices.worst)

    def marks_of_positions(self) -> Mapping[Key, Marks]:
        """Return the best and the worst price of every position that was ever looked at."""
        return dict(self._marks)

    def equity_peak(self) -> EquityPeak | None:
        """Return the highest equity seen so far; None before the first one is stored."""
        return self._peak

    def put_equity_peak(self, peak: EquityPeak) -> None:
        """Store the highest equity."""
        self._peak = peak

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        """Record a foreign position as known and left alone; zero forgets it."""
        self._acknowledged_rows.append(AcknowledgedRow(at, symbol, quantity, origin, about, why))
        if quantity:
            self._acknowledged[symbol] = quantity
            self._acknowledged_since.setdefault(symbol, at)
        else:
            self._acknowledged.pop(symbol, None)
            self._acknowledged_since.pop(symbol, None)

    def acknowledged(self) -> Mapping[str, Decimal]:
        """Return the foreign positions that a person has acknowledged, as signed quantities by symbol."""
        return dict(self._acknowledged)

    def acknowledged_since(self) -> Mapping[str, datetime]:
        """Return when each acknowledged position was first acknowledged, even if its quantity has changed since."""
        return dict(self._acknowledged_since)

    def acknowledged_rows(self) -> Sequence[AcknowledgedRow]:
        """Return every note about a foreign position, as it was written."""
        return tuple(self._acknowledged_rows)

    def _adjust_cash(self, row: CashRow) -> None:
        self._cash.append(row)
        self._adjusted += row.amount
        if row.origin is Origin.ACTIVITY:
            self._booked[row.about] = row.entry

    def _restate(self, one: Restated) -> None:
        held = one.strategy, one.symbol, one.opened_at
        kept = one.of(self.kept([held]).get(held, NOTHING))
        if kept.best is not None:
            self.put_marks({(one.strategy, one.to_symbol, one.opened_at): Marks(kept.best, kept.worst)})

    def _read_kept(self, held: Key) -> Kept:
        opened, final = self._opened_for(held)
        marks = self._marks.get(held)
        found = replace(opened, best=marks.best, worst=marks.worst) if marks else opened
        if final:
            self._kept[held] = found
        return found

    def _opened_for(self, held: Key) -> tuple[Kept, bool]:
        """Return what the intent behind a position's first fills says, and whether nothing can change that anymore.

        It is the first intent of the order that filled, before anything replaced it.
        """
        filled = list(dict.fromkeys(f.venue_order_id for f in self._opened(*held, set()) if f.venue_order_id))
        behind, kept = list(filled), NOTHING
        for venue_id in behind:
            intent = self._entry(venue_id)
            kept = _kept_of(intent) if intent else kept
            before = self._replaced.get(venue_id)
            if before is not None and before not in behind:
                behind.append(before)
        return kept, kept is not NOTHING and all(venue_id in self._orders for venue_id in filled)

    def _entry(self, venue_id: str) -> Intent | None:
        """Return the intent that made an order, if that is one that opens a position."""
        order = self._orders.get(venue_id)
        record = self._intents.get(order.client_order_id) if order else None
        return record.intent if record and record.intent.purpose is Purpose.OPEN else None


def _kept_of(intent: Intent) -> Kept:
    kept = Kept(
        stop_loss_fraction=intent.stop_loss_fraction,
        profit_target_fraction=intent.profit_target_fraction,
        entry_score=intent.score,
        components=intent.components,
        targets=intent.targets,
    )
    return kept if kept != NOTHING else NOTHING
