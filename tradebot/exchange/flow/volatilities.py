"""Generate implied volatility by time to expiry, and set it beside the volatility that prices had.

All of it follows the daily IV rank: its volatility is that of thirty days, and a random slope, without edge, says how
the nearer and the later ones differ. A session shows the slope of the session before it, which is known at its open.

Generate the risk-reversal skew: implied volatility of puts less that of calls, a random walk without edge.

A session's row is published with the other daily rows, after its close.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from math import sqrt
from typing import Any

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.daily import Daily, published_us
from tradebot.exchange.flow.options import expiries
from tradebot.exchange.flow.series import (
    NOTHING,
    RECENT,
    Answered,
    Closes,
    Question,
    Row,
    feed_ticker,
    known,
    oldest_day,
    row,
)
from tradebot.exchange.market.bars import UNITS, Market
from tradebot.exchange.market.profiles import profile

_DELTAS = {"10": 10, "25": 25, "0.1": 10, "0.10": 10, "0.25": 25}
_USUAL = {10: 0.12, 25: 0.06}
"""The usual skew as a share of implied volatility: further from the money, puts are dearer still."""
_THURSDAY, _FRIDAY = 3, 4
_MONTHLY_DAYS, _WEEKLY_DAYS = 400, 60
"""For how many days before its end an expiry is listed."""


class Skews:
    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._levels = lru_cache(maxsize=RECENT)(self._all_levels)
        self._rows = lru_cache(maxsize=RECENT)(self._of_expiry)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the skew of one expiry by day, oldest first; nothing if no contract expires that day."""
        params = question.params
        expiry, delta = _expiry(question), _DELTAS.get(params.text("delta"))
        if delta is None:
            raise params.refused("delta")
        if expiry is None:
            return NOTHING
        rows = known(self._rows(symbol, expiry.isoformat(), delta), now_us)
        if question.day is not None:
            rows = [one for one in rows if one.fields["date"] <= question.day]
        oldest = oldest_day(question, rows[-1].fields["date"] if rows else expiry.isoformat())
        return Answered([one for one in rows if one.fields["date"] > oldest])

    def _all_levels(self, symbol: str) -> tuple[float, ...]:
        """Return the symbol's skew in each session, relative to what is usual."""
        rng, level, levels = stream(self._seed, "skew", symbol), 1.0, []
        calendar = self._market.calendar
        for _ in range(calendar.first + len(calendar.market)):
            level += 0.08 * (1.0 - level) + 0.2 * bell(rng)
            levels.append(level)
        return tuple(levels)

    def _of_expiry(self, symbol: str, expiry: str, delta: int) -> tuple[Row, ...]:
        rng = stream(self._seed, "skew", symbol, expiry)
        own = 1.0 + 0.1 * bell(rng)
        usual = profile(symbol).implied_volatility * _USUAL[delta]
        end, rows = date.fromisoformat(expiry), []
        listed = _MONTHLY_DAYS if 14 < end.day < 22 else _WEEKLY_DAYS
        for session, level in zip(self._market.calendar.all, self._levels(symbol), strict=False):
            left = (end - date.fromisoformat(session.date)).days
            if 0 <= left < listed:
                skew = usual * (own * level + 0.1 * stream(expiry, symbol, delta, session.date).random() - 0.05)
                fields = {
                    "date": session.date,
                    "ticker": feed_ticker(symbol),
                    "delta": delta,
                    "risk_reversal": f"{skew:.4f}",
                }
                rows.append(row(published_us(session.date), fields))
        return tuple(rows)


def _expiry(question: Question) -> date | None:
    """Return the expiry asked for, or None if contracts don't expire on that weekday; an unreadable one is refused."""
    asked = question.params.read("expiry", date.fromisoformat)
    if asked is None:
        raise question.params.refused("expiry")
    # A Friday that is a holiday moves the expiry to the Thursday before it.
    return asked if asked.weekday() in (_THURSDAY, _FRIDAY) else None


_DAYS = (1, 5, 7, 14, 30, 60, 90, 180, 365)
_USUAL_DAYS = 30
_SHIFTED_BY = 21
_YEAR = 252
_STRADDLE = 0.8 * 0.85
"""A straddle at the money costs 0.8 standard deviations; the service takes 85% of it as the move implied."""


class Volatilities:
    def __init__(self, market: Market, daily: Daily, closes: Closes, seed: int) -> None:
        self._market = market
        self._daily = daily
        self._closes = closes
        self._seed = seed
        self._slopes = lru_cache(maxsize=RECENT)(self._all_slopes)

    def term_structure(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a session's implied volatility for each expiry, nearest first."""
        index = self._market.calendar.shown(question.day, now_us)
        price = None if index is None else self._price(symbol, index, now_us)
        if index is None or price is None:
            return NOTHING
        day = self._market.calendar.market[index].date
        return Answered([row(now_us, self._term(symbol, index, day, expiry, price)) for expiry in expiries(day)])

    def interpolated(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a session's implied volatility for fixed numbers of days, fewest first."""
        index = self._market.calendar.shown(question.day, now_us)
        if index is None:
            return NOTHING
        day = self._market.calendar.market[index].date
        place = self._market.calendar.first + index
        past = self._daily.volatilities(symbol)[max(0, place - _YEAR) : place]
        percentile = 100 * sum(one <= past[-1] for one in past) / len(past)
        made = []
        for days in _DAYS:
            volatility = self.at(symbol, place, days)
            fields = {
                "date": day,
                "days": days,
                "volatility": f"{volatility:.4f}",
                "implied_move_perc": f"{_STRADDLE * volatility * sqrt(days / 365):.4f}",
                "percentile": f"{percentile:.3f}",
            }
            made.append(row(now_us, fields))
        return Answered(made)

    def realized(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return implied volatility by session beside what prices did over the thirty days after it, oldest first.

        These thirty days aren't over for the last sessions.
        """
        sessions, implied = self._market.calendar.all, self._daily.volatilities(symbol)
        last = self._last_published(question.day, now_us)
        oldest = oldest_day(question, sessions[last].date)
        made = []
        for place in range(_SHIFTED_BY, last + 1):
            if sessions[place].date > oldest:
                ends = place + _SHIFTED_BY
                fields = {
                    "date": sessions[place].date,
                    "implied_volatility": f"{implied[place]:.4f}",
                    "price": self._closes.text(symbol, place),
                    "realized_volatility": f"{self._closes.realized(symbol, ends):.4f}" if ends <= last else None,
                    "unshifted_rv_date": sessions[ends].date if ends <= last else None,
                }
                made.append(row(published_us(sessions[place].date), fields))
        return Answered(made)

    def stats(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the last implied and realized volatility with their extremes over a year of realized ones."""
        last = self._last_published(question.day, now_us)
        if last < _YEAR:
            return NOTHING
        implied = self._daily.volatilities(symbol)[last - _YEAR + 1 : last + 1]
        realized = [self._closes.realized(symbol, place) for place in range(last - _YEAR + 1, last + 1)]
        low, high = min(implied), max(implied)
        fields = {
            "date": self._market.calendar.all[last].date,
            "ticker": feed_ticker(symbol),
            "iv_rank": f"{100 * (implied[-1] - low) / (high - low):.4f}",
            **_extremes("iv", implied),
            **_extremes("rv", realized),
        }
        return Answered([row(published_us(fields["date"]), fields)])

    def at(self, symbol: str, place: int, days: int) -> float:
        """Return the yearly implied volatility of contracts with so many days left, as a session shows it."""
        usual, slope = self._daily.volatilities(symbol)[place - 1], self._slopes(symbol)[place - 1]
        # The slope counts most near the expiry, and not at all at thirty days.
        tilt = slope * (_USUAL_DAYS - days) / (_USUAL_DAYS + days)
        return usual * max(0.4, 1 + tilt)

    def _term(self, symbol: str, index: int, day: str, expiry: str, price: float) -> dict[str, Any]:
        days = (date.fromisoformat(expiry) - date.fromisoformat(day)).days
        volatility = self.at(symbol, self._market.calendar.first + index, days)
        move = _STRADDLE * volatility * sqrt((days + 0.5) / 365)
        return {
            "date": day,
            "expiry": expiry,
            "dte": days,
            "volatility": f"{volatility:.4f}",
            "implied_move": f"{move * price:.4f}",
            "implied_move_perc": f"{move:.5f}",
        }

    def _price(self, symbol: str, index: int, now_us: int) -> float | None:
        """Return the last price of a session until now in dollars."""
        until = min(now_us, self._market.calendar.market[index].close_us)
        units = self._market.session_price(symbol, until)
        return None if units is None else units / UNITS

    def _last_published(self, day: str | None, now_us: int) -> int:
        """Return the place of the last session whose daily rows are published, on a date or before it."""
        sessions, last = self._market.calendar.all, self._market.calendar.first + len(self._market.calendar.market) - 1
        while published_us(sessions[last].date) > now_us or (day is not None and sessions[last].date > day and last):
            last -= 1
        return last

    def _all_slopes(self, symbol: str) -> tuple[float, ...]:
        """Return in each session by how much the nearest contracts' volatility exceeds that of thirty days."""
        rng, slope, slopes = stream(self._seed, "term", symbol), 0.0, []
        for _ in range(self._market.calendar.first + len(self._market.calendar.market)):
            slope += 0.1 * (-0.05 - slope) + 0.05 * bell(rng)
            slopes.append(slope)
        return tuple(slopes)


def _extremes(name: str, values: Sequence[float]) -> dict[str, str]:
    return {name: f"{values[-1]:.4f}", f"{name}_low": f"{min(values):.4f}", f"{name}_high": f"{max(values):.4f}"}
