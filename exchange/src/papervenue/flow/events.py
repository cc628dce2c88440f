"""Generate calendars of coming events: economic reports, the Federal Reserve, the FDA, and companies' earnings.

The dates follow the usual rules for each report; an event says nothing about its outcome. Companies report every
thirteen weeks, on the same weekday and at the same time of day. Prices don't jump at a report, so a report's result
doesn't predict them. Funds don't report.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

from papervenue.chance import random_stream
from papervenue.flow.series import ComputedSeries, FlowRows, Priced, Question, Row, cache_newest, feed_ticker, row
from papervenue.market.profiles import Profile, profile
from papervenue.times import at_new_york, iso_date, new_york_date, rfc3339

_DAYS_BETWEEN = 91
_TUESDAY = 2
_KNOWN_DAYS_AHEAD = 30
"""A company names its date a month ahead; until then the date is an estimate."""
_FIRST_PLACE = 15
"""The first session whose report has enough sessions before it."""
_AFTER = {"1d": 1, "3d": 3, "1w": 5, "2w": 10}
_WHEN = {"premarket": (7, 0), "postmarket": (16, 15)}


class Report(NamedTuple):
    """One earnings report: its date, premarket or postmarket, its quarter's end, and the earnings per share.

    It has both the estimated and the actual earnings.
    """

    day: date
    when: str
    quarter: date
    estimate: float
    actual: float

    @property
    def at_us(self) -> int:
        """Return when the report is published."""
        return at_new_york(self.day.isoformat(), *_WHEN[self.when])


def next_report(symbol: str, day: date) -> Report | None:
    """Return the first report of a company on or after a date; None for a fund."""
    return _on_or_after(symbol, day) if profile(symbol).sector else None


@lru_cache(maxsize=4_096)
def _on_or_after(symbol: str, day: date) -> Report:
    # Day 0 of the calendar was a Monday, so the offset decides the weekday: no Monday or Friday, which may be holidays.
    rng = random_stream(symbol, "earnings")
    offset = int(_DAYS_BETWEEN * rng.random()) // 7 * 7 + _TUESDAY + int(3 * rng.random())
    number = -(-(day.toordinal() - offset) // _DAYS_BETWEEN)
    reported = date.fromordinal(offset + number * _DAYS_BETWEEN)
    rng = random_stream(symbol, "report", number)
    estimate = profile(symbol).level / 80 * (0.8 + 0.4 * rng.random())
    when = "premarket" if random_stream(symbol, "report").random() < 0.5 else "postmarket"
    quarter = reported.replace(day=1) - timedelta(days=1)
    quarter = quarter.replace(day=1) - timedelta(days=1) if quarter.month % 3 == 1 else quarter
    return Report(reported, when, quarter, estimate, estimate * (0.9 + 0.22 * rng.random()))


class Reports(Priced):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return a symbol's reports, newest first; the first is the next report to come."""
        return FlowRows([self._row(symbol, report, now_us) for report in self._reports(symbol, now_us)][::-1])

    def of_a_day(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the reports of a date before the open, or those after the close, the largest companies first."""
        calendar = self.calendar
        day = question.day or calendar.trading(now_us).date
        when = "premarket" if question.endpoint.series == "earnings-premarket" else "postmarket"
        named = [(symbol, next_report(symbol, date.fromisoformat(day))) for symbol in self.market.symbols]
        due = [(item, r) for item, r in named if r is not None and r.day.isoformat() == day and r.when == when]
        due.sort(key=lambda pair: -profile(pair[0]).marketcap)
        return FlowRows([self._day_row(due_report, report, now_us) for due_report, report in due])

    def _reports(self, symbol: str, now_us: int) -> Iterator[Report]:
        sessions = self.calendar.all
        day, today = date.fromisoformat(sessions[_FIRST_PLACE].date), self.calendar.trading(now_us).date
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
        today = date.fromisoformat(self.calendar.trading(now_us).date)
        price = self.closes.usd(symbol, self._finished_place(before, now_us))
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
        sessions, day = self.calendar.all, report.day.isoformat()
        later = [index for index, session in enumerate(sessions) if session.date >= day]
        first = later[0] if later else len(sessions)
        exact = first < len(sessions) and sessions[first].date == day
        return (first, first + 1) if report.when == "postmarket" and exact else (first - 1, first)

    def _finished_place(self, index: int, now_us: int) -> int:
        """Return a session's index, or the index of the last finished session while that one isn't finished."""
        sessions = self.calendar.all
        last = min(index, len(self.calendar.played) - 1)
        while sessions[last].close_us > now_us:
            last -= 1
        return last

    def _move(self, symbol: str, start: int, end: int, now_us: int) -> str | None:
        ended = self._finished_place(end, now_us) == end
        return f"{self.closes.change(symbol, start, end):.4f}" if ended else None

    def _text(self, symbol: str, index: int, now_us: int) -> str | None:
        return self.closes.text(symbol, index) if self._finished_place(index, now_us) == index else None

    def _date(self, index: int) -> str | None:
        sessions = self.calendar.all
        return sessions[index].date if index < len(sessions) else None


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


_WEDNESDAY, _FRIDAY = 2, 4
_FOMC_MONTHS = (1, 3, 5, 6, 7, 9, 11, 12)
_QUARTERS = {"Q1": ("01-01", "03-31"), "Q2": ("04-01", "06-30"), "Q3": ("07-01", "09-30"), "Q4": ("10-01", "12-31")}
_HALVES = {"H1": ("01-01", "06-30"), "H2": ("07-01", "12-31"), "MID": ("05-01", "08-31"), "LATE": ("09-01", "12-31")}
_PERIODS = _QUARTERS | _HALVES
_LONGEST_TARGET = len("2024-LATE")
_UNLISTED = ("QZBIO", "QZTHX", "QZRXP")
"""Biotechnology companies that are not in this market."""
_ANNOUNCED_DAYS_AHEAD = 240
_EVENTS_A_COMPANY = 3


class EconomicRelease(NamedTuple):
    """An economic event: its time in New York, its name, its type, and whether there is a forecast of its figure."""

    day: date
    hour: int
    minute: int
    name: str
    kind: str
    figure: bool


def is_fomc(day: date) -> bool:
    """Return True if the Federal Reserve announces its rate on this day: a third Wednesday, eight times a year."""
    return day.month in _FOMC_MONTHS and day.weekday() == _WEDNESDAY and 15 <= day.day <= 21


def economic_events(day: date) -> Iterator[EconomicRelease]:
    if day.weekday() == 3:
        yield EconomicRelease(day, 8, 30, "Initial jobless claims", "report", figure=True)
    if day.weekday() == _FRIDAY and day.day <= 7:
        yield EconomicRelease(day, 8, 30, "U.S. nonfarm payrolls", "report", figure=True)
    if day.weekday() == _WEDNESDAY and 8 <= day.day <= 14:
        yield EconomicRelease(day, 8, 30, "Consumer price index", "report", figure=True)
    if day.weekday() == _FRIDAY and day.day >= 25:
        yield EconomicRelease(day, 8, 30, "PCE index", "report", figure=True)
        yield EconomicRelease(day, 10, 0, "Consumer sentiment (final)", "report", figure=False)
    if is_fomc(day):
        yield EconomicRelease(day, 14, 0, "FOMC interest-rate decision", "fomc", figure=False)
    if day.weekday() < 5 and random_stream("speaker", day).random() < 0.2:
        yield EconomicRelease(day, 12, 45, "Fed governor speaks", "fed-speaker", figure=False)


class Events(ComputedSeries):
    def economic(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the events of this week and the next, earliest first."""
        today = date.fromisoformat(new_york_date(now_us))
        monday = today - timedelta(days=today.weekday())
        days = [monday + timedelta(days=count) for count in range(14)]
        events = sorted(event for day in days for event in economic_events(day))
        return FlowRows([row(now_us, self._fields(event)) for event in events])

    def fda(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return announced events whose dates overlap the requested period, earliest first."""
        earliest = question.params.read("target_date_min", partial(_target, end=0)) or ""
        latest = question.params.read("target_date_max", partial(_target, end=1)) or "9999"
        tickers = [word.upper() for word in question.params.words("ticker")]
        drug = question.params.text("drug").lower()
        return FlowRows(
            [
                self._with_outcome(row, now_us)
                for row in self._drugs(self.market.symbols)
                if row.at_us <= now_us
                and row.fields["end_date"] >= earliest
                and row.fields["start_date"] <= latest
                and (not tickers or row.fields["ticker"] in tickers)
                and drug in row.fields["drug"].lower()
            ]
        )

    def _fields(self, event: EconomicRelease) -> dict[str, Any]:
        rng = random_stream(self.seed, event.name, event.day)
        before = random_stream(self.seed, event.name, event.day.year, event.day.month)
        figure = f"{0.1 + 0.4 * before.random():.1f}%" if event.kind == "report" else None
        month = (event.day.replace(day=1) - timedelta(days=1)).strftime("%B")
        return {
            "event": event.name,
            "type": event.kind,
            "time": rfc3339(at_new_york(event.day.isoformat(), event.hour, event.minute)),
            "prev": figure,
            "forecast": f"{0.1 + 0.4 * rng.random():.1f}%" if event.figure else None,
            "reported_period": month if event.kind == "report" else None,
        }

    @cache_newest(2)
    def _drugs(self, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        companies = [symbol for symbol in symbols if profile(symbol).sector == "Healthcare"]
        rows = [row for company in (*companies, *_UNLISTED) for row in self._decisions(company)]
        return tuple(sorted(rows, key=lambda row: (row.fields["start_date"], row.fields["ticker"])))

    def _decisions(self, symbol: str) -> Iterator[Row]:
        rng, sessions = random_stream(self.seed, "fda", symbol), self.calendar.all
        first, last = date.fromisoformat(sessions[0].date), date.fromisoformat(sessions[-1].date)
        reach = (last - first).days + _ANNOUNCED_DAYS_AHEAD
        for number in range(_EVENTS_A_COMPANY):
            start = first + timedelta(days=int(reach * rng.random()))
            end = start if rng.random() < 0.6 else start + timedelta(days=int(90 * rng.random()))
            announced = start - timedelta(days=30 + int(_ANNOUNCED_DAYS_AHEAD * rng.random()))
            approved = rng.random() < 0.7
            drug = f"{symbol.title()}mab-{number + 1}"
            fields: dict[str, Any] = {
                "ticker": feed_ticker(symbol),
                "catalyst": "PDUFA Date" if start == end else "Advisory Committee Meeting",
                "drug": drug,
                "indication": "Advanced melanoma",
                "description": f"FDA decision for {drug} in advanced melanoma",
                "status": "NDA",
                "start_date": start.isoformat(),
                "end_date": end.isoformat(),
                "has_options": True,
                "marketcap": str(profile(symbol).marketcap),
                "notes": None,
                "outcome": "Approved" if approved else "Complete response letter",
                "outcome_brief": "Approved" if approved else "CRL",
                "source_link": None,
            }
            yield Row(at_new_york(announced.isoformat(), 9), fields, b"")

    def _with_outcome(self, event: Row, now_us: int) -> Row:
        """Return an event without its outcome while that isn't known: until the evening of its last date."""
        over = at_new_york(event.fields["end_date"], 18) <= now_us
        return row(event.at_us, event.fields if over else event.fields | {"outcome": None, "outcome_brief": None})


def _target(text: str, end: int) -> str:
    """Return the first or the last ISO date of a target: a date, or a period such as 2024-Q1, H2, MID or LATE."""
    year, _, period = text.partition("-")
    if period in _PERIODS and year.isdigit() and len(text) <= _LONGEST_TARGET:
        return f"{year}-{_PERIODS[period][end]}"
    return iso_date(text)
