"""Read which time span and steps a portfolio history request asks for."""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faces.trading.query import day
from tradebot.exchange.market.sessions import Calendar, Session
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid
from tradebot.exchange.times import DAY, HOUR, MINUTE, NEW_YORK, at_new_york, new_york_date, parse_time

_STEPS = {"1min": ("1Min", MINUTE), "5min": ("5Min", 5 * MINUTE), "15min": ("15Min", 15 * MINUTE), "1h": ("1H", HOUR)}
_PERIOD = re.compile(r"([1-9][0-9]{0,3})([DWMA])", re.IGNORECASE)
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_MINUTES_UNDER_DAYS = 7
_LONGEST_STEPS_DAYS = 30
_REPORTS = ("market_hours", "extended_hours", "continuous")


class Span(NamedTuple):
    """A span of engine time, both ends inclusive; `step_us` is 0 for days."""

    start_us: int
    end_us: int
    timeframe: str
    step_us: int
    report: str

    def hours(self, session: Session, calendar: Calendar) -> tuple[int, int]:
        """Return the first and last timestamp of a session; continuous sessions reach to the next one."""
        if not self.step_us or self.report == "market_hours":
            return session.open_us, session.close_us
        if self.report == "extended_hours":
            return session.pre_us, session.post_us
        following = calendar.all[min(calendar.place(session.date) + 1, len(calendar.all) - 1)]
        return session.pre_us, max(following.pre_us - self.step_us, session.post_us)


def read_span(query: Params, engine: Engine) -> Span:
    """Read period, start, end, timeframe and reporting; raise the 422 Refusal for contradictions."""
    start_us, end_us, period = _moment(query, "start"), _end(query), _period_days(query)
    if start_us is not None and end_us is not None and query.text("period"):
        raise invalid("only two of start, end and period can be specified at the same time")
    if start_us is None:
        last_us = _last_begun(engine, engine.now_us if end_us is None else end_us)
        start_us = at_new_york(new_york_date(last_us - (period - 1) * DAY), 0)
    elif end_us is None and query.text("period"):
        end_us = start_us + period * DAY
    end_us = engine.now_us if end_us is None else end_us
    if end_us < start_us:
        raise invalid("start must not be after end")
    timeframe, step_us = _timeframe(query, -((start_us - end_us) // DAY))
    return Span(start_us, end_us, timeframe, step_us, _report(query))


def _period_days(query: Params) -> int:
    match = _PERIOD.fullmatch(query.text("period", "1M"))
    if not match:
        raise invalid("invalid period")
    return int(match[1]) * _UNIT_DAYS[match[2].upper()]


def _last_begun(engine: Engine, us: int) -> int:
    """Return a moment on the last day that had a session by then, or the given moment if there is none."""
    begun = [session for session in engine.market.calendar.market if session.pre_us <= us]
    return begun[-1].open_us if begun else us


def _moment(query: Params, name: str) -> int | None:
    return query.read(name, partial(parse_time, naive=NEW_YORK))


def _end(query: Params) -> int | None:
    """Return the requested end; a plain date, and the older `date_end`, mean that entire day."""
    name = "end" if query.text("end") else "date_end"
    at_us = _moment(query, name)
    only_date = at_us is not None and day(query, name) == query.text(name)
    return at_us + DAY - 1 if only_date and at_us is not None else at_us


def _timeframe(query: Params, days: int) -> tuple[str, int]:
    text = query.text("timeframe").lower()
    if not text:
        text = "1min" if days < _MINUTES_UNDER_DAYS else "15min" if days < _LONGEST_STEPS_DAYS else "1d"
    if text == "1d":
        return "1D", 0
    if text not in _STEPS:
        raise invalid("invalid timeframe")
    if days > _LONGEST_STEPS_DAYS:
        raise invalid(f"timeframe must be 1D for more than {_LONGEST_STEPS_DAYS} days")
    return _STEPS[text]


def _report(query: Params) -> str:
    extended = query.flag("extended_hours", False)
    report = query.choice("intraday_reporting", _REPORTS)
    return "extended_hours" if extended and not query.text("intraday_reporting") else report
