"""The broker's activities into the ledger: what they prove applies by itself, like fills. Only reads the broker."""

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
from tradebot.reconciliation.activities import Booked, Held, book_all

LISTED_LATE = timedelta(days=31)
"""For so long after it happened an activity may be listed for the first time, or wait for a person."""


@dataclass(frozen=True, slots=True)
class AppliedActivities:
    """How many bookings were written, and the activities that wait for a person."""

    bookings: int
    doubtful: tuple[Activity, ...]


def apply_activities(reader: BrokerReader, ledger: Ledger, view: BrokerView, at: datetime) -> AppliedActivities:
    """Write what the broker's activities prove; each once, whoever was killed in between."""
    booked = unbooked(reader, ledger, view, ledger.fills())
    written = sum(ledger.book(booking, at) for booking in booked.proven)
    return AppliedActivities(written, booked.doubtful)


def unbooked(reader: BrokerReader, ledger: Ledger, view: BrokerView, fills: Sequence[OwnedFill]) -> Booked:
    """Return what activities would write beside these fills, for those who look and write nothing too."""
    opened = ledger.books_opened_at()
    if opened is None:
        return Booked((), ())
    mark, known = ledger.last_reconcile(), ledger.booked()
    since = max(opened, mark.at - LISTED_LATE) if mark else opened
    new = [one for one in reader.activities(since) if one.id not in known]
    broker = {position.symbol: position for position in view.positions}
    return book_all(Held(tuple(fills), ledger.acknowledged()), broker, new)


def explained(
    reader: BrokerReader, ledger: Ledger, view: BrokerView, now: datetime, *, writes: bool
) -> Mapping[str, Decimal]:
    """Return the broker's shares as multiples of the books' where they differ: the activities are asked about it.

    What they prove is written where the pass `writes`. A broker that does not answer proves nothing: exits go
    on, and judge such a position by both quantities.
    """
    found = astray(ledger.fills(), ledger.acknowledged(), view)
    if not found or not writes:
        return found
    try:
        apply_activities(reader, ledger, view, now)
    except TradebotError:
        return found
    return astray(ledger.fills(), ledger.acknowledged(), view)


def astray(fills: Sequence[OwnedFill], known: Mapping[str, Decimal], view: BrokerView) -> dict[str, Decimal]:
    """Return the multiples of what is ours by symbol: zero where nothing is left, less where it turned its side."""
    ours = {position.symbol for position in own_positions(fills)}
    totals = {symbol: known.get(symbol, Decimal(0)) for symbol in ours}
    for owned in fills:
        if owned.fill.symbol in ours:
            totals[owned.fill.symbol] += owned.fill.signed_quantity
    there = {position.symbol: position.quantity for position in view.positions}
    differing = {s: total for s, total in totals.items() if total and there.get(s, Decimal(0)) != total}
    return {symbol: there.get(symbol, Decimal(0)) / total for symbol, total in differing.items()}
