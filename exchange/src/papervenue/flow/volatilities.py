"""Generate implied volatility by time to expiry, and compare it with the volatility of prices.

All series follow the daily IV rank, which is based on 30-day volatility. A random slope, which predicts nothing,
determines how shorter and longer expiries differ from that. A session shows the slope of the session before it, which
is known at its open.

The risk-reversal skew is the implied volatility of puts minus that of calls; it is a random walk that predicts nothing.
A session's row is published with the other daily rows, after its close.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import sqrt
from random import Random
from typing import Any

from papervenue.chance import draw_bell, random_stream
from papervenue.flow.daily import DailyFacts, published_us
from papervenue.flow.options import expiries
from papervenue.flow.series import (
    NOTHING,
    RECENT,
    Closes,
    ComputedSeries,
    FlowRows,
    Priced,
    Question,
    Row,
    cache_newest,
    feed_ticker,
    oldest_day,
    row,
    rows_known_at,
)
from papervenue.market.bars import UNITS
from papervenue.market.profiles import profile

_DELTAS = {"10": 10, "25": 25, "0.1": 10, "0.10": 10, "0.25": 25}
_USUAL = {10: 0.12, 25: 0.06}
"""The usual skew as a share of implied volatility: further from the money, puts are dearer still."""
_THURSDAY, _FRIDAY = 3, 4
_MONTHLY_DAYS, _WEEKLY_DAYS = 400, 60
"""For how many days before its end an expiry is listed."""


def _wandering(rng: Random, count: int, level: float, toward: float, pull: float, spread: float) -> tuple[float, ...]:
    levels = []
    for _ in range(count):
        level += pull * (toward - level) + spread * draw_bell(rng)
        levels.append(level)
    return tuple(levels)


class Skews(ComputedSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the skew of one expiry by day, oldest first; empty if no contract expires that day."""
        params = question.params
        expiry, delta = _expiry(question), _DELTAS.get(params.text("delta"))
        if delta is None:
            raise params.refused("delta")
        if expiry is None:
            return NOTHING
        rows = rows_known_at(self._rows(symbol, expiry.isoformat(), delta), now_us)
        if question.day is not None:
            rows = [row for row in rows if row.fields["date"] <= question.day]
        oldest = oldest_day(question, rows[-1].fields["date"] if rows else expiry.isoformat())
        return FlowRows([row for row in rows if row.fields["date"] > oldest])

    @cache_newest(RECENT)
    def _levels(self, symbol: str) -> tuple[float, ...]:
        """Return the symbol's skew in each session, relative to its usual skew."""
        return _wandering(random_stream(self.seed, "skew", symbol), len(self.calendar.played), 1.0, 1.0, 0.08, 0.2)

    @cache_newest(RECENT)
    def _rows(self, symbol: str, expiry: str, delta: int) -> tuple[Row, ...]:
        rng = random_stream(self.seed, "skew", symbol, expiry)
        own = 1.0 + 0.1 * draw_bell(rng)
        usual = profile(symbol).implied_volatility * _USUAL[delta]
        end, rows = date.fromisoformat(expiry), []
        listed = _MONTHLY_DAYS if 14 < end.day < 22 else _WEEKLY_DAYS
        for session, level in zip(self.calendar.all, self._levels(symbol), strict=False):
            remaining = (end - date.fromisoformat(session.date)).days
            if 0 <= remaining < listed:
                skew = usual * (own * level + 0.1 * random_stream(expiry, symbol, delta, session.date).random() - 0.05)
                fields = {
                    "date": session.date,
                    "ticker": feed_ticker(symbol),
                    "delta": delta,
                    "risk_reversal": f"{skew:.4f}",
                }
                rows.append(row(published_us(session.date), fields))
        return tuple(rows)


def _expiry(question: Question) -> date | None:
    """Return the requested expiry, or None if contracts don't expire on that weekday; refuse an unreadable one."""
    day = question.params.read("expiry", date.fromisoformat)
    if day is None:
        raise question.params.refused("expiry")
    # A Friday that is a holiday moves the expiry to the Thursday before it.
    return day if day.weekday() in (_THURSDAY, _FRIDAY) else None


_DAYS = (1, 5, 7, 14, 30, 60, 90, 180, 365)
_USUAL_DAYS = 30
_SHIFTED_BY = 21
_YEAR = 252
_STRADDLE = 0.8 * 0.85
"""A straddle at the money costs 0.8 standard deviations; the service takes 85% of it as the move implied."""


class Volatilities(Priced):
    def __init__(self, closes: Closes, daily: DailyFacts) -> None:
        super().__init__(closes)
        self._daily = daily

    def term_structure(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return a session's implied volatility for each expiry, nearest first."""
        index = self.calendar.published_index(question.day, now_us)
        if index is None:
            return NOTHING
        session = self.calendar.market[index]
        price = self.market.session_price(symbol, min(now_us, session.close_us))
        if price is None:
            return NOTHING
        terms = (self._term(symbol, index, session.date, expiry, price / UNITS) for expiry in expiries(session.date))
        return FlowRows([row(now_us, fields) for fields in terms])

    def interpolated_rows(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return a session's implied volatility for fixed numbers of days to expiry, fewest first."""
        index = self.calendar.published_index(question.day, now_us)
        if index is None:
            return NOTHING
        day = self.calendar.market[index].date
        position = self.calendar.first + index
        past = self._daily.volatilities(symbol)[max(0, position - _YEAR) : position]
        percentile = 100 * sum(day <= past[-1] for day in past) / len(past)
        rows = []
        for days in _DAYS:
            volatility = self.at(symbol, position, days)
            fields = {
                "date": day,
                "days": days,
                "volatility": f"{volatility:.4f}",
                "implied_move_perc": f"{_STRADDLE * volatility * sqrt(days / 365):.4f}",
                "percentile": f"{percentile:.3f}",
            }
            rows.append(row(now_us, fields))
        return FlowRows(rows)

    def realized_rows(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return each session's implied volatility, and the realized one of the next thirty days, oldest first.

        For the last sessions, these thirty days aren't over yet.
        """
        sessions, implied = self.calendar.all, self._daily.volatilities(symbol)
        last = self._last_published(question.day, now_us)
        oldest = oldest_day(question, sessions[last].date)
        rows = []
        for index in range(_SHIFTED_BY, last + 1):
            if sessions[index].date > oldest:
                ends = index + _SHIFTED_BY
                fields = {
                    "date": sessions[index].date,
                    "implied_volatility": f"{implied[index]:.4f}",
                    "price": self.closes.text(symbol, index),
                    "realized_volatility": f"{self.closes.realized_volatility(symbol, ends):.4f}"
                    if ends <= last
                    else None,
                    "unshifted_rv_date": sessions[ends].date if ends <= last else None,
                }
                rows.append(row(published_us(sessions[index].date), fields))
        return FlowRows(rows)

    def stats(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the latest implied and realized volatility, each with its high and low over a year."""
        last = self._last_published(question.day, now_us)
        if last < _YEAR:
            return NOTHING
        implied = self._daily.volatilities(symbol)[last - _YEAR + 1 : last + 1]
        realized = [self.closes.realized_volatility(symbol, index) for index in range(last - _YEAR + 1, last + 1)]
        low, high = min(implied), max(implied)
        fields = {
            "date": self.calendar.all[last].date,
            "ticker": feed_ticker(symbol),
            "iv_rank": f"{100 * (implied[-1] - low) / (high - low):.4f}",
            **_extremes("iv", implied),
            **_extremes("rv", realized),
        }
        return FlowRows([row(published_us(fields["date"]), fields)])

    def at(self, symbol: str, index: int, days: int) -> float:
        """Return the annualized implied volatility for this many days to expiry, as published for a session."""
        usual, slope = self._daily.volatilities(symbol)[index - 1], self._slopes(symbol)[index - 1]
        # The slope counts most near the expiry, and not at all at thirty days.
        tilt = slope * (_USUAL_DAYS - days) / (_USUAL_DAYS + days)
        return usual * max(0.4, 1 + tilt)

    def _term(self, symbol: str, index: int, day: str, expiry: str, price: float) -> dict[str, Any]:
        days = (date.fromisoformat(expiry) - date.fromisoformat(day)).days
        volatility = self.at(symbol, self.calendar.first + index, days)
        move = _STRADDLE * volatility * sqrt((days + 0.5) / 365)
        return {
            "date": day,
            "expiry": expiry,
            "dte": days,
            "volatility": f"{volatility:.4f}",
            "implied_move": f"{move * price:.4f}",
            "implied_move_perc": f"{move:.5f}",
        }

    def _last_published(self, day: str | None, now_us: int) -> int:
        """Return the index of the last session, up to a date, whose daily rows are published."""
        sessions, last = self.calendar.all, len(self.calendar.played) - 1
        while published_us(sessions[last].date) > now_us or (day is not None and sessions[last].date > day and last):
            last -= 1
        return last

    @cache_newest(RECENT)
    def _slopes(self, symbol: str) -> tuple[float, ...]:
        """Return in each session by how much the nearest contracts' volatility exceeds that of thirty days."""
        return _wandering(random_stream(self.seed, "term", symbol), len(self.calendar.played), 0.0, -0.05, 0.1, 0.05)


def _extremes(name: str, values: Sequence[float]) -> dict[str, str]:
    return {name: f"{values[-1]:.4f}", f"{name}_low": f"{min(values):.4f}", f"{name}_high": f"{max(values):.4f}"}
