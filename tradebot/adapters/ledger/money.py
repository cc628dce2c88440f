"""The ledger's money records other than orders: the opening balance, fills, cash, and the marks of positions."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from tradebot.adapters.ledger.bodies import kept_of, names, owned_fill
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.foreign import Foreign
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import encode
from tradebot.errors import OperatorError
from tradebot.model.account import EquityPeak
from tradebot.model.activity import Booking, Entry, Restated
from tradebot.model.books import Standing
from tradebot.model.origin import Origin
from tradebot.model.position import Kept, Key, Marks, OwnedFill
from tradebot.model.trading import ReconcileMark

FILLS = "SELECT sequence, body, origin, about FROM fills WHERE account = ? AND sequence > ? ORDER BY sequence"
OF_SYMBOL = """SELECT body, origin, about FROM fills
    WHERE account = ? AND body ->> '$.fill.symbol' = ? ORDER BY at, sequence"""
SINCE = """SELECT body, origin, about FROM fills INDEXED BY fills_by_time
    WHERE account = ? AND at >= ? ORDER BY at, sequence"""
WITH_OTHERS = """SELECT body, origin, about FROM fills INDEXED BY fills_with_others
    WHERE account = ? AND (strategy = '' OR origin IN ('given_back', 'taken_over'))
    ORDER BY at, sequence"""
KNOWN = "SELECT activity_id FROM fills WHERE account = ? AND activity_id IN (SELECT value FROM json_each(?))"
FILLED = """SELECT body, origin, about FROM fills INDEXED BY fills_by_order
    WHERE account = ? AND venue_order_id IN (SELECT value FROM json_each(?))"""
LAST_REPORTED = """SELECT at FROM fills INDEXED BY fills_by_time
    WHERE account = ? AND at <= ? AND venue_order_id != '' ORDER BY at DESC LIMIT 1"""
MARKS = """SELECT strategy, symbol, opened_at, price, worst FROM json_each(?2) CROSS JOIN high_water ON account = ?1
    AND strategy = value ->> 0 AND symbol = value ->> 1 AND opened_at = value ->> 2"""
OWN_EXITS = """WITH RECURSIVE opened (held, strategy, at, symbol, venue_id, sequence, about) AS (
    SELECT key, strategy, at, value ->> 1, venue_order_id, sequence, about
    FROM json_each(?2) CROSS JOIN fills INDEXED BY fills_by_time
    ON account = ?1 AND at = value ->> 2 AND strategy = value ->> 0 AND body ->> '$.fill.symbol' = value ->> 1
    UNION SELECT held, opened.strategy, opened.at, closed.body ->> '$.fill.symbol', earlier.venue_order_id,
    earlier.sequence, earlier.about
    FROM opened CROSS JOIN fills AS closed ON closed.account = ?1 AND closed.sequence = opened.sequence - 1
    AND closed.about = opened.about AND opened.venue_id = '' AND opened.about != ''
    CROSS JOIN fills AS earlier INDEXED BY fills_by_time ON earlier.account = ?1 AND earlier.at = opened.at
    AND earlier.strategy = opened.strategy AND earlier.body ->> '$.fill.symbol' = closed.body ->> '$.fill.symbol'
    ), behind (held, venue_id) AS (
    SELECT held, venue_id FROM opened WHERE venue_id != ''
    UNION SELECT held, orders.venue_id FROM behind CROSS JOIN orders INDEXED BY orders_replaced
    ON account = ?1 AND replaced_by = behind.venue_id
    )
    SELECT held, intent ->> '$.stop_loss_fraction', intent ->> '$.profit_target_fraction', intent ->> '$.score',
    intent -> '$.components', intent -> '$.targets'
    FROM behind CROSS JOIN orders ON orders.account = ?1 AND orders.venue_id = behind.venue_id
    CROSS JOIN intents ON intents.account = ?1 AND intents.client_order_id = orders.client_order_id
    WHERE intent ->> '$.purpose' = 'open'"""
"""Select what positions were opened for and how they asked to be closed: from the intent behind the order that filled
first, or behind one that it replaced. A rename closes the lots of the old symbol right before it opens those of the new
one."""
STANDING = """SELECT opened_at, opening_cash, last_reconcile.at, blocking, findings, highest, seen_once FROM book
    LEFT JOIN last_reconcile USING (account) LEFT JOIN equity_peak USING (account) WHERE account = ?"""
BOOKED = """SELECT about, kind, amount, why, happened_at, symbol, sub_kind FROM cash_adjustments
    WHERE account = ?1 AND origin = 'activity' AND (?2 IS NULL OR about IN (SELECT value FROM json_each(?2)))
    ORDER BY sequence"""
UNTRADED = """SELECT body, origin, about FROM fills
    WHERE account = ? AND sequence > ? AND venue_order_id = ''"""


class Money:
    """The records from which positions and cash are computed."""

    _fills_read: tuple[int, tuple[OwnedFill, ...]] = (0, ())
    """The number of the last fill that was read, and all fills up to it."""

    def __init__(self, file: LedgerFile, foreign: Foreign) -> None:
        self._file = file
        self._foreign = foreign

    def opening_cash(self) -> Decimal:
        """Return the account's opening cash, USD; raise OperatorError if the books aren't open yet."""
        found = self._file.row("SELECT opening_cash FROM book WHERE account = ?")
        if found is None or found[0] is None:
            raise OperatorError("The books were never opened.", "tradebot reconcile")
        return Decimal(found[0])

    def open_books(self, opening_cash: Decimal, at: datetime) -> None:
        """Write the opening balance, once."""
        with self._file.write():
            if self.books_opened_at() is not None:
                raise AssertionError("the books are open already")
            self._file.note("opening", {"cash": decimal_text(opening_cash)}, at)
            self._file.seal()
            self._file.execute(
                "UPDATE book SET opening_cash = ?, opened_at = ? WHERE account = ?",
                (decimal_text(opening_cash), time_text(at), self._file.account_number),
            )

    def books_opened_at(self) -> datetime | None:
        """Return when the opening balance was written; None before the first reconcile."""
        found = self._file.row("SELECT opened_at FROM book WHERE account = ?")
        return parse_time(found[0]) if found and found[0] else None

    def standing(self) -> Standing:
        """Return the opening balance, accepted cash movements, the last reconcile and the highest equity."""
        opened_at, cash, at, blocking, findings, highest, seen_once = self._file.row(STANDING)
        return Standing(
            opened_at=parse_time(opened_at) if opened_at else None,
            opening_cash=None if cash is None else Decimal(cash),
            cash_adjustments=self.cash_adjustments(),
            reconciled=ReconcileMark(parse_time(at), blocking, findings) if at else None,
            peak=EquityPeak(Decimal(highest), Decimal(seen_once)) if highest else None,
        )

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        """Append fills not seen before, by activity id; return how many were new."""
        with self._file.write():
            added = sum(self._apply_fill(owned, at) for owned in fills)
            if added:
                self._file.seal()
        return added

    def fills(self, symbol: str | None = None) -> Sequence[OwnedFill]:
        """Return all fills and adjustments, or those of one symbol, oldest first."""
        if symbol is not None:
            return tuple(owned_fill(*row) for row in self._file.streamed(OF_SYMBOL, (symbol,)))
        last, fills = self._fills_read
        new = list[OwnedFill]()
        for sequence, *row in self._file.streamed(FILLS, (last,)):
            new.append(owned_fill(*row))
            last = max(last, sequence)
        if new:
            # The sort is stable: fills of the same time keep the order in which they were written.
            fills = tuple(sorted((*fills, *new), key=lambda owned: owned.fill.at))
        if not self._file.database.in_transaction:
            self._fills_read = last, fills
        return fills

    def fills_since(self, at: datetime) -> Sequence[OwnedFill]:
        """Return the fills and adjustments from a time on, oldest first."""
        return tuple(owned_fill(*row) for row in self._file.streamed(SINCE, (time_text(at),)))

    def fills_with_others(self) -> Sequence[OwnedFill]:
        """Return the fills that aren't ours, and those that moved shares between others and us, oldest first."""
        return tuple(owned_fill(*row) for row in self._file.streamed(WITH_OTHERS))

    def known_fills(self, activity_ids: Collection[str]) -> Collection[str]:
        """Return those of these activity ids that are in the books."""
        return frozenset(name for (name,) in self._file.rows(KNOWN, (names(activity_ids),)))

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        """Return how many shares the fills of each of these orders add up to, unsigned, without zeros."""
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for fill in (owned_fill(*row).fill for row in self._file.rows(FILLED, (names(venue_ids),))):
            filled[fill.venue_order_id] += fill.quantity
        return dict(filled)

    def last_reported_fill(self, until: datetime) -> datetime | None:
        """Return the time of the last fill up to `until` that the venue reported, or None."""
        found = self._file.row(LAST_REPORTED, (time_text(until),))
        return parse_time(found[0]) if found else None

    def untraded(self, after: int) -> Iterator[OwnedFill]:
        """Yield the fills without a venue order, skipping the first `after` fills."""
        return (owned_fill(*row) for row in self._file.streamed(UNTRADED, (after,)))

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        """Write a cash movement that no fill explains: a person's accepted plan, or what an activity moved."""
        with self._file.write():
            self._adjust_cash(amount, why, at, origin, about)
            self._file.seal()

    def cash_adjustments(self) -> Decimal:
        """Return the sum of accepted cash movements, USD."""
        found = self._file.rows("SELECT amount FROM cash_adjustments WHERE account = ?")
        return sum((Decimal(amount) for (amount,) in found), Decimal(0))

    def book(self, booking: Booking, at: datetime) -> bool:
        """Write everything that activities prove, in one transaction; return False if one of them is already booked."""
        with self._file.write():
            if self.booked({entry.activity_id for entry in booking.entries}):
                return False
            for entry in booking.entries:
                self._adjust_cash(entry.amount, entry.words, at, Origin.ACTIVITY, entry.activity_id, entry)
            for owned in booking.fills:
                self._apply_fill(owned, at)
            for symbol, quantity in booking.acknowledged:
                first = booking.entries[0]
                self._foreign.note(symbol, quantity, first.words, at, Origin.ACTIVITY, first.activity_id)
            for one in booking.restated:
                self._restate(one)
            self._file.seal()
        return True

    def booked(self, activity_ids: Collection[str] | None = None) -> Mapping[str, Entry]:
        """Return the booked activities, all or those of these ids, by their ids."""
        found = self._file.rows(BOOKED, (None if activity_ids is None else names(activity_ids),))
        return {
            name: Entry(name, kind, Decimal(amount), words, parse_time(at) if at else None, symbol or "", sub or "")
            for name, kind, amount, words, at, symbol, sub in found
        }

    def equity_peak(self) -> EquityPeak | None:
        """Return the highest equity seen so far; None before the first one is stored."""
        found = self._file.row("SELECT highest, seen_once FROM equity_peak WHERE account = ?")
        return EquityPeak(*map(Decimal, found)) if found else None

    def put_equity_peak(self, peak: EquityPeak) -> None:
        """Store the highest equity."""
        with self._file.write():
            self._file.execute(
                "INSERT INTO equity_peak (account, highest, seen_once) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET highest = excluded.highest, seen_once = excluded.seen_once",
                (self._file.account_number, decimal_text(peak.highest), decimal_text(peak.seen_once)),
            )

    def kept(self, held: Collection[Key]) -> Mapping[Key, Kept]:
        """Return the marks of these positions, and what the intents that opened them say."""
        keys = list(held)
        asked = json.dumps([(strategy, symbol, time_text(opened_at)) for strategy, symbol, opened_at in keys])
        found = self._file.rows(OWN_EXITS, (asked,))
        kept = {keys[place]: _kept(*own) for place, *own in found}
        for strategy, symbol, at, best, worst in self._file.rows(MARKS, (asked,)):
            key = strategy, symbol, parse_time(at)
            kept[key] = replace(kept.get(key, Kept()), best=Decimal(best), worst=_number(worst))
        return kept

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        """Store the best and the worst prices of positions, in one transaction."""
        with self._file.write():
            for held, prices in marks.items():
                self._put_marks(held, prices)

    def _put_marks(self, held: Key, prices: Marks) -> None:
        strategy, symbol, opened_at = held
        worst = None if prices.worst is None else decimal_text(prices.worst)
        self._file.execute(
            "INSERT INTO high_water (account, strategy, symbol, opened_at, price, worst) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET price = excluded.price, worst = excluded.worst"
            " WHERE price != excluded.price OR worst IS NOT excluded.worst",
            (self._file.account_number, strategy, symbol, time_text(opened_at), decimal_text(prices.best), worst),
        )

    def _restate(self, one: Restated) -> None:
        held = (one.strategy, one.symbol, one.opened_at)
        kept = one.of(self.kept([held]).get(held, Kept()))
        if kept.best is not None:
            self._put_marks((one.strategy, one.to_symbol, one.opened_at), Marks(kept.best, kept.worst))

    def _adjust_cash(
        self,
        amount: Decimal,
        why: str,
        at: datetime,
        origin: Origin,
        about: str,
        entry: Entry | None = None,
    ) -> None:
        kind = entry.kind if entry else ""
        words = {"amount": decimal_text(amount), "origin": origin, "about": about, "kind": kind, "why": why}
        happened = time_text(entry.at) if entry and entry.at else None
        of_entry = {
            "happened_at": happened,
            "symbol": (entry.symbol or None) if entry else None,
            "sub_kind": (entry.sub_kind or None) if entry else None,
        }
        known = {name: value for name, value in of_entry.items() if value is not None}
        self._file.note("cash_adjusted", {**words, **known}, at)
        self._file.execute(
            "INSERT INTO cash_adjustments"
            " (account, sequence, amount, origin, about, kind, why, at, happened_at, symbol, sub_kind)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10"
            " FROM cash_adjustments WHERE account = ?1",
            (self._file.account_number, *words.values(), time_text(at), *of_entry.values()),
        )

    def _apply_fill(self, owned: OwnedFill, at: datetime) -> bool:
        return self.put_fill(owned, json_text(encode(owned)), at)

    def put_fill(self, owned: OwnedFill, body: str, at: datetime) -> bool:
        """Append a fill's journaled text in the caller's transaction; return False if its id is already there."""
        added = self._file.execute(
            "INSERT INTO fills"
            " (account, sequence, activity_id, at, body, applied_at, origin, about, strategy, venue_order_id)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
            " FROM fills WHERE account = ?1"
            " ON CONFLICT (account, activity_id) DO NOTHING",
            (
                self._file.account_number,
                owned.fill.activity_id,
                time_text(owned.fill.at),
                body,
                time_text(at),
                owned.origin,
                owned.about,
                owned.strategy,
                owned.fill.venue_order_id,
            ),
        )
        if added:
            self._file.note("fill", body.encode(), at)
        return bool(added)


def _kept(
    stop: str | None, target: str | None, score: float | None, components: str | None, targets: str | None
) -> Kept:
    return kept_of(stop, target, score, json.loads(components or "[]"), json.loads(targets or "[]"))


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
