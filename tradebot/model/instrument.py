"""Instruments, how their venue lists them, and the one function that turns a quantity and a price into money."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple, TypeVar

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.struct_tools import VenueWord, replace


class Hours(Struct, frozen=True):
    """The sessions of an instrument as its venue gives them, and its liquid hours.

    They cover `since` until just before `until`: within that period, nothing trades outside of `trading`. Both lists
    are sorted; a date may have several entries with breaks between them.
    """

    since: datetime
    until: datetime
    trading: tuple[Session, ...]
    liquid: tuple[Session, ...]

    def tells(self, at: datetime) -> bool:
        """Return True if a moment is within the period for which the venue gave its hours."""
        return self.since <= at < self.until

    def trades(self, at: datetime) -> bool:
        """Return True if the instrument trades at a moment."""
        return any(session.contains(at) for session in self.trading)

    def is_liquid(self, at: datetime) -> bool:
        """Return True if a moment is in the liquid hours."""
        return any(session.contains(at) for session in self.liquid)

    def becomes_liquid(self, at: datetime, day: date) -> bool:
        """Return True if more liquid hours will begin on a date, after the moment `at`."""
        return any(session.date == day and session.open > at for session in self.liquid)

    def session_at(self, at: datetime, today: date) -> Session | None:
        """Return the open session, or today's next or last one; None without any."""
        current = next((session for session in self.trading if session.contains(at)), None)
        own = [session for session in self.trading if session.date == today]
        return current or next((session for session in own if session.open > at), own[-1] if own else None)

    def over(self, usual: Iterable[Session]) -> Sequence[Session]:
        """Return a calendar's sessions, one per date; in the covered period, use the venue's own sessions instead."""
        session_by_day = {own.date: own for own in usual if own.close <= self.since or own.open >= self.until}
        for session in self.trading:
            before = session_by_day.get(session.date)
            session_by_day[session.date] = Session(session.date, before.open, session.close) if before else session
        return [session_by_day[day] for day in sorted(session_by_day)]


Number = TypeVar("Number", Decimal, Fraction, float, int)
ONE = Decimal(1)
"""The multiplier of shares."""
CURRENCY = "USD"
"""The currency of the books. An amount in another currency is stored and shown unchanged, and never added to USD."""


def notional(quantity: Number, price: Number, multiplier: Number) -> Number:
    """Return the signed notional: quantity x price x multiplier.

    The multiplier is the value of one unit at a price of 1: 1 for shares, 50 USD for a contract of 50 USD a point. With
    a price difference, the result is the gain. No other code multiplies these three.
    """
    return quantity * price * multiplier


class AssetClass(VenueWord):
    """The asset classes a venue may report."""

    US_EQUITY = "us_equity"
    US_OPTION = "us_option"
    CRYPTO = "crypto"
    FUTURE = "future"
    PERPETUAL = "perpetual"
    UNKNOWN = "unknown"


UNTRADED = frozenset({AssetClass.US_OPTION, AssetClass.CRYPTO, AssetClass.UNKNOWN})
"""Asset classes that the bot trades at no venue; positions in them count toward the limits and are left alone."""


class Right(StrEnum):
    """The right of an option: call or put."""

    CALL = "call"
    PUT = "put"


class Instrument(Struct, frozen=True, kw_only=True):
    """A tradable instrument at one venue; prices are per unit in `currency`. Only a venue's adapter creates one."""

    symbol: str
    asset_class: AssetClass
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    right: Right | None = None
    multiplier: Decimal
    tick: Decimal
    lot: Decimal
    currency: str
    calendar: str

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return the signed value of a quantity at a price, in the instrument's currency."""
        return notional(quantity, price, self.multiplier)


class TickStep(Struct, frozen=True):
    """A tick size, and the lowest price at which it applies."""

    from_price: Decimal
    tick: Decimal


class MarginLevel(Struct, frozen=True, omit_defaults=True):
    """The margin fractions of a position that has at least this quantity or notional.

    A venue uses either the quantity or the notional as the threshold; the other is zero.
    """

    from_quantity: Decimal
    initial: Decimal
    maintenance: Decimal
    from_usd: Decimal = Decimal(0)


class Rolling(Struct, frozen=True):
    """When to roll an expiring contract into the next one, in the venue's dates and times.

    From the date `on`, no new position is opened, and a position is rolled `into` the next contract between two times
    of day (in minutes from midnight). On the date `until`, it is rolled at any time of day. After that date no position
    may remain, because the first notice day or the last trading day follows.
    """

    on: date
    until: date
    into: str
    first_minute: int
    last_minute: int

    def is_due(self, today: date, clock: time) -> bool:
        """Return True if a position has to be rolled now; `clock` is the venue's time of day."""
        minute = 60 * clock.hour + clock.minute
        return today >= self.until or (today >= self.on and self.first_minute <= minute < self.last_minute)


class ContractMonth(NamedTuple):
    """The symbol of one contract of a root, and when to roll out of it."""

    symbol: str
    rolling: Rolling


class ListingChange(NamedTuple):
    """One term of a listing that the venue changed: its old and its new value."""

    name: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} {self.before}, now {self.now}"


class Listing(Struct, frozen=True):
    """A venue's listing of an instrument, when it was read, and the venue's requirements for orders.

    `ticks` are sorted by price, and the first begins at zero. `minimum` is the smallest quantity of an order.
    `margin_levels` are sorted; empty if the venue has none. An expiring contract may have a `rolling`. `doubt` says
    what differs from the adapter's expectations; unless it is empty, no position is opened. `hours` are the trading
    hours of the next days, None if the venue doesn't give them.
    """

    instrument: Instrument
    ticks: tuple[TickStep, ...]
    minimum: Decimal
    read_at: datetime
    margin_levels: tuple[MarginLevel, ...] = ()
    last_trading_day: date | None = None
    rolling: Rolling | None = None
    doubt: str = ""
    hours: Hours | None = None

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    def tick_at(self, price: Decimal) -> Decimal:
        """Return the tick size at this price."""
        for step in reversed(self.ticks):
            if price >= step.from_price:
                return step.tick
        return self.ticks[0].tick

    def on_tick(self, price: Decimal, rounding: str) -> Decimal:
        """Return a price rounded to the tick, at least one tick; `rounding` is a mode of the decimal module."""
        tick = self.tick_at(price)
        return max((price / tick).to_integral_value(rounding=rounding) * tick, tick)

    def whole_lots(self, quantity: Decimal) -> Decimal:
        """Return a signed quantity rounded toward zero to whole lots."""
        return whole_lots(self.instrument, quantity)

    def changes_from(self, before: "Listing") -> Iterator[ListingChange]:
        """Yield each term of trading that differs from an earlier listing.

        A changed last trading day is included only if it has moved closer. Margin levels follow the market, so they are
        left out.
        """
        for name, old, new in zip(_TERMS, _terms(before), _terms(self), strict=True):
            if old != new:
                yield ListingChange(name, old, new)
        last, now = before.last_trading_day, self.last_trading_day
        if now is not None and (last is None or now < last):
            yield ListingChange("last trading day", str(last or "none"), str(now))


_TERMS = ("tick", "lot", "minimum", "multiplier", "currency", "calendar")


def _terms(listing: Listing) -> tuple[str, ...]:
    """Return the terms in the order of their names, as text in which 1.0 and 1 are equal."""
    of, (first, *others) = listing.instrument, listing.ticks
    tick = "".join((_text(first.tick), *(f", {_text(step.tick)} from {_text(step.from_price)}" for step in others)))
    return tick, _text(of.lot), _text(listing.minimum), _text(of.multiplier), of.currency, of.calendar


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"


class ListingRecord(Struct, frozen=True):
    """A stored listing, with the listing before its last change and when the change was read."""

    listing: Listing
    before: Listing | None = None
    changed_at: datetime | None = None

    @property
    def changes(self) -> tuple[ListingChange, ...]:
        return tuple(self.listing.changes_from(self.before)) if self.before else ()

    def read_again(self, listing: Listing) -> "ListingRecord":
        """Return the record to store after the venue was queried again."""
        changed = any(listing.changes_from(self.listing))
        return ListingRecord(listing, self.listing, listing.read_at) if changed else replace(self, listing=listing)


def of_order(instrument: Instrument, at: datetime) -> Listing:
    """Build a listing from the instrument of an order or position, for use if the venue doesn't list the instrument."""
    return Listing(instrument, (TickStep(Decimal(0), instrument.tick),), instrument.lot, at)


def whole_lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    """Return a signed quantity rounded toward zero to whole lots."""
    return (quantity / instrument.lot).to_integral_value(rounding=ROUND_DOWN) * instrument.lot
