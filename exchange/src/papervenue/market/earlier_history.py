"""Generate the minutes and candles of a session before the market's first, consistent with its daily bar.

Charts show hundreds of such sessions, so the minutes are computed with arrays, which takes a fraction of a millisecond
per session. Candles are computed without the minutes. The random draws are those of `random.Random`, column by column,
and every step gives the same result on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from papervenue.chance import SQRT_3, random_stream
from papervenue.market.bars import Bar
from papervenue.market.profiles import MARKET_VOLATILITY, BarProfile, minute_activity, shock_shifts
from papervenue.market.sessions import Session
from papervenue.times import MINUTE

_PATHS_IN_MEMORY = 128
_MOST = 2**63
"""More than any number in an array."""
_OF_BELL = 4
"""How many uniform draws one bell-shaped draw consists of."""
_OPENING, _HIGH, _LOW, _VOLUME, _MISSING = range(5)
_OF_MINUTE = 5
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Minutes(NamedTuple):
    """The minutes of a session, oldest first: their starts, their prices in units, and their volumes."""

    starts_us: Whole
    open: Whole
    high: Whole
    low: Whole
    close: Whole
    volume: Whole

    def bars(self) -> tuple[Bar, ...]:
        """Return the minutes as bars."""
        return tuple(map(Bar._make, zip(*(column.tolist() for column in self), strict=True)))

    def candles(self, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return candles of several minutes, stamped at multiples of their span; without `wicks`, only closes count."""
        if not len(self.starts_us):
            return []
        places = self.starts_us // span_us
        firsts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        lasts = np.append(firsts[1:], len(places)) - 1
        highs, lows = (self.high, self.low) if wicks else self._without_wicks()
        columns = (
            places[firsts] * span_us,
            self.open[firsts],
            np.maximum.reduceat(highs, firsts),
            np.minimum.reduceat(lows, firsts),
            self.close[lasts],
            np.add.reduceat(self.volume, firsts),
        )
        return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _without_wicks(self) -> tuple[Whole, Whole]:
        return np.maximum(self.open, self.close), np.minimum(self.open, self.close)


def past_minutes(seed: int, symbol: str, session: Session, day: Bar, maker: BarProfile) -> Minutes:
    """Return minutes of a symbol whose open, high, low, close and total volume match the daily bar's."""
    character, common = maker.character, _market_path(seed, session)
    count = len(common)
    draws = _draws(random_stream(seed, symbol, session.date), (_OF_BELL + _OF_MINUTE) * count)
    opening, high, low, close = (units / maker.scale for units in day[1:5])
    own = _bridge(draws[: _OF_BELL * count], character.daily_volatility)
    line = opening + (close - opening) * np.arange(1, count + 1) / count
    if maker.sudden(session.date):
        ahead = np.array(shock_shifts(seed, session, maker.sudden(session.date), count))
        line = np.minimum(np.maximum(line + opening * ahead, low), high)
    away = opening * (character.beta * common + own)
    # The farthest point on each side of the line just reaches the day's high and low.
    above, below = away > 0, away < 0
    up = ((high - line[above]) / away[above]).min(initial=np.inf) if above.any() else 0.0
    down = ((line[below] - low) / -away[below]).min(initial=np.inf) if below.any() else 0.0
    path = line + away * np.where(above, up, down)
    return _fit_minutes(_minutes(path, session.open_us, maker, draws[_OF_BELL * count :]), day)


def _minutes(path: Floats, open_us: int, maker: BarProfile, drawn: Floats) -> Minutes:
    """Return the minutes of a path of closes, each with an opening near the close before it, wicks and a volume."""
    count, character = len(path), maker.character
    draws = drawn.reshape(count, _OF_MINUTE)
    wick = character.daily_volatility / sqrt(count)
    before = np.concatenate([path[:1], path[:-1]])
    opens = before + before * wick * 0.3 * (draws[:, _OPENING] - 0.5)
    highs = np.maximum(opens, path) * (1 + wick * draws[:, _HIGH] * 0.7)
    lows = np.minimum(opens, path) * (1 - wick * draws[:, _LOW] * 0.7)
    volumes = (character.shares_a_day / count * _busy(count) * (0.35 + 1.3 * draws[:, _VOLUME])).astype(np.int64)
    traded = draws[:, _MISSING] >= character.missing_rate
    starts = open_us + MINUTE * np.arange(count, dtype=np.int64)
    units = maker.all_units
    return Minutes(
        starts[traded],
        units(opens[traded]),
        units(highs[traded]),
        units(lows[traded]),
        units(path[traded]),
        np.maximum(volumes, 1)[traded],
    )


def _fit_minutes(minutes: Minutes, day: Bar) -> Minutes:
    """Return minutes whose wicks, cents and volume are changed so that together they match the day's bar."""
    if not len(minutes.starts_us):
        return minutes
    highest, lowest, busiest = int(minutes.high.argmax()), int(minutes.low.argmin()), int(minutes.volume.argmax())
    opens, highs, lows, closes = (
        column.clip(day.low, day.high) for column in (minutes.open, minutes.high, minutes.low, minutes.close)
    )
    opens[0], closes[-1] = day.open, day.close
    for index in (0, -1):
        highs[index] = max(highs[index], opens[index], closes[index])
        lows[index] = min(lows[index], opens[index], closes[index])
    highs[highest], lows[lowest] = day.high, day.low
    total = int(minutes.volume.sum())
    if int(minutes.volume[busiest]) * day.volume < _MOST:
        volumes = np.maximum(minutes.volume * day.volume // total, 1)
    else:
        volumes = np.array([part * day.volume // total or 1 for part in minutes.volume.tolist()], dtype=np.int64)
    volumes[busiest] += day.volume - int(volumes.sum())
    return Minutes(minutes.starts_us, opens, highs, lows, closes, volumes)


@lru_cache(maxsize=_PATHS_IN_MEMORY)
def _market_path(seed: int, session: Session) -> Floats:
    count = (session.close_us - session.open_us) // MINUTE
    return _bridge(_draws(random_stream(seed, "market factor", session.date), _OF_BELL * count), MARKET_VOLATILITY)


@lru_cache(maxsize=8)
def _busy(count: int) -> Floats:
    return np.array(minute_activity(count))


def _bridge(draws: Floats, volatility: float) -> Floats:
    """Return a random walk with that daily volatility that ends where it began."""
    first, second, third, fourth = draws.reshape(-1, _OF_BELL).T
    count = len(first)
    bells = (first + second + third + fourth - 2.0) * SQRT_3
    walk: Floats = np.add.accumulate(volatility / sqrt(count) * _busy(count) * bells)
    straight: Floats = walk[-1] * np.arange(1, count + 1) / count
    return walk - straight


def _draws(rng: Random, count: int) -> Floats:
    """Return the next draws of a generator that has no other user."""
    _, state, _ = rng.getstate()
    numbers = np.random.RandomState(0)
    numbers.set_state(("MT19937", np.array(state[:-1], dtype=np.uint32), state[-1], 0, 0.0))
    return numbers.random_sample(count)
