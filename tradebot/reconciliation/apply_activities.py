"""Apply the broker's activities to the ledger: like fills, whatever they prove applies automatically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.errors import TradebotError
from tradebot.model.account import BrokerView
from tradebot.model.activity import Activity
from tradebot.model.position import OwnedFill, own_positions
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.activities import Booked, BooksBefore, book_all

LISTED_LATE = timedelta(days=31)
"""How long after it happened an activity may first be listed, or wait for a person."""


@dataclass(frozen=True, slots=True)
class AppliedActivities:
    """How many bookings were written, and which activities wait for a person."""

    bookings: int
    doubtful: tuple[Activity, ...]


def apply_activities(reader: BrokerReader, ledger: Ledger, view: BrokerView, at: datetime) -> AppliedActivities:
    """Write what the broker's activities prove, each exactly once, even if a process is killed in between."""
    booked = unbooked(reader, ledger, view, ledger.fills())
    written = sum(ledger.book(booking, at) for booking in booked.proven)
    return AppliedActivities(written, booked.doubtful)


def unbooked(reader: BrokerReader, ledger: Ledger, view: BrokerView, fills: Sequence[OwnedFill]) -> Booked:
    """Return what the activities would write on top of these fills, without writing anything."""
    opened = ledger.books_opened_at()
    if opened is None:
        return Booked((), ())
    mark, known = ledger.last_reconcile(), ledger.booked()
    since = max(opened, mark.at - LISTED_LATE) if mark else opened
    new = [one for one in reader.activities(since) if one.id not in known]
    broker = {position.symbol: position for position in view.positions}
    return book_all(BooksBefore(tuple(fills), ledger.acknowledged()), broker, new)


def explain_ratios(
    reader: BrokerReader, ledger: Ledger, view: BrokerView, now: datetime, *, writes: bool
) -> Mapping[str, Decimal]:
    """Return the broker's shares as multiples of ours where they differ, after asking activities for an explanation.

    If the pass `writes`, what they prove is written. If the broker doesn't answer, nothing is proven; exits continue
    and judge such a position by both quantities.
    """
    found = position_ratios(ledger.fills(), ledger.acknowledged(), view)
    if not found or not writes:
        return found
    try:
        apply_activities(reader, ledger, view, now)
    except TradebotError:
        return found
    return position_ratios(ledger.fills(), ledger.acknowledged(), view)


def position_ratios(fills: Sequence[OwnedFill], known: Mapping[str, Decimal], view: BrokerView) -> dict[str, Decimal]:
    """Return the broker's shares as multiples of ours by symbol: 0 if none are left, negative if the side changed."""
    ours = {position.symbol for position in own_positions(fills)}
    totals = {symbol: known.get(symbol, Decimal(0)) for symbol in ours}
    for owned in fills:
        if owned.fill.symbol in ours:
            totals[owned.fill.symbol] += owned.fill.signed_quantity
    there = {position.symbol: position.quantity for position in view.positions}
    differing = {s: total for s, total in totals.items() if total and there.get(s, Decimal(0)) != total}
    return {symbol: there.get(symbol, Decimal(0)) / total for symbol, total in differing.items()}
