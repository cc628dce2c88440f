"""Instruments, how their venue lists them, and the one function that turns a quantity and a price into money."""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple, TypeVar

from msgspec import Struct

from tradebot.model.struct_tools import VenueWord, replace
from tradebot.model.trading_hours import Hours

Number = TypeVar("Number", Decimal, Fraction, float, int)
ONE = Decimal(1)
"""What shares are multiplied by."""
CURRENCY = "USD"
"""The currency of the books. An amount in another one is kept and shown as it is, and never added to theirs."""


def notional(quantity: Number, price: Number, multiplier: Number) -> Number:
    """Return what a quantity is worth at a price, with its sign: quantity x price x multiplier.

    The multiplier is what one unit is worth if its price is 1: 1 for shares, 50 USD for a contract of 50 USD a point.
    With a difference between two prices, it is what the quantity gains between them. Nothing else multiplies these.
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
"""What the bot trades at no venue; positions in it count toward the limits and are left alone."""


class Right(StrEnum):
    """The right of an option."""

    CALL = "call"
    PUT = "put"


class Instrument(Struct, frozen=True, kw_only=True):
    """A tradable instrument at one venue; prices are per unit in `currency`. Only a venue's adapter makes one."""

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
    """The smallest difference between two prices, from a price on."""

    from_price: Decimal
    tick: Decimal


class MarginLevel(Struct, frozen=True, omit_defaults=True):
    """What a position of at least this many units, and of at least this notional, needs, as fractions of its notional.

    A venue counts one of the two, and the other is zero.
    """

    from_quantity: Decimal
    initial: Decimal
    maintenance: Decimal
    from_usd: Decimal = Decimal(0)


class Rolling(Struct, frozen=True):
    """When a contract that ends is left for the next one, by the dates and clocks of its venue.

    From `on`, a position moves `into` the next contract between two minutes of the day, counted from midnight, and
    nothing is opened any more. On the date `until` it moves at any time. After that nothing may be held: a notice or
    the last trade comes next.
    """

    on: date
    until: date
    into: str
    first_minute: int
    last_minute: int

    def is_due(self, today: date, clock: time) -> bool:
        """Return True if a position is to move now; `clock` is the venue's time of day."""
        minute = 60 * clock.hour + clock.minute
        return today >= self.until or (today >= self.on and self.first_minute <= minute < self.last_minute)


class ContractMonth(NamedTuple):
    """One contract of a root by its symbol, and when it is left for the next one."""

    symbol: str
    rolling: Rolling


class ListingChange(NamedTuple):
    """One term of a listing that its venue has changed, before and now."""

    name: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} {self.before}, now {self.now}"


class Listing(Struct, frozen=True):
    """An instrument as its venue lists it, when that was read, and what the venue demands of orders.

    `ticks` rise by price, and the first begins at zero. `minimum` is the smallest quantity of an order. `margin_levels`
    rise; there are none if the venue has no such levels. A contract that ends may have a `rolling`. The `doubt` says
    what of it isn't as the adapter knows it, empty if nothing is: then nothing is opened in it. `hours` are when it
    trades in the next days, None if the venue doesn't tell.
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
        """Return the smallest difference between two prices at this level."""
        for step in reversed(self.ticks):
            if price >= step.from_price:
                return step.tick
        return self.ticks[0].tick

    def on_tick(self, price: Decimal, rounding: str) -> Decimal:
        """Return a price rounded to the tick, at least one tick; `rounding` is one of the decimal module's."""
        tick = self.tick_at(price)
        return max((price / tick).to_integral_value(rounding=rounding) * tick, tick)

    def whole_lots(self, quantity: Decimal) -> Decimal:
        """Return a signed quantity rounded toward zero to whole lots."""
        return whole_lots(self.instrument, quantity)

    def changes_from(self, before: "Listing") -> Iterator[ListingChange]:
        """Yield the terms of orders and positions that differ from an earlier listing's.

        A last trading day counts if it has come nearer. Margin levels follow the market, so they don't count.
        """
        for name, old, new in zip(_TERMS, _terms(before), _terms(self), strict=True):
            if old != new:
                yield ListingChange(name, old, new)
        last, now = before.last_trading_day, self.last_trading_day
        if now is not None and (last is None or now < last):
            yield ListingChange("last trading day", str(last or "none"), str(now))


_TERMS = ("tick", "lot", "minimum", "multiplier", "currency", "calendar")


def _terms(listing: Listing) -> tuple[str, ...]:
    """Return the terms in the order of their names, as text: 1.0 is 1."""
    of, (first, *others) = listing.instrument, listing.ticks
    tick = "".join((_text(first.tick), *(f", {_text(step.tick)} from {_text(step.from_price)}" for step in others)))
    return tick, _text(of.lot), _text(listing.minimum), _text(of.multiplier), of.currency, of.calendar


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"


class ListingRecord(Struct, frozen=True):
    """A listing as the books keep it, with the listing before its last change and when the change was read."""

    listing: Listing
    before: Listing | None = None
    changed_at: datetime | None = None

    @property
    def changes(self) -> tuple[ListingChange, ...]:
        return tuple(self.listing.changes_from(self.before)) if self.before else ()

    def read_again(self, listing: Listing) -> "ListingRecord":
        """Return what to keep after the venue was asked again."""
        changed = any(listing.changes_from(self.listing))
        return ListingRecord(listing, self.listing, listing.read_at) if changed else replace(self, listing=listing)


def of_order(instrument: Instrument, at: datetime) -> Listing:
    """Return a listing that knows no more than the instrument of an order or position of ours does."""
    return Listing(instrument, (TickStep(Decimal(0), instrument.tick),), instrument.lot, at)


def whole_lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    """Return a signed quantity rounded toward zero to whole lots."""
    return (quantity / instrument.lot).to_integral_value(rounding=ROUND_DOWN) * instrument.lot
