"""Find the first time at which a price, or the value of an account, reaches a level that matters.

Prices are whole numbers of 1/10,000 USD and shares of 1/10**9, so that every comparison is exact.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from itertools import chain, repeat
from typing import NamedTuple, Protocol

from msgspec import Struct

from tradebot.model.instrument import notional


class VisiblePrices(NamedTuple):
    """A symbol's quote from a moment on, in microseconds since 1970; prices are in 1/10,000 USD.

    `low` and `high` are the market's range just before that moment, including the spread: no resting order beyond this
    range was filled.
    """

    at_us: int
    last: int
    bid: int
    ask: int
    low: int
    high: int


class MarketAhead(Protocol):
    """Looks ahead at the venue's future prices and scheduled actions."""

    def upcoming_prices(self, symbol: str, after: datetime, until: datetime) -> Iterator[VisiblePrices]:
        """Yield a symbol's quotes after a time and up to another, oldest first.

        Both times are in the same session, unless the nights are `still`. For the symbol `INTEREST`, the `last` price
        is how many cents of interest have been posted since the first time.
        """

    def next_price(self, after: datetime) -> datetime:
        """Return a time in the same session up to which all prices stay as they are."""

    def shows(self, symbol: str) -> VisiblePrices | None:
        """Return a symbol's present quote; None if it has no price."""

    def closing(self) -> tuple[Decimal, Mapping[str, Decimal]]:
        """Return the account's equity at the present close, and each position's last price by symbol, all in USD."""

    def close(self, after_us: int) -> int:
        """Return the first close at or after a time, or else the last one, in microseconds since 1970."""

    @property
    def still(self) -> bool:
        """Return True if nothing changes between two sessions, except by scheduled actions or known interest."""

    @property
    def next_deed(self) -> datetime | None:
        """Return when the venue next changes the account or its prices on its own; None if it won't."""

    @property
    def stamp(self) -> object:
        """Return a value that changes whenever one of the account's orders, its cash or a position changes."""

    @property
    def trade_stamp(self) -> object:
        """Return a value that changes whenever a trade changes the account, but not with a position's price."""

    def only_interest_since(self, stamp: object) -> bool:
        """Return True if only the cash has changed since a stamp, and only by interest."""

    @property
    def equity_moves(self) -> bool:
        """Return True if the account's equity follows prices, and False if only fills change it."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS_A_USD = 10_000
UNITS = Decimal(UNITS_A_USD)
SHARES = 10**9
WORTH = UNITS * SHARES
"""The units of a position's value per USD."""
INTEREST = ""
"""The pseudo-symbol of upcoming interest payments."""
CENTS = UNITS_A_USD * SHARES // 100
"""How many shares of the pseudo-symbol equal a posted amount."""
FAR = 1 << 62
"""A price that no market reaches."""


class PriceBand(NamedTuple):
    """The range of a position's exit prices, both ends included, within which nothing happens."""

    symbol: str
    long: bool
    low: int
    high: int


class TriggerPrice(NamedTuple):
    """The price of a resting order, and whether the market must rise to reach it."""

    symbol: str
    price: int
    above: bool


class ValueBand(Struct, frozen=True):
    """The range of the positions' total value within which nothing happens: above `low`, and up to `high`.

    `shares` has each symbol's shares times their multiplier, and `last` each symbol's current price. For later
    sessions, `later_low` returns the lower bound, given the value at the previous close.
    """

    shares: Mapping[str, int]
    last: Mapping[str, int]
    low: int = -FAR * FAR
    high: int = FAR * FAR
    later_low: Callable[[int], int] = lambda closing: -FAR * FAR

    @property
    def now(self) -> int:
        return sum(notional(shares, self.last[symbol], 1) for symbol, shares in self.shares.items())


def in_us(at: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def moment(at_us: int) -> datetime:
    """Return a time from microseconds since 1970."""
    return EPOCH + timedelta(microseconds=at_us)


def in_usd(price: int) -> Decimal:
    """Convert a price in units to USD, with the digits of a quote."""
    return Decimal(repr(price / UNITS_A_USD))


def units(price: Decimal) -> int:
    return int(price * UNITS)


def first_touch(
    ahead: MarketAhead,
    bands: Sequence[PriceBand],
    rests: Sequence[TriggerPrice],
    worth: ValueBand,
    now: datetime,
    end: datetime,
) -> datetime:
    """Return when the market first leaves a band, reaches a resting order, or moves the value beyond its bounds.

    If none of this happens, return `end`, which must be in the same session unless the nights are still.
    """
    value, low, high = worth.now, worth.low, worth.high
    if not low < value <= high:
        return now
    symbols = tuple(dict.fromkeys((*worth.shares, *(band.symbol for band in bands), *(rest.symbol for rest in rests))))
    limits = _limits(symbols, bands, rests)
    shares = [worth.shares.get(symbol, 0) for symbol in symbols]
    last = [worth.last.get(symbol, 0) for symbol in symbols]
    at_us = in_us(now)
    close_us = ahead.close(at_us)
    for visible_prices, index in _merge_prices(ahead, symbols, now, end):
        if visible_prices.at_us != at_us:
            # Prices at the same time count together.
            if not low < value <= high:
                return moment(at_us)
            at_us = visible_prices.at_us
            if at_us > close_us:
                low, close_us = worth.later_low(value), ahead.close(at_us)
        if shares[index]:
            value += shares[index] * (visible_prices.last - last[index])
            last[index] = visible_prices.last
        limit = limits[index]
        if limit is not None and limit.is_touched(visible_prices):
            return moment(at_us)
    return end if low < value <= high else moment(at_us)


class _Limits:
    """The prices of one symbol that matter."""

    def __init__(self, bands: Sequence[PriceBand], rests: Sequence[TriggerPrice]) -> None:
        self._bid_low, self._bid_high = _narrowest([band for band in bands if band.long])
        self._ask_low, self._ask_high = _narrowest([band for band in bands if not band.long])
        self._above = min((rest.price for rest in rests if rest.above), default=FAR)
        self._below = max((rest.price for rest in rests if not rest.above), default=-FAR)

    def is_touched(self, shown: VisiblePrices) -> bool:
        if not (self._bid_low <= shown.bid <= self._bid_high and self._ask_low <= shown.ask <= self._ask_high):
            return True
        return shown.high >= self._above or shown.low <= self._below


def _limits(symbols: Sequence[str], bands: Iterable[PriceBand], rests: Iterable[TriggerPrice]) -> list[_Limits | None]:
    """Return each symbol's relevant prices; None if it has none."""
    by_symbol: dict[str, tuple[list[PriceBand], list[TriggerPrice]]] = {}
    for band in bands:
        if (band.low, band.high) != (-FAR, FAR):
            by_symbol.setdefault(band.symbol, ([], []))[0].append(band)
    for rest in rests:
        by_symbol.setdefault(rest.symbol, ([], []))[1].append(rest)
    return [_Limits(*by_symbol[symbol]) if symbol in by_symbol else None for symbol in symbols]


def _narrowest(bands: Sequence[PriceBand]) -> tuple[int, int]:
    return max((band.low for band in bands), default=-FAR), min((band.high for band in bands), default=FAR)


def _merge_prices(
    ahead: MarketAhead, symbols: Sequence[str], now: datetime, end: datetime
) -> Iterable[tuple[VisiblePrices, int]]:
    """Return the symbols' prices in order of time, each with the index of its symbol."""
    streams = [zip(ahead.upcoming_prices(symbol, now, end), repeat(index)) for index, symbol in enumerate(symbols)]
    if len(streams) == 1:
        return streams[0]
    # There are so few daily prices that sorting them all is faster than merging.
    return sorted(chain(*streams)) if ahead.still else merge(*streams)
