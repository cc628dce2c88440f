"""Generate the calendars of what is due: economic reports, the Federal Reserve's meetings, and the FDA's decisions.

Dates follow the usual rules of each report; nothing about an event says how it will turn out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple

from tradebot.exchange.chance import stream
from tradebot.exchange.flow.rows import Row, feed_ticker, row
from tradebot.exchange.flow.series import Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import at_new_york, iso_date, new_york_date, rfc3339

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


class Event(NamedTuple):
    """An economic event: when it is due in New York, its name, its type, and whether a figure is forecast."""

    day: date
    hour: int
    minute: int
    name: str
    kind: str
    figure: bool


def is_fomc(day: date) -> bool:
    """Return True on the day on which the Federal Reserve announces its rate: a third Wednesday, eight times a year."""
    return day.month in _FOMC_MONTHS and day.weekday() == _WEDNESDAY and 15 <= day.day <= 21


def economic_events(day: date) -> Iterator[Event]:
    if day.weekday() == 3:
        yield Event(day, 8, 30, "Initial jobless claims", "report", figure=True)
    if day.weekday() == _FRIDAY and day.day <= 7:
        yield Event(day, 8, 30, "U.S. nonfarm payrolls", "report", figure=True)
    if day.weekday() == _WEDNESDAY and 8 <= day.day <= 14:
        yield Event(day, 8, 30, "Consumer price index", "report", figure=True)
    if day.weekday() == _FRIDAY and day.day >= 25:
        yield Event(day, 8, 30, "PCE index", "report", figure=True)
        yield Event(day, 10, 0, "Consumer sentiment (final)", "report", figure=False)
    if is_fomc(day):
        yield Event(day, 14, 0, "FOMC interest-rate decision", "fomc", figure=False)
    if day.weekday() < 5 and stream("speaker", day).random() < 0.2:
        yield Event(day, 12, 45, "Fed governor speaks", "fed-speaker", figure=False)


class Events:
    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._drugs = lru_cache(maxsize=2)(self._all_drugs)

    def economic(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the events of this week and the next, first one first."""
        today = date.fromisoformat(new_york_date(now_us))
        monday = today - timedelta(days=today.weekday())
        days = [monday + timedelta(days=count) for count in range(14)]
        events = sorted(event for day in days for event in economic_events(day))
        return Answered([row(now_us, self._fields(event)) for event in events])

    def fda(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return announced events whose dates touch the span asked for, first one first."""
        earliest = question.params.read("target_date_min", partial(_target, end=0)) or ""
        latest = question.params.read("target_date_max", partial(_target, end=1)) or "9999"
        tickers = [word.upper() for word in question.params.words("ticker")]
        drug = question.params.text("drug").lower()
        return Answered(
            [
                self._with_outcome(one, now_us)
                for one in self._drugs(self._market.symbols)
                if one.at_us <= now_us
                and one.fields["end_date"] >= earliest
                and one.fields["start_date"] <= latest
                and (not tickers or one.fields["ticker"] in tickers)
                and drug in one.fields["drug"].lower()
            ]
        )

    def _fields(self, event: Event) -> dict[str, Any]:
        rng = stream(self._seed, event.name, event.day)
        before = stream(self._seed, event.name, event.day.year, event.day.month)
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

    def _all_drugs(self, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        companies = [one for one in symbols if profile(one).sector == "Healthcare"]
        rows = [one for company in (*companies, *_UNLISTED) for one in self._decisions(company)]
        return tuple(sorted(rows, key=lambda one: (one.fields["start_date"], one.fields["ticker"])))

    def _decisions(self, symbol: str) -> Iterator[Row]:
        rng, sessions = stream(self._seed, "fda", symbol), self._market.calendar.all
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

    def _with_outcome(self, one: Row, now_us: int) -> Row:
        """Return an event without its outcome while that isn't known: until the evening of its last date."""
        over = at_new_york(one.fields["end_date"], 18) <= now_us
        return row(one.at_us, one.fields if over else one.fields | {"outcome": None, "outcome_brief": None})


def _target(text: str, end: int) -> str:
    """Return the first or the last ISO date of a target: a date, or a period such as 2024-Q1, H2, MID or LATE."""
    year, _, period = text.partition("-")
    if period in _PERIODS and year.isdigit() and len(text) <= _LONGEST_TARGET:
        return f"{year}-{_PERIODS[period][end]}"
    return iso_date(text)
