"""Generate seeded minute bars from a market factor, a beta to it, and each symbol's own randomness per session.

Daily closes come from one random stream per symbol; the minutes of a session form a bridge from its open to that close.
So sessions can be generated independently, in any order, and adding a symbol doesn't change the others.

The year before the market's first session has daily bars whose closes come from the same stream; the rest of the day
comes from a separate one, so that no session's bars depend on it. The minutes of such a day are made to fit its bar
when somebody asks for them. The days before that year are made from its first one backwards.

An instrument that has a volatility of its own also has trends, days in a row that lean one way, and once in a while
its whole market moves within minutes.

Overnight bars (between a close and the next open) come from their own stream and are a few points of a Brownian bridge
from the close to the open. Its variance is the one used to draw the gap, so what is seen of a night says nothing about
the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import sqrt
from random import Random

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.market.bars import UNITS, Bar
from tradebot.exchange.market.instruments import Grid, Instrument
from tradebot.exchange.market.profiles import Profile, profile
from tradebot.exchange.market.sessions import Calendar, Session
from tradebot.exchange.market.trends import Shocks, jumps, shocks_of, trends_of
from tradebot.exchange.times import MINUTE

_MARKET_VOLATILITY = 0.008
_GAP_SHARE = 0.35
_LARGEST_DAILY_MOVE = 0.2
_HISTORIES_IN_MEMORY = 1_000
_SESSIONS_IN_MEMORY = 64
PAST_DAYS = 780
"""How many sessions before the market's first have daily bars: three years, and a month for the holidays."""
_CENT = UNITS // 100
_BARS_A_NIGHT = 24
_THIN_BARS_A_NIGHT = 3
_NIGHT_VOLUME_SHARE = 0.1
_WICK_SHARE = 0.8
"""How far a day's range may exceed its open and close, as a share of its volatility."""
_LEAST_SHARE = 0.01
"""The part of its first level that an instrument's daily prices don't fall below."""


class Maker:
    """What bars of one symbol are made with: its character, its price grid, and the gaps between its sessions.

    `units` returns a price in whole units, of which `scale` make a dollar. `gap` is what a gap deviates by, as a share
    of the daily volatility. Daily prices never fall below `least` dollars. `shocks` is None without trends.
    """

    def __init__(
        self,
        character: Profile,
        units: Callable[[float], int],
        scale: int,
        least: float,
        gap: float,
        shocks: Shocks | None = None,
    ) -> None:
        self.character = character
        self.units = units
        self.scale = scale
        self.least = least
        self.gap = gap
        self.shocks = shocks

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

    def opening(self, before: float, rng: Random) -> float:
        """Return a session's opening price; its first random draw is the gap from the previous close."""
        return before * (1 + self.gap * self.character.daily_volatility * bell(rng))


def _units(price: float) -> int:
    """Return a price in dollars rounded to cents, at least one, in price units."""
    return (int(price * 100 + 0.5) or 1) * _CENT


@lru_cache(maxsize=20_000)
def _maker(symbol: str) -> Maker:
    """Return what a share's bars are made with, always the same, so that sessions are found again in their cache."""
    return Maker(profile(symbol), _units, UNITS, 1.0, _GAP_SHARE)


@lru_cache(maxsize=1_000)
def _maker_of(of: Instrument, gap: float, shocks: tuple[tuple[str, float], ...]) -> Maker:
    """Return what the bars of another instrument are made with: it trades in every minute, from a level that it has."""
    grid = Grid(of)
    level, drawn = float(of.level), profile(of.symbol)
    character = drawn._replace(
        level=level,
        missing_rate=0.0,
        shares_a_day=int(of.volume) or drawn.shares_a_day,
        daily_volatility=float(of.volatility) or drawn.daily_volatility,
        beta=float(of.beta) or drawn.beta,
    )
    own = dict(shocks) if of.volatility else None
    return Maker(character, grid.nearest, grid.units, level * _LEAST_SHARE, gap, own)


class GeneratedBars:
    """A bar source that generates its bars from a seed."""

    def __init__(self, seed: int, calendar: Calendar, grids: Iterable[Grid] = ()) -> None:
        self._seed = seed
        self._calendar = calendar
        gap = 0.0 if calendar.contiguous else _GAP_SHARE
        shocks = tuple(shocks_of(seed, calendar.all).items())
        self._makers = {grid.instrument.symbol: _maker_of(grid.instrument, gap, shocks) for grid in grids}
        rng = stream(seed, "market factor")
        self._market_days = [_MARKET_VOLATILITY * bell(rng) for _ in calendar.all]
        self._closes = lru_cache(maxsize=None)(self._closes_of)
        self._history = lru_cache(maxsize=_HISTORIES_IN_MEMORY)(self._history_of)
        self._older = lru_cache(maxsize=_HISTORIES_IN_MEMORY)(self._older_of)
        # The night before a session is known from the close of the one before that.
        self.past_minutes = calendar.first - 1
        self.past_days = PAST_DAYS

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        if index < 0:
            return self._past(symbol, index)
        closes, place = self._closes(symbol), self._calendar.first + index
        return session_bars(
            self._seed, symbol, self._calendar.market[index], closes[place - 1], closes[place], self._maker(symbol)
        )

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        place = self._calendar.first + index
        session = self._calendar.all[place]
        if session.pre_us == session.open_us:
            return ()
        before, after = self._night(symbol, place - 1), self._night(symbol, place)
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
        place = self._calendar.first - sessions_before
        if place >= 0:
            return self._history(symbol)[place] if place < self._calendar.first else None
        return self._older(symbol)[-place - 1] if sessions_before <= PAST_DAYS else None

    def close(self, symbol: str, index: int) -> int:
        """Return the close, in price units, of the market's session with that index, without generating its bars."""
        return self._maker(symbol).units(self._closes(symbol)[self._calendar.first + index])

    def liquid(self, symbol: str) -> bool:
        return self._maker(symbol).character.liquid

    def _maker(self, symbol: str) -> Maker:
        return self._makers.get(symbol) or _maker(symbol)

    def _closes_of(self, symbol: str) -> list[float]:
        """Return the closes of all sessions; an instrument's level is its close before the market's first session."""
        closes = self._walk(symbol)
        if symbol not in self._makers:
            return closes
        scale = self._begins(symbol) / self._maker(symbol).character.level
        return [close * scale for close in closes]

    def _begins(self, symbol: str) -> float:
        """Return the close before the first session of all."""
        level = self._maker(symbol).character.level
        return level if symbol not in self._makers else level * level / self._walk(symbol)[self._calendar.first - 1]

    def _walk(self, symbol: str) -> list[float]:
        maker = self._maker(symbol)
        character, least = maker.character, maker.least
        rng = stream(self._seed, symbol, "daily")
        closes, price = [], character.level
        leans = maker.leans(self._seed, symbol, self._calendar.all)
        for factor, lean in zip(self._market_days, leans, strict=True):
            move = character.beta * factor + character.daily_volatility * bell(rng) + lean
            if abs(move) > _LARGEST_DAILY_MOVE:
                move = _LARGEST_DAILY_MOVE if move > 0 else -_LARGEST_DAILY_MOVE
            price *= 1 + move
            if price < least:
                price = least
            closes.append(price)
        return closes

    def _history_of(self, symbol: str) -> list[Bar]:
        rng, maker = stream(self._seed, symbol, "history"), self._maker(symbol)
        closes, sessions = self._closes(symbol), self._calendar.all[: self._calendar.first]
        before = [self._begins(symbol), *closes]
        return [
            _day_bar(session.open_us, ends, maker, rng)
            for session, ends in zip(sessions, zip(before, closes, strict=False), strict=False)
        ]

    def _older_of(self, symbol: str) -> list[Bar]:
        """Return the daily bars before the calendar's first session, the newest first."""
        common, own, shape = (
            stream(self._seed, *of, "past") for of in (("market factor",), (symbol,), (symbol, "day"))
        )
        maker = self._maker(symbol)
        character, close = maker.character, self._begins(symbol)
        days = []
        for before in range(self._calendar.first + 1, PAST_DAYS + 1):
            move = character.beta * _MARKET_VOLATILITY * bell(common) + character.daily_volatility * bell(own)
            opens_from = max(close / (1 + max(-_LARGEST_DAILY_MOVE, min(move, _LARGEST_DAILY_MOVE))), maker.least)
            opens_us = self._calendar.session(-before).open_us
            days.append(_day_bar(opens_us, (opens_from, close), maker, shape))
            close = opens_from
        return days

    def _past(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes of a session before the market's first; with those around it, they add up to its day."""
        day = self._history(symbol)[self._calendar.first + index]
        thin = sum(bar.volume for bar in self.extended(symbol, index))
        day = day._replace(volume=day.volume - thin)
        return past_session_bars(self._seed, symbol, self._calendar.session(index), day, self._maker(symbol))

    def _night(self, symbol: str, place: int) -> list[Bar]:
        session, following = self._calendar.all[place : place + 2]
        rng, maker = stream(self._seed, symbol, session.date, "night"), self._maker(symbol)
        character = maker.character
        before = self._closes(symbol)[place]
        if place + 1 < self._calendar.first:
            opening = self._history(symbol)[place + 1].open / maker.scale
        else:
            opening = maker.opening(before, stream(self._seed, symbol, following.date))
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
    seed: int, symbol: str, session: Session, before: float, close: float, maker: Maker
) -> tuple[Bar, ...]:
    """Return the bars of a symbol in a session, which leads from the close before it to its own."""
    rng, character = stream(seed, symbol, session.date), maker.character
    opening, common = maker.opening(before, rng), _market_path(seed, session)
    own, drift = _bridge(rng, len(common), character.daily_volatility), close / opening - 1
    ahead = jumps(seed, session, maker.sudden(session.date), len(common))
    path = [
        opening * max(0.05, 1 + character.beta * c + o + drift * (m + 1) / len(common) + jump)
        for m, (c, o, jump) in enumerate(zip(common, own, ahead, strict=True))
    ]
    return tuple(_bars(path, session.open_us, character.shares_a_day / len(path), maker, rng))


@lru_cache(maxsize=_SESSIONS_IN_MEMORY)
def past_session_bars(seed: int, symbol: str, session: Session, day: Bar, maker: Maker) -> tuple[Bar, ...]:
    """Return minute bars of a symbol whose first open, highest high, lowest low, last close and volume are a day's."""
    rng, character = stream(seed, symbol, session.date), maker.character
    opening, high, low, close = (units / maker.scale for units in day[1:5])
    common = _market_path(seed, session)
    own = _bridge(rng, len(common), character.daily_volatility)
    line = [opening + (close - opening) * (minute + 1) / len(common) for minute in range(len(common))]
    if maker.sudden(session.date):
        ahead = jumps(seed, session, maker.sudden(session.date), len(common))
        line = [min(max(at + opening * jump, low), high) for at, jump in zip(line, ahead, strict=True)]
    away = [opening * (character.beta * c + o) for c, o in zip(common, own, strict=True)]
    # The farthest point on each side of the line just reaches the day's high and low.
    up = min(((high - at) / by for at, by in zip(line, away, strict=True) if by > 0), default=0.0)
    down = min(((at - low) / -by for at, by in zip(line, away, strict=True) if by < 0), default=0.0)
    path = [at + by * (up if by > 0 else down) for at, by in zip(line, away, strict=True)]
    return _fitted(_bars(path, session.open_us, character.shares_a_day / len(path), maker, rng), day)


def _fitted(bars: list[Bar], day: Bar) -> tuple[Bar, ...]:
    """Return bars that differ from those of a day by wicks, cents and volume at most, with nothing left to differ."""
    if not bars:
        return ()
    highest = max(range(len(bars)), key=lambda place: bars[place].high)
    lowest = min(range(len(bars)), key=lambda place: bars[place].low)
    busiest = max(range(len(bars)), key=lambda place: bars[place].volume)
    total = sum(bar.volume for bar in bars)
    fitted = [_within(bar, day, total) for bar in bars]
    fitted[0] = _with(fitted[0], open=day.open)
    fitted[-1] = _with(fitted[-1], close=day.close)
    fitted[highest] = _with(fitted[highest], high=day.high)
    fitted[lowest] = _with(fitted[lowest], low=day.low)
    rest = day.volume - sum(bar.volume for bar in fitted)
    fitted[busiest] = _with(fitted[busiest], volume=fitted[busiest].volume + rest)
    return tuple(fitted)


def _within(bar: Bar, day: Bar, total: int) -> Bar:
    """Return a bar with prices within those of its day, and with its part of `total` as a part of the day's volume."""
    us, opening, high, low, close, shares = bar
    if high > day.high or low < day.low:
        opening, high, low, close = (min(max(units, day.low), day.high) for units in (opening, high, low, close))
    return Bar(us, opening, high, low, close, shares * day.volume // total or 1)


def _with(bar: Bar, **changes: int) -> Bar:
    """Return a bar with some values changed; its high and low contain them."""
    bar = bar._replace(**changes)
    return bar._replace(high=max(bar[1:5]), low=min(bar[1:5]))


@lru_cache(maxsize=_SESSIONS_IN_MEMORY)
def _market_path(seed: int, session: Session) -> list[float]:
    minutes = (session.close_us - session.open_us) // MINUTE
    return _bridge(stream(seed, "market factor", session.date), minutes, _MARKET_VOLATILITY)


def _night_starts(trading: tuple[range, range], liquid: bool, rng: Random) -> list[int]:
    """Return the minutes of a night that have a trade, in order of time; more of them come shortly before the open."""
    late, early = trading
    parts = (late, early, early) * ((_BARS_A_NIGHT if liquid else _THIN_BARS_A_NIGHT) // 3)
    return sorted({part[int(len(part) * rng.random())] for part in parts})


def _night_path(
    starts: list[int], trading: tuple[range, range], ends: tuple[float, float], character: Profile, rng: Random
) -> list[float]:
    """Return the prices before each minute and after the last one: points of the bridge, spaced by trading minutes."""
    late, early = trading
    minutes, (first, last) = len(late) + len(early), ends
    scale, at, level, path = first * _GAP_SHARE * character.daily_volatility, 0.0, first, [first]
    for us in starts:
        place = late.index(us) if us in late else len(late) + early.index(us)
        reached = (place + 1) / (minutes + 1)
        step, left = reached - at, 1 - at
        level += (last - level) * step / left + scale * sqrt(step * (left - step) / left) * bell(rng)
        path.append(max(level, 0.01))
        at = reached
    return path


def _bridge(rng: Random, minutes: int, volatility: float) -> list[float]:
    """Return a random walk with that daily volatility which ends where it began."""
    scale = volatility / sqrt(minutes)
    walk = list(accumulate([scale * bustle * bell(rng) for bustle in _bustle(minutes)]))
    return [level - walk[-1] * (m + 1) / minutes for m, level in enumerate(walk)]


@lru_cache(maxsize=8)
def _bustle(minutes: int) -> tuple[float, ...]:
    """Return how busy each minute of a day is: U-shaped, high at the open and close, 1 on average."""
    parts = (minute / minutes for minute in range(minutes))
    return tuple(0.6 + 1.2 * (2 * part - 1) * (2 * part - 1) for part in parts)


def _bars(path: list[float], open_us: int, shares: float, maker: Maker, rng: Random) -> list[Bar]:
    draw, bars, before, character = rng.random, [], path[0], maker.character
    wick = character.daily_volatility / sqrt(len(path))
    for minute, (close, bustle) in enumerate(zip(path, _bustle(len(path)), strict=True)):
        opening = before + before * wick * 0.3 * (draw() - 0.5)
        low, high = (opening, close) if opening < close else (close, opening)
        high *= 1 + wick * draw() * 0.7
        low *= 1 - wick * draw() * 0.7
        volume = shares * bustle * (0.35 + 1.3 * draw())
        # Always draw for a missing minute, so that liquidity doesn't shift the later draws.
        if draw() >= character.missing_rate:
            bars.append(maker.bar(open_us + minute * MINUTE, (opening, high, low, close), volume))
        before = close
    return bars


def _day_bar(open_us: int, ends: tuple[float, float], maker: Maker, rng: Random) -> Bar:
    """Return a day's bar from its close and the previous one, adding a gap, a wick on each side and a volume."""
    (before, close), character, draw = ends, maker.character, rng.random
    volatility, opening = character.daily_volatility, maker.opening(before, rng)
    high = max(opening, close) * (1 + _WICK_SHARE * volatility * draw())
    low = min(opening, close) * (1 - _WICK_SHARE * volatility * draw())
    shares = character.shares_a_day * (1 - character.missing_rate) * (1 + _NIGHT_VOLUME_SHARE)
    return maker.bar(open_us, (opening, high, low, close), shares * (0.6 + 0.8 * draw()))
