"""Read and check one row of recorded minute bars.

Files may have a million rows, so plain numbers and times take a fast path. Everything else takes the slow path, which
defines what is accepted. Both give the same result.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from papervenue.jsontext import to_decimal
from papervenue.market.bars import UNITS, Bar
from papervenue.market.futures import is_contract
from papervenue.market.sessions import Calendar
from papervenue.market.spec import FIRST_YEAR, LAST_YEAR, TICKER, MarketSpec
from papervenue.market.venue import SHARE, Grid
from papervenue.times import MINUTE, NEW_YORK, at_new_york, parse_time

COLUMNS = ("ts", "symbol", "open", "high", "low", "close", "volume")
_HIGHEST_PRICE = Decimal(10) ** 7
_MOST_SHARES = 10**12
_READABLE_TIMES = range(at_new_york(f"{FIRST_YEAR}-01-01", 0), at_new_york(f"{LAST_YEAR}-12-31", 0))
_PLAIN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CLEARLY = 0.49
"""A product of floats this near a whole number of units rounds to it, as the exact product does."""
_FEW_UNITS, _HIGHEST = 2, int(_HIGHEST_PRICE)
_LONGEST_WHOLE = 12
_HOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):")
_BEFORE_MINUTE, _AFTER_MINUTE = 14, 16
_MINUTES_US = {f"{minute:02}": minute * MINUTE for minute in range(60)}
"""Clocks only change on the hour, so that minutes just add up."""


AMBIGUOUS_TIME = "time is skipped or repeated when clocks change"


class BadRowError(ValueError):
    """A row that isn't a valid bar; the message is the reason under which it is counted."""


@lru_cache(maxsize=4_096)
def share(symbol: str) -> Grid | None:
    """Return the price grid of a share; None if the symbol isn't a share symbol."""
    return SHARE if TICKER.fullmatch(symbol) else None


@lru_cache(maxsize=4_096)
def share_or_contract(symbol: str) -> Grid | None:
    """Return a placeholder grid for a valid symbol, for callers that ignore prices; None if the symbol isn't valid."""
    return SHARE if TICKER.fullmatch(symbol) or is_contract(symbol) else None


def bar_of(fields: Sequence[object], shift_us: int, grid_of: Callable[[str], Grid | None] = share) -> tuple[str, Bar]:
    """Parse a row into its symbol and bar; raise BadRowError if it isn't valid.

    The bar starts `shift_us` before the row's time. `grid_of` returns a symbol's price grid, or None if the symbol
    isn't valid.
    """
    symbol, start_us, grid = minute_of(fields, shift_us, grid_of)
    return symbol, priced_bar(fields, start_us, grid)


def minute_of(fields: Sequence[object], shift_us: int, grid_of: Callable[[str], Grid | None]) -> tuple[str, int, Grid]:
    """Parse a row's symbol and the start of its minute, without its prices; raise BadRowError if they aren't valid."""
    if len(fields) != len(COLUMNS):
        raise BadRowError("too many fields" if len(fields) > len(COLUMNS) else "too few fields")
    symbol = fields[1]
    grid = grid_of(symbol) if isinstance(symbol, str) else None
    if grid is None or not isinstance(symbol, str):
        raise BadRowError("bad symbol")
    start_us = time_of(fields[0]) - shift_us
    if start_us not in _READABLE_TIMES:
        raise BadRowError("time out of range")
    if start_us % MINUTE:
        raise BadRowError("not on a minute")
    return symbol, start_us, grid


def priced_bar(fields: Sequence[object], start_us: int, grid: Grid) -> Bar:
    """Parse the prices and the volume of a row whose minute is valid; raise BadRowError if they aren't valid."""
    _, _, *prices, volume = fields
    opening, high, low, close = (units_of(price, grid.units) for price in prices)
    if high < low:
        raise BadRowError("high below low")
    if not (low <= opening <= high and low <= close <= high):
        raise BadRowError("open or close outside low and high")
    if grid.instrument.root and any(price % grid.tick(price) for price in (opening, high, low, close)):
        # Contracts only trade on ticks: these prices were adjusted, or they are another contract's.
        raise BadRowError("price between two ticks")
    return Bar(start_us, opening, high, low, close, shares_of(volume))


def time_of(ts: object) -> int:
    """Parse a time into engine time; text without a time zone is New York time. Raise BadRowError if it is invalid."""
    if isinstance(ts, int):
        return ts
    if isinstance(ts, BadRowError):
        raise ts
    text = str(ts)
    minute_us = _MINUTES_US.get(text[_BEFORE_MINUTE:_AFTER_MINUTE])
    if minute_us is not None:
        hour_us = _hour_us(text[:_BEFORE_MINUTE], text[_AFTER_MINUTE:])
        if hour_us is not None:
            return hour_us + minute_us
    return exact_time(text)


@lru_cache(maxsize=4_096)
def _hour_us(before: str, after: str) -> int | None:
    """Return the time at minute 0, given the text around the minute; None if the text isn't an ordinary time."""
    if not _HOUR.fullmatch(before) or not after.startswith(":"):
        return None
    try:
        return exact_time(f"{before}00{after}")
    except BadRowError:
        return None


def exact_time(text: str) -> int:
    """Parse any ISO text into engine time; raise BadRowError for a local time that a clock change skips or repeats."""
    try:
        if _is_ambiguous(datetime.fromisoformat(text)):
            raise BadRowError(AMBIGUOUS_TIME)
        return parse_time(text, naive=NEW_YORK)
    except BadRowError:
        raise
    except (ValueError, OverflowError) as error:
        raise BadRowError("unparsable time") from error


def _is_ambiguous(moment: datetime) -> bool:
    local = moment.replace(tzinfo=NEW_YORK)
    return moment.tzinfo is None and local.utcoffset() != local.replace(fold=1).utcoffset()


@lru_cache(maxsize=65_536, typed=True)
def units_of(price: object, units: int = UNITS) -> int:
    if type(price) is float or (type(price) is str and _PLAIN.fullmatch(price)):
        product = float(price) * units
        if _FEW_UNITS <= product <= _HIGHEST * units - 1:
            whole = round(product)
            if abs(product - whole) < _CLEARLY:
                return whole
    return exact_units(price, units)


def exact_units(price: object, units: int = UNITS) -> int:
    """Convert a price to whole price units, of which `units` make a dollar, rounded half to even."""
    product = _number(price) * units
    if product < 0:
        raise BadRowError("negative price")
    if not 1 <= product <= _HIGHEST_PRICE * units:
        raise BadRowError("price zero or out of range")
    return round(product)


def shares_of(volume: object) -> int:
    if type(volume) is int and 0 <= volume <= _MOST_SHARES:
        return volume
    if type(volume) is str and volume.isascii() and volume.isdigit() and len(volume) <= _LONGEST_WHOLE:
        return int(volume)
    return exact_shares(volume)


def exact_shares(volume: object) -> int:
    """Return a volume in whole shares, rounded down."""
    number = _number(volume)
    if number < 0:
        raise BadRowError("negative volume")
    if number > _MOST_SHARES:
        raise BadRowError("volume out of range")
    return int(number)


def _number(value: object) -> Decimal:
    text = value if isinstance(value, str) else repr(value)
    number = to_decimal(text.strip())
    if number is None:
        raise BadRowError("not a number")
    return number


OUTSIDE, NOT_REQUESTED = "outside the market's sessions", "symbol not requested"


class ShareSessions:
    """Finds the session of each share's bar quickly, because the next bar is nearly always in the same session."""

    grid = staticmethod(share)

    def __init__(self, spec: MarketSpec, calendar: Calendar) -> None:
        self._calendar, self._requested = calendar, frozenset(spec.symbols)
        self._index, self._first_us, self._last_us = 0, 0, -1

    def index(self, symbol: str, start_us: int) -> int:
        """Return the index of a minute's session; for a minute outside regular hours, its bitwise complement."""
        index = self._session(start_us)
        if self._requested and symbol not in self._requested:
            raise BadRowError(NOT_REQUESTED)
        return index

    def _session(self, start_us: int) -> int:
        if self._first_us <= start_us <= self._last_us:
            return self._index
        index = self._calendar.last_reached(start_us)
        if index < 0 or start_us + MINUTE > self._calendar.market[index].post_us:
            raise BadRowError(OUTSIDE)
        session = self._calendar.market[index]
        first_us, last_us = session.open_us, session.close_us - MINUTE
        if not first_us <= start_us <= last_us:
            return ~index
        self._index, self._first_us, self._last_us = index, first_us, last_us
        return index


class ContractSessions:
    """Finds the session of each contract's bar in the contract's own calendar, up to the end of its trading."""

    def __init__(self, spec: MarketSpec, calendar: Calendar, calendars: Mapping[str, Calendar]) -> None:
        self._grids = {instrument.symbol: Grid(instrument) for instrument in spec.venue.instruments}
        self._calendars = {symbol: calendars.get(symbol, calendar) for symbol in self._grids}
        self._opens = {hours: [session.open_us for session in hours.played] for hours in {*self._calendars.values()}}

    def grid(self, symbol: str) -> Grid | None:
        """Return a symbol's price grid; None if the symbol isn't valid."""
        return self._grids.get(symbol) or share_or_contract(symbol)

    def index(self, symbol: str, start_us: int) -> int:
        """Return the index of a minute's session; indexes before the market's first session are negative."""
        if symbol not in self._grids:
            raise BadRowError(NOT_REQUESTED)
        calendar, last_us = self._calendars[symbol], self._grids[symbol].last_us
        index = bisect_right(self._opens[calendar], start_us) - 1
        if index < 0 or start_us >= calendar.last_close_us:
            raise BadRowError(OUTSIDE)
        if start_us + MINUTE > calendar.played[index].close_us:
            raise BadRowError("between two sessions of its contract")
        if last_us is not None and start_us >= last_us:
            raise BadRowError("after its contract's last trading")
        return index - calendar.first
