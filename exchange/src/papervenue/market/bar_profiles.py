"""Say what a symbol's bars are made with: its character, its prices, its trends, and the gaps between its sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from papervenue.chance import bell, stream
from papervenue.market.bars import UNITS, Bar
from papervenue.market.instruments import Grid, Instrument
from papervenue.market.profiles import Profile, profile
from papervenue.market.sessions import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TREND_DAYS, _TREND = 10, 0.5
"""How long a trend lasts, and how much of its daily volatility a symbol moves by it each day, about."""
_SHOCK_DAYS, _SHOCK_MINUTES = 30, 15
"""In how many days there is one shock, and how long it takes."""
_SMALLEST_SHOCK, _LARGEST_SHOCK, _FALLS = 0.03, 0.06, 0.7
"""How much of its price a symbol with a beta of 1 moves, and how often it moves down."""

Shocks = Mapping[str, float]
"""What a market moves by suddenly, by the date of the session."""


def shocks_of(seed: int, sessions: Sequence[Session]) -> Shocks:
    """Return a shock for every few sessions of a market; most fall."""
    found = {}
    for place in range(0, len(sessions) - _SHOCK_DAYS + 1, _SHOCK_DAYS):
        rng = stream(seed, "shock", place)
        size = _SMALLEST_SHOCK + (_LARGEST_SHOCK - _SMALLEST_SHOCK) * rng.random()
        falls, day = rng.random() < _FALLS, sessions[place + int(_SHOCK_DAYS * rng.random())].date
        found[day] = -size if falls else size
    return found


def trends_of(seed: int, symbol: str, sessions: int, volatility: float) -> list[float]:
    """Return the moves of a symbol by its trends in each of a number of sessions."""
    rng = stream(seed, symbol, "trends")
    begins, step = int(_TREND_DAYS * rng.random()), _TREND * volatility
    trends = [step * bell(rng) for _ in range(sessions // _TREND_DAYS + 2)]
    return [trends[(begins + place) // _TREND_DAYS] for place in range(sessions)]


def jumps(seed: int, session: Session, sudden: float, minutes: int) -> Sequence[float]:
    """Return how far a session is ahead of its steady way after each minute, because of a sudden move in its shock."""
    if not sudden:
        return (0.0,) * minutes
    begins = int((minutes - _SHOCK_MINUTES) * stream(seed, "shock", session.date).random())
    return [
        sudden * (min(max(minute - begins, 0) / _SHOCK_MINUTES, 1.0) - (minute + 1) / minutes)
        for minute in range(minutes)
    ]


GAP_SHARE = 0.35
"""What a gap between two sessions deviates by, as a share of the daily volatility."""
MARKET_VOLATILITY = 0.008
"""What the market as a whole moves by in a day."""
_CENT = UNITS // 100
_LEAST_SHARE = 0.01
"""The part of its first level that an instrument's daily prices don't fall below."""


class Maker:
    """What bars of one symbol are made with: its character, its price grid, and the gaps between its sessions.

    `units` returns a price in whole units, of which `scale` make a dollar. `gap` is what a gap deviates by, as a share
    of the daily volatility. Daily prices never fall below `least` dollars. `shocks` is None without trends. If it is
    `fair`, nothing before a minute says where its session goes from there.
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
        """Return what of its price a symbol moves by in the shock of a session; 0 without one."""
        return 0.0 if self.shocks is None else self.character.beta * self.shocks.get(day, 0.0)

    def leans(self, seed: int, symbol: str, sessions: Sequence[Session]) -> list[float]:
        """Return what trends and shocks move a symbol by in each session."""
        if self.shocks is None:
            return [0.0] * len(sessions)
        trends = trends_of(seed, symbol, len(sessions), self.character.daily_volatility)
        return [trend + self.sudden(session.date) for trend, session in zip(trends, sessions, strict=True)]

    def bar(self, start_us: int, prices: tuple[float, float, float, float], volume: float) -> Bar:
        units = self.units
        opening, high, low, close = prices
        return Bar(start_us, units(opening), units(high), units(low), units(close), int(volume) or 1)

    def all_units(self, prices: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return what `units` returns of each price."""
        import numpy as np

        if self._grid is None:
            return np.maximum((prices * 100 + 0.5).astype(np.int64), 1) * _CENT
        units = prices * self.scale
        steps, ticks = np.array(self._grid.steps), np.array(self._grid.ticks)
        tick: NDArray[np.int64] = ticks[np.searchsorted(steps, units.astype(np.int64), side="right") - 1]
        return np.maximum((units / tick + 0.5).astype(np.int64), 1) * tick

    def opening(self, before: float, rng: Random) -> float:
        """Return a session's opening price; its first random draw is the gap from the previous close."""
        return before * (1 + self.gap * self.character.daily_volatility * bell(rng))


def _cents(price: float) -> int:
    """Return a price in dollars rounded to cents, at least one, in price units."""
    return (int(price * 100 + 0.5) or 1) * _CENT


@lru_cache(maxsize=20_000)
def of_share(symbol: str) -> Maker:
    """Return what a share's bars are made with, always the same, so that sessions are found again in their cache."""
    return Maker(profile(symbol), _cents, UNITS, 1.0, GAP_SHARE)


@lru_cache(maxsize=1_000)
def of_instrument(of: Instrument, gap: float, shocks: tuple[tuple[str, float], ...] | None) -> Maker:
    """Return what the bars of another instrument are made with: it trades in every minute, from a level that it has.

    Without `shocks` it has no trends either.
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
    return Maker(character, grid.nearest, grid.units, level * _LEAST_SHARE, gap, own, grid, fair=shocks is None)


@lru_cache(maxsize=8)
def variance_elapsed(minutes: int) -> tuple[float, ...]:
    """Return how much of a day's variance has passed after each minute, as a share."""
    reached = list(accumulate(busy * busy for busy in bustle(minutes)))
    return tuple(each / reached[-1] for each in reached)


@lru_cache(maxsize=8)
def bustle(minutes: int) -> tuple[float, ...]:
    """Return how busy each minute of a day is: U-shaped, high at the open and close, 1 on average."""
    parts = (minute / minutes for minute in range(minutes))
    return tuple(0.6 + 1.2 * (2 * part - 1) * (2 * part - 1) for part in parts)
