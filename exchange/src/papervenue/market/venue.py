"""Describe a market's venue: its dialect, sessions, instruments and rules, and the APIs that its exchange serves.

An instrument has ticks, lots, a multiplier, margin levels, and a unit for its prices. A price is a whole number of
units, so that sums and comparisons never depend on floating point. A share's unit is 0.0001 USD. Another instrument's
unit is finer if its ticks are finer: with a tick of 0.00001, the unit is 0.00001 too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import Struct

from papervenue.market.hours import AROUND_THE_CLOCK, HOURS, XNYS
from papervenue.times import DAY, parse_time

if TYPE_CHECKING:
    from papervenue.market.spec import MarketSpec

PLACES = 4

"""Decimal places of a share's price unit; no other instrument's has fewer."""

CASH_UNIT = Decimal("1e-12")

"""The smallest amount that an account is charged or paid, far below the smallest amount displayed."""

Settlement = Literal["paid", "margined"]

_NAME = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")

_MOST_PLACES = 12

_BPS = 10_000

_MOST_VOLUME = Decimal(10) ** 18

_LEAST_MARGIN = Decimal("0.001")

_ZERO = Decimal(0)


class TickStep(NamedTuple):
    """A tick size, and the lowest price to which it applies."""

    price: Decimal
    tick: Decimal


class MarginLevel(NamedTuple):
    """The margin that applies from a certain quantity or notional up, as fractions of a whole position's notional."""

    quantity: Decimal
    initial: Decimal
    maintenance: Decimal
    usd: Decimal = Decimal(0)


class Instrument(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The specification of a symbol; a symbol that the market's specification doesn't name is a share in USD.

    Quantities are multiples of `lot` and at least `minimum`. A quantity times a price times `multiplier` is the value
    in `currency`. `ticks` ascend from price 0, and `margin_levels` from size 0; a position's level applies to all of
    it. `calendar` names a calendar other than the market's. `closes` maps the dates of sessions that end irregularly to
    the times at which they end. Trading ends at `last_trading`, and positions are settled then. `funding` is what a
    long position pays per hour, per unit times the multiplier. In a generated market, the price begins near `level`,
    about `volume` units trade each day, and the price moves by the fraction `volatility` in addition to `beta` times
    the market's move. Values of 0 are replaced by generated ones.

    A futures month names its `root`. Its prices are based on the root's `level`, plus `carry`, a fraction per year,
    until its last trading. Its volume moves on to the next month before `rolls`. A `contract_fee` replaces the fee in
    the venue's rules.
    """

    symbol: str
    ticks: tuple[TickStep, ...]
    level: Decimal
    lot: Decimal = Decimal(1)
    minimum: Decimal = _ZERO
    multiplier: Decimal = Decimal(1)
    currency: str = "USD"
    settlement: Settlement = "margined"
    calendar: str = ""
    closes: tuple[tuple[str, str], ...] = ()
    margin_levels: tuple[MarginLevel, ...] = ()
    last_trading: str | None = None
    funding: Decimal = _ZERO
    volume: Decimal = _ZERO
    volatility: Decimal = _ZERO
    beta: Decimal = _ZERO
    root: str = ""
    carry: Decimal = _ZERO
    rolls: str | None = None
    contract_fee: Decimal | None = None

    @property
    def places(self) -> int:
        """Return the decimal places of its price unit."""
        return max(PLACES, *(-_exponent(tick) for _, tick in self.ticks))

    def problems(self) -> Iterator[str]:
        """Yield the errors in this specification."""
        if not _NAME.fullmatch(self.symbol):
            yield "a symbol is up to 32 capital letters, digits, dots, dashes and underscores"
        amounts = (self.level, self.lot, self.multiplier, *(tick for _, tick in self.ticks))
        if not self.ticks or not all(amount.is_finite() and amount > 0 for amount in amounts):
            yield "level, lot, multiplier and ticks must be above 0"
            return
        if not 0 <= self.minimum < Decimal("Infinity") or self.minimum % self.lot:
            yield "its minimum must be a multiple of its lot"
        if not _ascend([price for price, _ in self.ticks]) or self.places > _MOST_PLACES:
            yield f"its ticks must ascend from price 0 and have at most {_MOST_PLACES} decimal places"
        elif self.lot * self.multiplier * Decimal(1).scaleb(-self.places) % CASH_UNIT:
            yield f"its lot times its price unit times its multiplier must be a multiple of {CASH_UNIT}"
        yield from self._problems_with_terms()

    def _problems_with_terms(self) -> Iterator[str]:
        levels = self.margin_levels
        if self.settlement not in get_args(Settlement) or (self.settlement == "margined") != bool(levels):
            yield "a margined instrument must have margin levels, and a paid one must have none"
        if levels and not _ascend([level.quantity or level.usd for level in levels]):
            yield "its margin levels must ascend from quantity 0, or from 0 USD"
        if not all(_LEAST_MARGIN <= level.maintenance <= level.initial <= 1 for level in levels):
            yield f"a margin must be a fraction from {_LEAST_MARGIN} to 1, with maintenance no higher than initial"
        if not all(amount.is_finite() and 0 <= amount <= _MOST_VOLUME for amount in (self.volume, self.beta)):
            yield "its volume and beta must not be negative"
        if not 0 <= self.volatility < 1:
            yield "its volatility must be a fraction"
        if self.calendar and self.calendar not in HOURS:
            yield f"its calendar must be one of {', '.join(HOURS)}"
        try:
            for moment in (
                self.last_trading or "2000-01-01",
                self.rolls or "2000-01-01",
                *(text for _, text in self.closes),
            ):
                parse_time(moment)
        except ValueError:
            yield "last_trading, rolls and closes must hold ISO times"
        if self.root and (self.last_trading is None or self.rolls is None):
            yield "a month of futures needs a time of last trading, and a time by which it is rolled"
        if self.contract_fee is not None and not 0 <= self.contract_fee < Decimal("Infinity"):
            yield "its contract_fee must not be negative"


def _ascend(steps: Sequence[Decimal]) -> bool:
    return not steps[0] and all(low < high for low, high in pairwise(steps))


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


@lru_cache(maxsize=65_536)
def exact(units: int, places: int = PLACES) -> Decimal:
    """Convert a price in units exactly to an amount in its currency."""
    return Decimal(units).scaleb(-places)


class Grid:
    """An instrument as the engine sees it: what its price units are worth, and its ticks."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.places = instrument.places
        self.units = 10**self.places
        self.lot = instrument.lot
        self.multiplier = instrument.multiplier
        self.last_us = None if instrument.last_trading is None else parse_time(instrument.last_trading)
        self.usd: Callable[[int], Decimal] = exact if self.places == PLACES else partial(exact, places=self.places)
        """Returns a price in units as what it is in the instrument's currency."""
        self.steps = [int(price * self.units) for price, _ in instrument.ticks]
        self.ticks = [int(tick * self.units) for _, tick in instrument.ticks]
        """The ticks, in units, and before them from which prices on they hold."""

    def of(self, price: Decimal) -> int | None:
        """Return a price in units, or None if it isn't above 0 and on a tick."""
        units = price * self.units
        if not 0 < units == units.to_integral_value() or int(units) % self.tick(int(units)):
            return None
        return int(units)

    def tick(self, price: int) -> int:
        """Return the tick size at a price, both in units."""
        return self.ticks[bisect_right(self.steps, price) - 1]

    def half_spread(self, price: int, spread_bps: int) -> int:
        """Return how far bid and ask are from the midpoint: half the spread in whole ticks, and at least one tick."""
        step = self.tick(price)
        return max(step, (price * spread_bps + _BPS * step) // (2 * _BPS * step) * step)

    def bid(self, middle: int, spread_bps: int) -> int:
        """Return the modeled best bid around a price, rounded to the tick grid."""
        step = self.tick(middle)
        return max(step, (middle - self.half_spread(middle, spread_bps)) // step * step)

    def ask(self, middle: int, spread_bps: int) -> int:
        """Return the modeled best offer around a price, rounded to the tick grid."""
        step = self.tick(middle)
        return -(-(middle + self.half_spread(middle, spread_bps)) // step) * step

    def nearest(self, price: float) -> int:
        """Return the tick nearest to a price in dollars, at least one tick, in units."""
        step = self.tick(int(price * self.units))
        return max(1, int(price * self.units / step + 0.5)) * step

    def notional(self, qty: Decimal, price: int) -> Decimal:
        """Return the value of a quantity at a price in units."""
        return qty * self.usd(price) * self.multiplier

    def level(self, qty: Decimal, notional: Decimal) -> MarginLevel:
        """Return the margin level of a position by its size and value, both unsigned."""
        levels = reversed(self.instrument.margin_levels)
        return next(level for level in levels if level.quantity <= qty and level.usd <= notional)


SHARE = Grid(
    Instrument(
        symbol="SHARE",
        ticks=(TickStep(_ZERO, Decimal("0.0001")), TickStep(Decimal(1), Decimal("0.01"))),
        level=Decimal(100),
        settlement="paid",
    )
)

"""The grid of every symbol that the market's specification doesn't name."""


Dialect = Literal["alpaca", "plain"]

ClientIds = Literal["unique", "while_open", "free"]

_ONE = Decimal(1)


class Rules(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The rules and fees of a plain venue.

    `client_ids` defines how long a client order id must be unique: forever, while the order is open, or never. A limit
    that crosses the spread may be beyond the mark price by at most the fraction `collar`. A fill pays the fraction
    `maker_fee` or `taker_fee` of its notional, and `contract_fee` for each unit of quantity. The fee is reported and
    booked `fees_after_us` microseconds later. A liquidation closes the fraction `liquidation_part` of a position at a
    time, and costs the fraction `liquidation_fee` of the notional. If liquidating at market prices would leave the
    account in debt, a venue that `assigns` hands its positions over to others, at a price that leaves the account with
    nothing. With `brackets`, a stop can be attached to an order that opens a position. With `attached`, any orders can
    be attached to another one and become active once it has filled. With `edits`, the size and the prices of an open
    order can be changed in place. With `corrections`, the operator can correct the price of an execution.
    """

    client_ids: ClientIds = "while_open"
    collar: Decimal | None = None
    maker_fee: Decimal = _ZERO
    taker_fee: Decimal = _ZERO
    contract_fee: Decimal = _ZERO
    fees_after_us: int = 0
    liquidation_fee: Decimal = _ZERO
    liquidation_part: Decimal = Decimal("0.25")
    assigns: bool = False
    brackets: bool = False
    attached: bool = False
    edits: bool = False
    corrections: bool = False

    def problems(self) -> Iterator[str]:
        """Yield the errors in these rules."""
        if self.client_ids not in get_args(ClientIds):
            yield f"client_ids must be one of {', '.join(get_args(ClientIds))}"
        fractions = (self.collar or _ZERO, self.maker_fee, self.taker_fee, self.liquidation_fee)
        if not all(number.is_finite() and 0 <= number <= 1 for number in fractions):
            yield "collar and fees must be fractions from 0 to 1"
        if not 0 <= self.contract_fee < Decimal("Infinity") or not 0 < self.liquidation_part <= _ONE:
            yield "contract_fee is at least 0, and liquidation_part a fraction above 0"
        if not 0 <= self.fees_after_us <= DAY:
            yield "fees_after_us must be at most a day"


class Venue(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The specification of a market's venue: by default Alpaca, with shares in New York's sessions.

    A `plain` venue has margin accounts, an instrument for each symbol, its own rules, and the sessions of any named
    calendar. `faces` are the APIs that the exchange serves.
    """

    dialect: Dialect = "alpaca"
    calendar: str = XNYS.name
    instruments: tuple[Instrument, ...] = ()
    rules: Rules = Rules()
    faces: tuple[str, ...] = ("flow", "alpaca")

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values, leaving out fields at their defaults."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_fields(cls, fields: object) -> Venue:
        """Read the output of `to_fields`; raise ValueError for other input."""
        return msgspec.convert(fields, cls)

    @property
    def of_months(self) -> bool:
        """Return True if its instruments are months of futures."""
        return bool(self.instruments) and all(instrument.root for instrument in self.instruments)

    @property
    def of_perpetuals(self) -> bool:
        """Return True if its instruments trade around the clock and never expire."""
        endless = (not instrument.root and instrument.last_trading is None for instrument in self.instruments)
        return bool(self.instruments) and self.calendar == AROUND_THE_CLOCK and all(endless)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(instrument.symbol for instrument in self.instruments)


ALPACA = Venue()


def problems(spec: MarketSpec) -> Iterator[tuple[str, str]]:
    """Yield the errors in the venue of a market's specification, each with a hint."""
    venue = spec.venue
    if venue.dialect not in get_args(Dialect) or venue.calendar not in HOURS:
        yield f"unknown dialect {venue.dialect!r} or calendar {venue.calendar!r}", f"calendars are {', '.join(HOURS)}"
    elif venue.dialect == "alpaca":
        if (venue.instruments, venue.calendar, venue.rules) != (ALPACA.instruments, ALPACA.calendar, ALPACA.rules):
            yield "Alpaca's dialect is for shares in New York's sessions", "use the dialect plain for anything else"
    else:
        hint = "market/venue.py explains the fields of an instrument and of a venue's rules"
        yield from ((message, hint) for message in (*venue.rules.problems(), *_instrument_problems(spec)))
    if not venue.faces:
        yield "an exchange without APIs can't be queried", "name at least one"


def _instrument_problems(spec: MarketSpec) -> Iterator[str]:
    is_playable = spec.venue.of_months or spec.venue.of_perpetuals
    if spec.source == "daily" or (spec.source != "generated" and not is_playable):
        yield "a plain venue's market must be generated, or recorded minutes of perpetuals or of months of futures"
    if spec.corporate_actions or spec.costs.commissions or spec.costs.interest:
        yield "a plain venue's market can't have corporate actions, and it has rules instead of costs"
    for instrument in spec.venue.instruments:
        yield from (f"{instrument.symbol}: {problem}" for problem in instrument.problems())
        if instrument.settlement != "margined":
            yield f"{instrument.symbol}: a plain venue's accounts must be margined"
    times = Counter(instrument.symbol for instrument in spec.venue.instruments)
    if set(times) != set(spec.symbols) or set(times.values()) != {1}:
        yield "a plain venue's market must have one instrument per symbol"
