"""Apply the broker's activities to the ledger: like fills, whatever they prove applies automatically."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.model.account import BrokerView
from tradebot.model.activity import Activity
from tradebot.model.books import Books
from tradebot.model.position import OwnedFill
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Money
from tradebot.reconciliation.activities import Booked, BooksBefore, book_all, cash_only

LISTED_LATE = timedelta(days=31)
"""How long after it happened an activity may first be listed, or wait for a person."""


class AppliedActivities(Struct, frozen=True):
    """How many bookings were written, and which activities wait for a person."""

    bookings: int
    doubtful: tuple[Activity, ...]


def apply_activities(
    reader: BrokerReader, ledger: Ledger, books: Books, view: BrokerView, at: datetime
) -> AppliedActivities:
    """Write what the broker's activities prove, each exactly once, even if a process is killed in between."""
    booked = unbooked(reader, ledger, books, view)
    written = sum(ledger.book(booking, at) for booking in booked.proven)
    return AppliedActivities(written, booked.doubtful)


def unbooked(
    reader: BrokerReader, ledger: Money, books: Books, view: BrokerView, pending: Sequence[OwnedFill] = ()
) -> Booked:
    """Return what the activities would write after the `pending` fills, without writing anything."""
    opened, mark = books.standing.opened_at, books.standing.reconciled
    if opened is None:
        return Booked((), ())
    reported = reader.activities(max(opened, mark.at - LISTED_LATE) if mark else opened)
    known = ledger.booked({one.id for one in reported}) if reported else {}
    new = [one for one in reported if one.id not in known]
    symbols = {one.symbol for one in new if one.symbol is not None and not cash_only(one)}
    fills = (*(owned for symbol in sorted(symbols) for owned in ledger.fills(symbol)), *pending)
    held = BooksBefore(tuple(sorted(fills, key=lambda owned: owned.fill.at)), books.acknowledged)
    return book_all(held, {position.symbol: position for position in view.positions}, new)


def explain_ratios(reader: BrokerReader, ledger: Ledger, books: Books, view: BrokerView, now: datetime) -> bool:
    """Book the activities that explain differing positions; return True if anything was written.

    If the broker doesn't answer, nothing is proven; exits continue and judge such a position by both quantities.
    """
    try:
        return bool(apply_activities(reader, ledger, books, view, now).bookings)
    except TradebotError:
        return False


def position_ratios(books: Books, view: BrokerView) -> dict[str, Decimal]:
    """Return the broker's shares as multiples of ours by symbol: 0 if none are left, negative if the side changed."""
    totals = books.quantities()
    ours = {position.symbol: totals.get(position.symbol, Decimal(0)) for position in books.totals.own_positions()}
    there = {position.symbol: position.quantity for position in view.positions}
    differing = {s: total for s, total in ours.items() if total and there.get(s, Decimal(0)) != total}
    return {symbol: there.get(symbol, Decimal(0)) / total for symbol, total in differing.items()}
