"""Money in the ledger that is no order: executions, cash, the best prices of positions, and activities as a whole."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from tradebot.adapters.ledger.upkeep import Upkeep
from tradebot.adapters.text.canonical import decimal_text, json_text, time_text
from tradebot.adapters.text.codec import encode
from tradebot.model.activity import MARK, Booking, Restated, id_of
from tradebot.model.position import OwnedFill


class Money(Upkeep):
    """What is folded to positions and cash."""

    def adjust_cash(self, amount: Decimal, why: str, at: datetime) -> None:
        """Write a cash movement that no fill explains: a person's accepted plan, or what an activity moved."""
        with self._write():
            self._adjust_cash(amount, why, at)
            self._seal()

    def cash_adjustments(self) -> Decimal:
        """Return the sum of accepted cash movements, USD."""
        found = self._rows("SELECT amount FROM cash_adjustments WHERE account = ?")
        return sum((Decimal(amount) for (amount,) in found), Decimal(0))

    def book(self, booking: Booking, at: datetime) -> bool:
        """Write all of what activities prove, in one go; False, changing nothing, where one of them is booked."""
        with self._write():
            if self.booked().keys() & {entry.activity_id for entry in booking.entries}:
                return False
            for entry in booking.entries:
                self._adjust_cash(entry.amount, entry.why, at)
            for owned in booking.fills:
                self._apply_fill(owned, at)
            for symbol, quantity in booking.acknowledged:
                self._acknowledge(symbol, quantity, booking.entries[0].why, at)
            for one in booking.restated:
                self._restate(one)
            self._seal()
        return True

    def booked(self) -> Mapping[str, str]:
        """Return the words of each activity that is booked, by its id."""
        query = "SELECT why FROM cash_adjustments WHERE account = ?1 AND why LIKE ?2 ORDER BY sequence"
        found = [why for (why,) in self._rows(query, (f"{MARK}%",))]
        return {str(id_of(why)): why.partition(" ")[2] for why in found}

    def high_water(self, strategy: str, symbol: str, opened_at: datetime) -> Decimal | None:
        """Return the best price that a position has seen since it was opened."""
        found = self._row(
            "SELECT price FROM high_water WHERE account = ? AND strategy = ? AND symbol = ? AND opened_at = ?",
            (strategy, symbol, time_text(opened_at)),
        )
        return Decimal(found[0]) if found else None

    def put_high_water(self, strategy: str, symbol: str, opened_at: datetime, price: Decimal) -> None:
        """Store the best price of a position."""
        with self._write():
            self._put_high_water(strategy, symbol, opened_at, price)

    def _put_high_water(self, strategy: str, symbol: str, opened_at: datetime, price: Decimal) -> None:
        self._execute(
            "INSERT INTO high_water (account, strategy, symbol, opened_at, price) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET price = excluded.price WHERE price != excluded.price",
            (self._account, strategy, symbol, time_text(opened_at), decimal_text(price)),
        )

    def _restate(self, one: Restated) -> None:
        best = self.high_water(one.strategy, one.symbol, one.opened_at)
        if best is not None:
            self._put_high_water(one.strategy, one.to_symbol, one.opened_at, best * one.old / one.new)

    def _adjust_cash(self, amount: Decimal, why: str, at: datetime) -> None:
        self._note("cash_adjusted", {"amount": decimal_text(amount), "why": why}, at)
        self._execute(
            "INSERT INTO cash_adjustments (account, sequence, amount, why, at)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4"
            " FROM cash_adjustments WHERE account = ?1",
            (self._account, decimal_text(amount), why, time_text(at)),
        )

    def _apply_fill(self, owned: OwnedFill, at: datetime) -> bool:
        body = encode(owned)
        added = self._execute(
            "INSERT INTO fills (account, sequence, activity_id, at, body, applied_at)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
            " FROM fills WHERE account = ?1"
            " ON CONFLICT (account, activity_id) DO NOTHING",
            (self._account, owned.fill.activity_id, time_text(owned.fill.at), json_text(body), time_text(at)),
        )
        if added:
            self._note("fill", body, at)
        return bool(added)
