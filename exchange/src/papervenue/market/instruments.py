"""Describe what a market's symbols are: ticks, lots, multipliers, margin levels, and the units of their prices.

A price is a whole number of units, so that sums and comparisons never depend on floating point. A share's unit is
0.0001 USD. Another instrument's is finer if its ticks are: the unit of one that ticks 0.00001 is that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache, partial
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from papervenue.market.hours import HOURS
from papervenue.times import parse_time

PLACES = 4
"""Decimal places of a share's price unit; no other instrument's has fewer."""
CASH_UNIT = Decimal("1e-12")
"""The smallest amount that an account is charged or paid, far below what anyone is shown."""
Settlement = Literal["paid", "margined"]
_NAME = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")
_MOST_PLACES = 12
_BPS = 10_000
_MOST_VOLUME = Decimal(10) ** 18
_LEAST_MARGIN = Decimal("0.001")
_ZERO = Decimal(0)


class TickStep(NamedTuple):
    """From which price on a tick holds."""

    price: Decimal
    tick: Decimal


class MarginLevel(NamedTuple):
    """From which quantity and notional on these parts of a whole position's notional are required."""

    quantity: Decimal
    initial: Decimal
    maintenance: Decimal
    usd: Decimal = Decimal(0)


class Instrument(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a symbol is; a symbol that the market's specification doesn't name is a share in USD.

    Quantities come in `lot`s and are at least `minimum`; a quantity times a price times `multiplier` is what it is
    worth in `currency`. `ticks` ascend from price 0, `margin_levels` from size 0; the level of a position holds for
    all of it. A `calendar` other than the market's is named; `closes` are the dates of sessions that end at another
    time than there, and these times. Nothing trades from `last_trading` on, and positions are settled there. `funding`
    is what a long position pays for each unit times the multiplier and hour. A generated market begins near `level`,
    trades about `volume` units a day, and moves by `volatility`, a fraction, besides `beta` times its market; what is 0
    of these is made up.

    A month of futures names its `root`: its prices are those of the root's `level`, plus `carry`, a fraction a year, up
    to its last trading, and its volume moves on to the next month before `rolls`. A `contract_fee` replaces that of the
    venue's rules.
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
        """Yield what is wrong with it."""
        if not _NAME.fullmatch(self.symbol):
            yield "a symbol is up to 32 capital letters, digits, dots, dashes and underscores"
        amounts = (self.level, self.lot, self.multiplier, *(tick for _, tick in self.ticks))
        if not self.ticks or not all(amount.is_finite() and amount > 0 for amount in amounts):
            yield "level, lot, multiplier and ticks are above 0"
            return
        if not 0 <= self.minimum < Decimal("Infinity") or self.minimum % self.lot:
            yield "its minimum is a number of lots"
        if not _ascend([price for price, _ in self.ticks]) or self.places > _MOST_PLACES:
            yield f"its ticks ascend from price 0 and have at most {_MOST_PLACES} decimal places"
        elif self.lot * self.multiplier * Decimal(1).scaleb(-self.places) % CASH_UNIT:
            yield f"its lot times its price unit times its multiplier is a multiple of {CASH_UNIT}"
        yield from self._problems_with_terms()

    def _problems_with_terms(self) -> Iterator[str]:
        levels = self.margin_levels
        if self.settlement not in get_args(Settlement) or (self.settlement == "margined") != bool(levels):
            yield "a margined instrument has margin levels, and a paid one has none"
        if levels and not _ascend([level.quantity or level.usd for level in levels]):
            yield "its margin levels ascend from quantity 0, or from 0 USD"
        if not all(_LEAST_MARGIN <= level.maintenance <= level.initial <= 1 for level in levels):
            yield f"a margin is a fraction from {_LEAST_MARGIN} to 1, and maintenance is at most initial"
        if not all(amount.is_finite() and 0 <= amount <= _MOST_VOLUME for amount in (self.volume, self.beta)):
            yield "its volume and beta are numbers that aren't negative"
        if not 0 <= self.volatility < 1:
            yield "its volatility is a fraction"
        if self.calendar and self.calendar not in HOURS:
            yield f"its calendar is one of {', '.join(HOURS)}"
        try:
            for moment in (
                self.last_trading or "2000-01-01",
                self.rolls or "2000-01-01",
                *(text for _, text in self.closes),
            ):
                parse_time(moment)
        except ValueError:
            yield "last_trading, rolls and closes hold ISO times"
        if self.root and (self.last_trading is None or self.rolls is None):
            yield "a month of futures has a time of last trading, and one by which it is rolled"
        if self.contract_fee is not None and not 0 <= self.contract_fee < Decimal("Infinity"):
            yield "its contract_fee is a number that isn't negative"


def _ascend(steps: Sequence[Decimal]) -> bool:
    return not steps[0] and all(low < high for low, high in pairwise(steps))


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


@lru_cache(maxsize=65_536)
def exact(units: int, places: int = PLACES) -> Decimal:
    """Convert a price in units into its currency, exactly."""
    return Decimal(units).scaleb(-places)


class Grid:
    """An instrument as the engine uses it: what its price units are worth, and where its ticks are."""

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
        """Return the distance of bid and ask from the middle: half the spread in whole ticks, at least one tick."""
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
        """Return the price on a tick that is nearest to a price in dollars, at least one tick, in units."""
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
"""What every symbol is that the market's specification doesn't name."""
