"""Generate when companies report earnings: every thirteen weeks, on a day and at a time of day that stay the same.

Prices don't jump at a report, so that a report's result says nothing about them. Funds don't report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from tradebot.exchange.chance import stream
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.rows import Row, feed_ticker, row
from tradebot.exchange.flow.series import Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import Profile, profile
from tradebot.exchange.times import at_new_york

_DAYS_BETWEEN = 91
_TUESDAY = 2
_KNOWN_DAYS_AHEAD = 30
"""A company names its date a month ahead; until then the date is an estimate."""
_FIRST_PLACE = 15
"""The first session whose report has enough sessions before it."""
_AFTER = {"1d": 1, "3d": 3, "1w": 5, "2w": 10}
_WHEN = {"premarket": (7, 0), "postmarket": (16, 15)}


class Report(NamedTuple):
    """One report: its date, premarket or postmarket, the end of its quarter, and its estimated and actual earnings."""

    day: date
    when: str
    quarter: date
    estimate: float
    actual: float

    @property
    def at_us(self) -> int:
        """Return when it is published."""
        return at_new_york(self.day.isoformat(), *_WHEN[self.when])


def next_report(symbol: str, day: date) -> Report | None:
    """Return a company's first report on a date or after it; None for a fund."""
    return _on_or_after(symbol, day) if profile(symbol).sector else None


@lru_cache(maxsize=4_096)
def _on_or_after(symbol: str, day: date) -> Report:
    # The first day of all was a Monday, so that the offset decides the weekday: no Monday or Friday, which may be
    # holidays.
    rng = stream(symbol, "earnings")
    offset = int(_DAYS_BETWEEN * rng.random()) // 7 * 7 + _TUESDAY + int(3 * rng.random())
    number = -(-(day.toordinal() - offset) // _DAYS_BETWEEN)
    reported = date.fromordinal(offset + number * _DAYS_BETWEEN)
    rng = stream(symbol, "report", number)
    estimate = profile(symbol).level / 80 * (0.8 + 0.4 * rng.random())
    when = "premarket" if stream(symbol, "report").random() < 0.5 else "postmarket"
    quarter = reported.replace(day=1) - timedelta(days=1)
    quarter = quarter.replace(day=1) - timedelta(days=1) if quarter.month % 3 == 1 else quarter
    return Report(reported, when, quarter, estimate, estimate * (0.9 + 0.22 * rng.random()))


class Reports:
    def __init__(self, market: Market, closes: Closes) -> None:
        self._market = market
        self._closes = closes

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a symbol's reports, newest first; the first is the coming one."""
        return Answered([self._row(symbol, report, now_us) for report in self._reports(symbol, now_us)][::-1])

    def of_a_day(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the reports of a date that come before its open or after its close, the largest companies first."""
        calendar = self._market.calendar
        asked = question.day or calendar.trading(now_us).date
        when = "premarket" if question.endpoint.series == "earnings-premarket" else "postmarket"
        named = [(one, next_report(one, date.fromisoformat(asked))) for one in self._market.symbols]
        due = [(one, r) for one, r in named if r is not None and r.day.isoformat() == asked and r.when == when]
        due.sort(key=lambda pair: -profile(pair[0]).marketcap)
        return Answered([self._day_row(one, report, now_us) for one, report in due])

    def _reports(self, symbol: str, now_us: int) -> Iterator[Report]:
        sessions = self._market.calendar.all
        day, today = date.fromisoformat(sessions[_FIRST_PLACE].date), self._market.calendar.trading(now_us).date
        report = next_report(symbol, day)
        while report is not None:
            yield report
            if report.day.isoformat() >= today:
                return
            report = next_report(symbol, report.day + timedelta(days=1))

    def _row(self, symbol: str, report: Report, now_us: int) -> Row:
        before, after = self._around(report)
        expected = _expected_move(symbol)
        moves: dict[str, Any] = {}
        for name, count in _AFTER.items():
            moves[f"pre_earnings_move_{name}"] = self._move(symbol, before - count, before, now_us)
            moves[f"post_earnings_move_{name}"] = self._move(symbol, before, after + count - 1, now_us)
        for name in ("1d", "1w"):
            moved = moves[f"post_earnings_move_{name}"]
            gain = None if moved is None else abs(float(moved)) - expected
            moves[f"long_straddle_{name}"] = None if gain is None else f"{gain:.4f}"
            moves[f"short_straddle_{name}"] = None if gain is None else f"{-gain:.4f}"
        return row(now_us, {**self._common(symbol, report, before, now_us), **moves})

    def _day_row(self, symbol: str, report: Report, now_us: int) -> Row:
        before, after = self._around(report)
        character = profile(symbol)
        fields = {
            **self._common(symbol, report, before, now_us),
            **_company(symbol, character),
            "pre_earnings_date": self._date(before),
            "pre_earnings_close": self._text(symbol, before, now_us),
            "post_earnings_date": self._date(after),
            "post_earnings_close": self._text(symbol, after, now_us),
            "reaction": self._move(symbol, before, after, now_us),
        }
        return row(now_us, fields)

    def _common(self, symbol: str, report: Report, before: int, now_us: int) -> dict[str, Any]:
        today = date.fromisoformat(self._market.calendar.trading(now_us).date)
        price = self._closes.usd(symbol, self._finished(before, now_us))
        expected = _expected_move(symbol)
        return {
            "report_date": report.day.isoformat(),
            "report_time": report.when,
            "ending_fiscal_quarter": report.quarter.isoformat(),
            "source": "company" if (report.day - today).days <= _KNOWN_DAYS_AHEAD else "estimation",
            "street_mean_est": f"{report.estimate:.2f}",
            "actual_eps": f"{report.actual:.2f}" if report.at_us <= now_us else None,
            "expected_move": f"{expected * price:.2f}",
            "expected_move_perc": f"{expected:.4f}",
        }

    def _around(self, report: Report) -> tuple[int, int]:
        """Return the places of the last session before a report and of the first one after it."""
        sessions, day = self._market.calendar.all, report.day.isoformat()
        later = [place for place, session in enumerate(sessions) if session.date >= day]
        first = later[0] if later else len(sessions)
        exact = first < len(sessions) and sessions[first].date == day
        return (first, first + 1) if report.when == "postmarket" and exact else (first - 1, first)

    def _finished(self, place: int, now_us: int) -> int:
        """Return a session's place, or that of the last finished one if it is later."""
        sessions = self._market.calendar.all
        last = min(place, self._market.calendar.first + len(self._market.calendar.market) - 1)
        while sessions[last].close_us > now_us:
            last -= 1
        return last

    def _move(self, symbol: str, start: int, end: int, now_us: int) -> str | None:
        known = self._finished(end, now_us) == end
        return f"{self._closes.change(symbol, start, end):.4f}" if known else None

    def _text(self, symbol: str, place: int, now_us: int) -> str | None:
        return self._closes.text(symbol, place) if self._finished(place, now_us) == place else None

    def _date(self, place: int) -> str | None:
        sessions: Sequence[Any] = self._market.calendar.all
        return str(sessions[place].date) if place < len(sessions) else None


def _expected_move(symbol: str) -> float:
    """Return the move that options expect from a report: two and a half usual days."""
    return 2.5 * profile(symbol).daily_volatility


def _company(symbol: str, character: Profile) -> dict[str, Any]:
    return {
        "symbol": feed_ticker(symbol),
        "full_name": f"{symbol} INC",
        "continent": "North America",
        "country_code": "US",
        "country_name": "UNITED STATES",
        "has_options": True,
        "is_s_p_500": character.marketcap > 20_000_000_000,
        "marketcap": str(character.marketcap),
        "sector": character.sector,
    }
