"""Define each symbol's invented profile: price level, volatility, volume, sector and size.

A symbol's prices, trends and overnight gaps are generated from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from papervenue.chance import draw_bell, number_of, random_stream
from papervenue.market.bars import UNITS, Bar
from papervenue.market.sessions import Session
from papervenue.market.venue import Grid, Instrument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECTORS = (
    *("Technology", "Communication Services", "Consumer Cyclical", "Consumer Defensive", "Energy"),
    *("Financial Services", "Healthcare", "Industrials", "Basic Materials", "Real Estate", "Utilities"),
)

"""The sectors as named by the flow feed; a made-up symbol's sector depends on their order."""

_ILLIQUID_SHARE = 0.3


class Profile(NamedTuple):
    """A symbol's profile. `daily_volatility` and `implied_volatility` are fractions; `level` is in USD."""

    level: float
    daily_volatility: float
    beta: float
    shares_a_day: int
    missing_rate: float
    sector: str | None
    marketcap: int
    exchange: str

    @property
    def liquid(self) -> bool:
        """Return True if the symbol trades in every minute, so that it can be sold short and in fractions."""
        return self.missing_rate == 0

    @property
    def issue_type(self) -> str:
        """Return the flow feed's name for the type of security; funds have no sector."""
        return "Common Stock" if self.sector else "ETF"

    @property
    def implied_volatility(self) -> float:
        """Return the annualized implied volatility: the daily volatility times 15.9, for 252 sessions, plus a tenth."""
        return self.daily_volatility * 15.9 * 1.1


_BILLION = 10**9

_KNOWN = {
    "AAPL": Profile(228.0, 0.014, 1.1, 48_000_000, 0.0, "Technology", 3400 * _BILLION, "NASDAQ"),
    "MSFT": Profile(415.0, 0.013, 1.0, 20_000_000, 0.0, "Technology", 3100 * _BILLION, "NASDAQ"),
    "NVDA": Profile(138.0, 0.026, 1.8, 210_000_000, 0.0, "Technology", 3300 * _BILLION, "NASDAQ"),
    "AMZN": Profile(205.0, 0.017, 1.2, 38_000_000, 0.0, "Consumer Cyclical", 2100 * _BILLION, "NASDAQ"),
    "GOOGL": Profile(172.0, 0.016, 1.1, 26_000_000, 0.0, "Communication Services", 2100 * _BILLION, "NASDAQ"),
    "META": Profile(570.0, 0.019, 1.2, 13_000_000, 0.0, "Communication Services", 1400 * _BILLION, "NASDAQ"),
    "TSLA": Profile(310.0, 0.034, 2.0, 95_000_000, 0.0, "Consumer Cyclical", 990 * _BILLION, "NASDAQ"),
    "AMD": Profile(140.0, 0.028, 1.8, 42_000_000, 0.0, "Technology", 225 * _BILLION, "NASDAQ"),
    "NFLX": Profile(850.0, 0.018, 1.2, 3_500_000, 0.0, "Communication Services", 360 * _BILLION, "NASDAQ"),
    "INTC": Profile(24.0, 0.029, 1.1, 75_000_000, 0.0, "Technology", 104 * _BILLION, "NASDAQ"),
    "SPY": Profile(590.0, 0.009, 1.0, 52_000_000, 0.0, None, 620 * _BILLION, "ARCA"),
    "QQQ": Profile(505.0, 0.012, 1.2, 34_000_000, 0.0, None, 310 * _BILLION, "NASDAQ"),
    "IWM": Profile(230.0, 0.013, 1.2, 30_000_000, 0.0, None, 76 * _BILLION, "ARCA"),
    "JPM": Profile(245.0, 0.012, 1.0, 9_000_000, 0.0, "Financial Services", 690 * _BILLION, "NYSE"),
    "BAC": Profile(46.0, 0.014, 1.1, 36_000_000, 0.0, "Financial Services", 355 * _BILLION, "NYSE"),
    "XOM": Profile(120.0, 0.012, 0.7, 14_000_000, 0.0, "Energy", 527 * _BILLION, "NYSE"),
    "CVX": Profile(160.0, 0.012, 0.7, 7_500_000, 0.0, "Energy", 288 * _BILLION, "NYSE"),
    "UNH": Profile(590.0, 0.014, 0.5, 4_000_000, 0.0, "Healthcare", 543 * _BILLION, "NYSE"),
    "WMT": Profile(87.0, 0.011, 0.5, 15_000_000, 0.0, "Consumer Defensive", 699 * _BILLION, "NYSE"),
    "COIN": Profile(290.0, 0.045, 2.4, 12_000_000, 0.0, "Financial Services", 72 * _BILLION, "NASDAQ"),
}


@lru_cache(maxsize=20_000)
def profile(symbol: str) -> Profile:
    """Return a symbol's profile, from the table of well-known names or derived from the symbol."""
    return _KNOWN.get(symbol) or _draw_profile(symbol)


def _draw_profile(symbol: str) -> Profile:
    rng = random_stream("profile", symbol)
    illiquid = rng.random() < _ILLIQUID_SHARE
    level = 8.0 + 190.0 * rng.random() * rng.random()
    shares = 40_000 + int(rng.random() * 200_000) if illiquid else 800_000 + int(rng.random() * 9_000_000)
    return Profile(
        level=level,
        daily_volatility=0.012 + 0.03 * rng.random(),
        beta=0.4 + 1.4 * rng.random(),
        shares_a_day=shares,
        missing_rate=0.1 + 0.6 * rng.random() if illiquid else 0.0,
        sector=SECTORS[int(rng.random() * len(SECTORS))],
        marketcap=int(level * shares * (60 + 200 * rng.random())),
        exchange="NYSE" if number_of(1, symbol) < "5" else "NASDAQ",
    )


_TREND_DAYS, _TREND = 10, 0.5

"""How long a trend lasts, and about how much of its daily volatility a symbol moves with it each day."""

_SHOCK_DAYS, _SHOCK_MINUTES = 30, 15

"""How many days there are per shock, and how many minutes one takes."""

_SMALLEST_SHOCK, _LARGEST_SHOCK, _FALLS = 0.03, 0.06, 0.7

"""The fraction of its price that a symbol with a beta of 1 moves, and how often it moves down."""

Shocks = Mapping[str, float]

"""Sudden moves of the market, by the date of the session."""


def shocks_of(seed: int, sessions: Sequence[Session]) -> Shocks:
    """Return the sudden moves of a market by date, as returns: in one of 30 sessions, and most of them downward."""
    shocks = {}
    for index in range(0, len(sessions) - _SHOCK_DAYS + 1, _SHOCK_DAYS):
        rng = random_stream(seed, "shock", index)
        size = _SMALLEST_SHOCK + (_LARGEST_SHOCK - _SMALLEST_SHOCK) * rng.random()
        falls, day = rng.random() < _FALLS, sessions[index + int(_SHOCK_DAYS * rng.random())].date
        shocks[day] = -size if falls else size
    return shocks


def trends_of(seed: int, symbol: str, sessions: int, volatility: float) -> list[float]:
    """Return the part of a symbol's daily returns that comes from trends, for a number of sessions."""
    rng = random_stream(seed, symbol, "trends")
    begins, step = int(_TREND_DAYS * rng.random()), _TREND * volatility
    trends = [step * draw_bell(rng) for _ in range(sessions // _TREND_DAYS + 2)]
    return [trends[(begins + index) // _TREND_DAYS] for index in range(sessions)]


def shock_shifts(seed: int, session: Session, sudden: float, minutes: int) -> Sequence[float]:
    """Return how far a sudden move takes the price away from a straight line between open and close.

    There is one value for the end of each minute, as a fraction.
    """
    if not sudden:
        return (0.0,) * minutes
    begins = int((minutes - _SHOCK_MINUTES) * random_stream(seed, "shock", session.date).random())
    return [
        sudden * (min(max(minute - begins, 0) / _SHOCK_MINUTES, 1.0) - (minute + 1) / minutes)
        for minute in range(minutes)
    ]


GAP_SHARE = 0.35

"""The standard deviation of a gap between two sessions, as a share of the daily volatility."""

MARKET_VOLATILITY = 0.008

"""The daily volatility of the market as a whole."""

_CENT = UNITS // 100

_LEAST_SHARE = 0.01

"""The part of its first level that an instrument's daily prices don't fall below."""


class BarProfile:
    """What one symbol's bars are generated from: its character, its price grid, and its overnight gaps.

    `units` converts a price to whole units, of which `scale` make a dollar. `gap` is the standard deviation of an
    overnight gap, as a fraction of the daily volatility. Daily prices never fall below `least` dollars. `shocks` is
    None for a market without trends. If `fair`, no minute predicts the rest of its session.
    """

    def __init__(
        self,
        character: Profile,
        units: Callable[[float], int],
        scale: int,
        least: float,
        gap: float,
        shocks: Shocks | None = None,
        grid: Grid | None = None,
        *,
        fair: bool = False,
    ) -> None:
        self.character = character
        self.units = units
        self.scale = scale
        self.least = least
        self.gap = gap
        self.shocks = shocks
        self.fair = fair
        self._grid = grid

    def sudden(self, day: str) -> float:
        """Return a symbol's return from the market's sudden move on a day; 0 if there is none."""
        return 0.0 if self.shocks is None else self.character.beta * self.shocks.get(day, 0.0)

    def leans(self, seed: int, symbol: str, sessions: Sequence[Session]) -> list[float]:
        """Return how much of a symbol's daily returns comes from trends and sudden moves, session by session."""
        if self.shocks is None:
            return [0.0] * len(sessions)
        trends = trends_of(seed, symbol, len(sessions), self.character.daily_volatility)
        return [trend + self.sudden(session.date) for trend, session in zip(trends, sessions, strict=True)]

    def bar(self, start_us: int, prices: tuple[float, float, float, float], volume: float) -> Bar:
        units = self.units
        opening, high, low, close = prices
        return Bar(start_us, units(opening), units(high), units(low), units(close), int(volume) or 1)

    def all_units(self, prices: NDArray[np.float64]) -> NDArray[np.int64]:
        """Convert all prices to units, as `units` does for one."""
        import numpy as np

        if self._grid is None:
            return np.maximum((prices * 100 + 0.5).astype(np.int64), 1) * _CENT
        units = prices * self.scale
        steps, ticks = np.array(self._grid.steps), np.array(self._grid.ticks)
        tick: NDArray[np.int64] = ticks[np.searchsorted(steps, units.astype(np.int64), side="right") - 1]
        return np.maximum((units / tick + 0.5).astype(np.int64), 1) * tick

    def opening(self, before: float, rng: Random) -> float:
        """Return a session's opening price; the first draw from `rng` determines the gap from the previous close."""
        return before * (1 + self.gap * self.character.daily_volatility * draw_bell(rng))


def _cents(price: float) -> int:
    """Return a price in dollars rounded to cents, at least one, in price units."""
    return (int(price * 100 + 0.5) or 1) * _CENT


@lru_cache(maxsize=20_000)
def of_share(symbol: str) -> BarProfile:
    """Return the profile for a share's bars; the object is cached, so that its own caches are reused."""
    return BarProfile(profile(symbol), _cents, UNITS, 1.0, GAP_SHARE)


@lru_cache(maxsize=1_000)
def of_instrument(of: Instrument, gap: float, shocks: tuple[tuple[str, float], ...] | None) -> BarProfile:
    """Return the profile for the bars of an instrument other than a share.

    It trades every minute, at its own price level. If `shocks` is None, its prices have no trends.
    """
    grid = Grid(of)
    level, drawn = float(of.level), profile(of.symbol)
    character = drawn._replace(
        level=level,
        missing_rate=0.0,
        shares_a_day=int(of.volume) or drawn.shares_a_day,
        daily_volatility=float(of.volatility) or drawn.daily_volatility,
        beta=float(of.beta) or drawn.beta,
    )
    own = dict(shocks) if of.volatility and shocks is not None else None
    return BarProfile(character, grid.nearest, grid.units, level * _LEAST_SHARE, gap, own, grid, fair=shocks is None)


@lru_cache(maxsize=8)
def variance_elapsed(minutes: int) -> tuple[float, ...]:
    """Return what fraction of a day's variance has elapsed after each minute."""
    reached = list(accumulate(busy * busy for busy in minute_activity(minutes)))
    return tuple(each / reached[-1] for each in reached)


@lru_cache(maxsize=8)
def minute_activity(minutes: int) -> tuple[float, ...]:
    """Return each minute's relative activity: high at the open and the close (U-shaped), and 1 on average."""
    parts = (minute / minutes for minute in range(minutes))
    return tuple(0.6 + 1.2 * (2 * part - 1) * (2 * part - 1) for part in parts)
