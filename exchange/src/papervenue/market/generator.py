"""Generate seeded minute bars from a market factor, a beta to it, and each symbol's own randomness per session.

Daily closes come from one random stream per symbol. The minutes of a session form a bridge from its open to its close.
So sessions can be generated independently and in any order, and adding a symbol doesn't change other symbols' bars.

The year before the market's first session has daily bars whose closes come from the same stream. Their other prices
come from a separate stream, so that no session's bars depend on them. The minutes of such a day are fitted to its bar
on request. The days before that year are generated backward from the year's first day.

An instrument with its own volatility also has trends, which are consecutive days with a common drift. Occasionally its
whole market moves within minutes. Without `trends`, a market has neither trends nor such moves. Its bridges then follow
elapsed variance, not elapsed minutes: a day is busier at its open and close, so with bridges over minutes, the day's
first half would predict its second.

Overnight bars, between a close and the next open, come from their own stream. They are a few points of a Brownian
bridge from the close to the open. The gap was drawn with the same variance as the bridge has, so the first part of a
night doesn't predict the rest.

The months of a future have the prices of their root plus carry. They all move together, because they are derived from
the same bars. The front month has almost all of the volume, until the volume shifts to the next month within a few
days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache, partial
from itertools import accumulate
from math import sqrt
from random import Random
from typing import TYPE_CHECKING

from papervenue.chance import draw_bell, random_stream
from papervenue.market.bars import Bar
from papervenue.market.profiles import (
    GAP_SHARE,
    MARKET_VOLATILITY,
    BarProfile,
    Profile,
    minute_activity,
    of_instrument,
    of_share,
    shock_shifts,
    shocks_of,
    variance_elapsed,
)
from papervenue.market.sessions import Calendar, Session
from papervenue.market.venue import Grid
from papervenue.times import MINUTE

if TYPE_CHECKING:
    from papervenue.market.earlier_history import Minutes

_LARGEST_DAILY_MOVE = 0.2

_HISTORIES_IN_MEMORY = 1_000

_SESSIONS_IN_MEMORY = 64

PAST_DAYS = 780

"""How many sessions before the market's first have daily bars: three years, and a month for the holidays."""

_BARS_A_NIGHT = 24

_THIN_BARS_A_NIGHT = 3

_NIGHT_VOLUME_SHARE = 0.1

_WICK_SHARE = 0.8

"""How far a day's range may exceed its open and close, as a share of its volatility."""


class GeneratedBars:
    """A bar source that generates its bars from a seed."""

    def __init__(self, seed: int, calendar: Calendar, grids: Iterable[Grid] = (), *, trends: bool = True) -> None:
        grids = tuple(grids)
        self._made_from = seed, calendar, grids, trends
        self._seed = seed
        self._calendar = calendar
        gap = 0.0 if calendar.contiguous else GAP_SHARE
        shocks = tuple(shocks_of(seed, calendar.all).items()) if trends else None
        self._makers = {grid.instrument.symbol: of_instrument(grid.instrument, gap, shocks) for grid in grids}
        rng = random_stream(seed, "market factor")
        self._market_days = [MARKET_VOLATILITY * draw_bell(rng) for _ in calendar.all]
        self._closes = lru_cache(maxsize=None)(self._closes_of)
        self._history = lru_cache(maxsize=_HISTORIES_IN_MEMORY)(self._history_of)
        self._older = lru_cache(maxsize=_HISTORIES_IN_MEMORY)(self._older_of)
        # The night before a session is known from the close of the one before that.
        self.past_minutes = calendar.first - 1
        self.past_days = PAST_DAYS
        self.candle_days = PAST_DAYS if calendar.contiguous else self.past_minutes

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what another process needs to generate the same bars again, instead of the bars themselves."""
        *places, trends = self._made_from
        return partial(GeneratedBars, trends=trends), tuple(places)

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        if index < 0:
            return self._past(symbol, index).bars()
        closes, position = self._closes(symbol), self._calendar.first + index
        return session_bars(
            self._seed,
            symbol,
            self._calendar.market[index],
            closes[position - 1],
            closes[position],
            self._maker(symbol),
        )

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        position = self._calendar.first + index
        session = self._calendar.all[position]
        if session.pre_us == session.open_us:
            return ()
        before, after = self._night(symbol, position - 1), self._night(symbol, position)
        return (
            *(bar for bar in before if bar.start_us >= session.pre_us),
            *(bar for bar in after if bar.start_us < session.post_us),
        )

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        if sessions_before <= self._calendar.first:
            return self.close(symbol, -sessions_before)
        day = self.history_day(symbol, sessions_before)
        return day.close if day else None

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        position = self._calendar.first - sessions_before
        if position >= 0:
            return self._history(symbol)[position] if position < self._calendar.first else None
        return self._older(symbol)[-position - 1] if sessions_before <= PAST_DAYS else None

    def close(self, symbol: str, index: int) -> int:
        """Return the close, in price units, of one of the market's sessions, without generating its bars."""
        return self._maker(symbol).units(self._closes(symbol)[self._calendar.first + index])

    def liquid(self, symbol: str) -> bool:
        return self._maker(symbol).character.liquid

    def _maker(self, symbol: str) -> BarProfile:
        return self._makers.get(symbol) or of_share(symbol)

    def _closes_of(self, symbol: str) -> list[float]:
        """Return the closes of all sessions; an instrument's level is its close before the market's first session."""
        closes = self._walk(symbol)
        if symbol not in self._makers:
            return closes
        scale = self._begins(symbol) / self._maker(symbol).character.level
        return [close * scale for close in closes]

    def _begins(self, symbol: str) -> float:
        """Return the close before the calendar's first session."""
        level = self._maker(symbol).character.level
        return level if symbol not in self._makers else level * level / self._walk(symbol)[self._calendar.first - 1]

    def _walk(self, symbol: str) -> list[float]:
        maker = self._maker(symbol)
        character, least = maker.character, maker.least
        rng = random_stream(self._seed, symbol, "daily")
        closes, price = [], character.level
        leans = maker.leans(self._seed, symbol, self._calendar.all)
        for factor, lean in zip(self._market_days, leans, strict=True):
            move = character.beta * factor + character.daily_volatility * draw_bell(rng) + lean
            if abs(move) > _LARGEST_DAILY_MOVE:
                move = _LARGEST_DAILY_MOVE if move > 0 else -_LARGEST_DAILY_MOVE
            price *= 1 + move
            if price < least:
                price = least
            closes.append(price)
        return closes

    def _history_of(self, symbol: str) -> list[Bar]:
        rng, maker = random_stream(self._seed, symbol, "history"), self._maker(symbol)
        closes, sessions = self._closes(symbol), self._calendar.all[: self._calendar.first]
        before = [self._begins(symbol), *closes]
        return [
            _day_bar(session.open_us, ends, maker, rng)
            for session, ends in zip(sessions, zip(before, closes, strict=False), strict=False)
        ]

    def _older_of(self, symbol: str) -> list[Bar]:
        """Return the daily bars before the calendar's first session, the newest first."""
        common, own, shape = (
            random_stream(self._seed, *of, "past") for of in (("market factor",), (symbol,), (symbol, "day"))
        )
        maker = self._maker(symbol)
        character, close = maker.character, self._begins(symbol)
        days = []
        for before in range(self._calendar.first + 1, PAST_DAYS + 1):
            move = character.beta * MARKET_VOLATILITY * draw_bell(common) + character.daily_volatility * draw_bell(own)
            opens_from = max(close / (1 + max(-_LARGEST_DAILY_MOVE, min(move, _LARGEST_DAILY_MOVE))), maker.least)
            opens_us = self._calendar.session(-before).open_us
            days.append(_day_bar(opens_us, (opens_from, close), maker, shape))
            close = opens_from
        return days

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return candles of any session before the market's first, without generating its minutes.

        In 24/7 markets, every day with a daily bar has candles; in other markets, only days with minutes do.
        """
        return self._past(symbol, index).candles(span_us, wicks=wicks)

    def _past(self, symbol: str, index: int) -> Minutes:
        """Return the minutes of a session before the market's first; with those around it, they add up to its day."""
        # Numpy takes long to load, and many exchanges never need their past.
        from papervenue.market.earlier_history import past_minutes

        day = self.history_day(symbol, -index)
        assert day is not None, "callers request only days with bars"
        if not self._calendar.contiguous:
            day = day._replace(volume=day.volume - sum(bar.volume for bar in self.extended_hours(symbol, index)))
        return past_minutes(self._seed, symbol, self._calendar.session(index), day, self._maker(symbol))

    def _night(self, symbol: str, index: int) -> list[Bar]:
        session, following = self._calendar.all[index : index + 2]
        rng, maker = random_stream(self._seed, symbol, session.date, "night"), self._maker(symbol)
        character = maker.character
        before = self._closes(symbol)[index]
        if index + 1 < self._calendar.first:
            opening = self._history(symbol)[index + 1].open / maker.scale
        else:
            opening = maker.opening(before, random_stream(self._seed, symbol, following.date))
        trading = (range(session.close_us, session.post_us, MINUTE), range(following.pre_us, following.open_us, MINUTE))
        starts = _night_starts(trading, character.liquid, rng)
        path = _night_path(starts, trading, (before, opening), character, rng)
        shares = character.shares_a_day * _NIGHT_VOLUME_SHARE / (2 * len(starts))
        return [
            maker.bar(us, (a, max(a, b), min(a, b), b), shares * (0.2 + 1.6 * rng.random()))
            for us, a, b in zip(starts, path, path[1:], strict=False)
        ]


@lru_cache(maxsize=_SESSIONS_IN_MEMORY)
def session_bars(
    seed: int, symbol: str, session: Session, before: float, close: float, maker: BarProfile
) -> tuple[Bar, ...]:
    """Return a symbol's bars in a session, from the previous close to the session's own."""
    rng, character = random_stream(seed, symbol, session.date), maker.character
    path = _path(seed, session, (maker.opening(before, rng), close), maker, rng)
    return tuple(_bars(path, session.open_us, character.shares_a_day / len(path), maker, rng))


def _path(seed: int, session: Session, ends: tuple[float, float], maker: BarProfile, rng: Random) -> list[float]:
    """Return the prices after each minute of a session."""
    (opening, close), character = ends, maker.character
    common = _market_path(seed, session, fair=maker.fair)
    own, drift = _bridge(rng, len(common), character.daily_volatility, fair=maker.fair), close / opening - 1
    if maker.fair:
        shares = zip(common, own, variance_elapsed(len(common)), strict=True)
        return [opening * max(0.05, 1 + character.beta * c + o + drift * share) for c, o, share in shares]
    ahead = shock_shifts(seed, session, maker.sudden(session.date), len(common))
    return [
        opening * max(0.05, 1 + character.beta * c + o + drift * (m + 1) / len(common) + jump)
        for m, (c, o, jump) in enumerate(zip(common, own, ahead, strict=True))
    ]


@lru_cache(maxsize=_SESSIONS_IN_MEMORY)
def _market_path(seed: int, session: Session, *, fair: bool = False) -> list[float]:
    minutes = (session.close_us - session.open_us) // MINUTE
    return _bridge(random_stream(seed, "market factor", session.date), minutes, MARKET_VOLATILITY, fair=fair)


def _night_starts(trading: tuple[range, range], liquid: bool, rng: Random) -> list[int]:
    """Return the minutes of a night with a trade, in order of time; more of them are shortly before the open."""
    late, early = trading
    parts = (late, early, early) * ((_BARS_A_NIGHT if liquid else _THIN_BARS_A_NIGHT) // 3)
    return sorted({part[int(len(part) * rng.random())] for part in parts})


def _night_path(
    starts: list[int], trading: tuple[range, range], ends: tuple[float, float], character: Profile, rng: Random
) -> list[float]:
    """Return the prices before each minute and after the last one: points of the bridge, spaced by trading minutes."""
    late, early = trading
    minutes, (first, last) = len(late) + len(early), ends
    scale, at, level, path = first * GAP_SHARE * character.daily_volatility, 0.0, first, [first]
    for us in starts:
        index = late.index(us) if us in late else len(late) + early.index(us)
        reached = (index + 1) / (minutes + 1)
        step, remaining = reached - at, 1 - at
        level += (last - level) * step / remaining + scale * sqrt(step * (remaining - step) / remaining) * draw_bell(
            rng
        )
        path.append(max(level, 0.01))
        at = reached
    return path


def _bridge(rng: Random, minutes: int, volatility: float, *, fair: bool = False) -> list[float]:
    """Return a random walk with that daily volatility that ends where it began.

    A `fair` one continues like a random walk once a session's move is added in the shares of `variance_elapsed`.
    """
    scale = volatility / sqrt(sum(busy * busy for busy in minute_activity(minutes)) if fair else minutes)
    walk = list(accumulate([scale * busy * draw_bell(rng) for busy in minute_activity(minutes)]))
    if fair:
        return [level - walk[-1] * share for level, share in zip(walk, variance_elapsed(minutes), strict=True)]
    return [level - walk[-1] * (m + 1) / minutes for m, level in enumerate(walk)]


def _bars(path: list[float], open_us: int, shares: float, maker: BarProfile, rng: Random) -> list[Bar]:
    draw, bars, before, character = rng.random, [], path[0], maker.character
    wick = character.daily_volatility / sqrt(len(path))
    for minute, (close, busy) in enumerate(zip(path, minute_activity(len(path)), strict=True)):
        opening = before + before * wick * 0.3 * (draw() - 0.5)
        low, high = (opening, close) if opening < close else (close, opening)
        high *= 1 + wick * draw() * 0.7
        low *= 1 - wick * draw() * 0.7
        volume = shares * busy * (0.35 + 1.3 * draw())
        # Always draw for a missing minute, so that liquidity doesn't shift the later draws.
        if draw() >= character.missing_rate:
            bars.append(maker.bar(open_us + minute * MINUTE, (opening, high, low, close), volume))
        before = close
    return bars


def _day_bar(open_us: int, ends: tuple[float, float], maker: BarProfile, rng: Random) -> Bar:
    """Return a day's bar from its close and the previous one, adding a gap, a wick on each side and a volume."""
    (before, close), character, draw = ends, maker.character, rng.random
    volatility, opening = character.daily_volatility, maker.opening(before, rng)
    high = max(opening, close) * (1 + _WICK_SHARE * volatility * draw())
    low = min(opening, close) * (1 - _WICK_SHARE * volatility * draw())
    shares = character.shares_a_day * (1 - character.missing_rate) * (1 + _NIGHT_VOLUME_SHARE)
    return maker.bar(open_us, (opening, high, low, close), shares * (0.6 + 0.8 * draw()))


_YEAR_DAYS = 365

_FRONT, _BACK, _GONE = 0.96, 0.004, 0.002

"""The largest share of the volume that the front month has, the share of a later month, and of one past its roll."""

_MOVES_WITHIN_DAYS = 9

"""How many days before its roll a month's volume begins to move to the next month."""


class Months:
    """The bars of a contract month, derived from the bars of its root."""

    def __init__(self, root: GeneratedBars, grid: Grid, calendar: Calendar, rolls: Sequence[date]) -> None:
        instrument = grid.instrument
        assert instrument.last_trading is not None
        assert instrument.rolls is not None
        self._bars = root
        self._grid = grid
        self._name = instrument.root
        self._calendar = calendar
        self._ends = date.fromisoformat(instrument.last_trading[:10])
        self._own = date.fromisoformat(instrument.rolls[:10])
        self._rolls = sorted(rolls)
        self._carry = float(instrument.carry)
        self.past_minutes, self.past_days, self.candle_days = root.past_minutes, root.past_days, root.candle_days

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes of a session, oldest first."""
        return tuple(self._carry_bars(self._bars.bars(self._name, index), index))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return no bars, because Globex has no extended hours."""
        return ()

    def close(self, symbol: str, index: int) -> int:
        """Return the close of a session, in price units, without generating its bars."""
        return self._price(self._bars.close(self._name, index), self._factor(index))

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return the close of a session before the market's first, or None if it is unknown."""
        close = self._bars.history_close(self._name, sessions_before)
        return None if close is None else self._price(close, self._factor(-sessions_before))

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if it is unknown."""
        day = self._bars.history_day(self._name, sessions_before)
        return None if day is None else self._carry_bars((day,), -sessions_before)[0]

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return the candles of a session before the market's first."""
        return self._carry_bars(self._bars.past_candles(self._name, index, span_us, wicks=wicks), index)

    def liquid(self, symbol: str) -> bool:
        """Return True, because every month trades in every minute."""
        return True

    def _carry_bars(self, bars: Sequence[Bar], index: int) -> list[Bar]:
        factor, share, price = self._factor(index), self._share(index), self._price
        carried = []
        for bar in bars:
            opened, high, low, close = (price(units, factor) for units in (bar.open, bar.high, bar.low, bar.close))
            carried.append(Bar(bar.start_us, opened, high, low, close, int(bar.volume * share) or 1))
        return carried

    def _price(self, units: int, factor: float) -> int:
        return self._grid.nearest(units / self._grid.units * factor)

    def _factor(self, index: int) -> float:
        return 1 + self._carry * (self._ends - self._day(index)).days / _YEAR_DAYS

    def _share(self, index: int) -> float:
        day = self._day(index)
        open_months = [roll for roll in self._rolls if roll > day]
        if self._own not in open_months:
            return _GONE
        moved = min(max(1 - (open_months[0] - day).days / _MOVES_WITHIN_DAYS, 0), 1) * _FRONT
        months_ahead = open_months.index(self._own)
        return {0: _FRONT - moved, 1: _BACK + moved}.get(months_ahead, _BACK)

    def _day(self, index: int) -> date:
        return date.fromisoformat(self._calendar.session(index).date)
