"""Show the market's clock and calendar, in the older form for one market and in the newer form for several."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Any

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.trading.query import day, params
from papervenue.faces.trading_json import calendar_json
from papervenue.faces.web import Call
from papervenue.market.sessions import Calendar, Session, full_calendar
from papervenue.params import Params
from papervenue.refusal import MALFORMED, Refusal
from papervenue.times import new_york, new_york_date, rfc3339

_NEW_YORK = "America/New_York"
_MARKETS = {
    "NYSE": ("New York Stock Exchange", "XNYS"),
    "NASDAQ": ("Nasdaq Stock Market", "XNAS"),
}
"""Markets by acronym: name and identifier code. Both follow the hours of the calendar in use."""
_ACRONYMS = {acronym: acronym for acronym in _MARKETS} | {code: name for name, (_, code) in _MARKETS.items()}
_WEEK = timedelta(days=7)
_DATE = attrgetter("date")

Show = Callable[[int], str]


def show_calendar(engine: Engine, account: Account, call: Call) -> list[dict[str, Any]]:
    """Handle GET /v2/calendar; `date_type` says whether start and end are trading or settlement dates."""
    query = params(call)
    by = {"trading": "date", "settlement": "settlement_date"}[query.choice("date_type", ("trading", "settlement"))]
    start, end = day(query, "start") or "0000", day(query, "end") or "9999"
    rows = (calendar_json(session, following.date) for session, following in _days(engine, start, end))
    return [row for row in rows if start <= row[by] <= end]


def show_clocks(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    """Handle GET /v3/clock: now or at the requested `time`, for each of the `markets`."""
    query = params(call)
    at_us = query.moment("time")
    now = engine.now_us if at_us is None else at_us
    calendar = engine.market.calendar
    if not _is_covered(calendar, now):
        calendar = full_calendar(calendar)
    if not _is_covered(calendar, now):
        raise _unserved_refusal("time is outside of the calendar")
    markets = [_acronym(name) for name in query.words("markets")] or list(_MARKETS)
    return {"clocks": [_clock(calendar, name, now) for name in markets]}


def show_market_calendar(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    """Handle GET /v3/calendar/{market}; both ends are inclusive, and the default is a week from today on."""
    query, acronym = params(call), _acronym(call.names["market"])
    start, end = _span(engine, query)
    show = rfc3339 if query.choice("timezone", ("", "utc")) else _in_new_york
    days = [
        _calendar_day(session, following, show)
        for session, following in _days(engine, start, end)
        if start <= session.date <= end
    ]
    return {"market": _market(acronym), "calendar": days}


def _days(engine: Engine, start: str, end: str) -> Iterator[tuple[Session, Session]]:
    """Return sessions, each with the next one: from the market's own if they cover both dates, else from all.

    They range from the last session before `start`, which may settle on it, to the last one that isn't after `end`.
    """
    own = engine.market.calendar
    spanned = own.all[0].date < start and end < own.all[-1].date
    days = (own if spanned else full_calendar(own)).all
    first = max(bisect_left(days, start, key=_DATE) - 1, 0)
    return pairwise(days[first : bisect_right(days, end, key=_DATE) + 1])


def _span(engine: Engine, query: Params) -> tuple[str, str]:
    start = day(query, "start") or new_york_date(engine.now_us)
    try:
        week_later = (date.fromisoformat(start) + _WEEK).isoformat()
    except OverflowError:
        week_later = start
    return start, day(query, "end") or week_later


def _acronym(name: str) -> str:
    word = _ACRONYMS.get(name.upper())
    if word is None:
        raise _unserved_refusal(f"market {name[:40]} is not served by this exchange")
    return word


def _unserved_refusal(message: str) -> Refusal:
    return Refusal(400, {"code": MALFORMED, "message": message})


def _is_covered(calendar: Calendar, us: int) -> bool:
    return calendar.all[0].close_us < us < calendar.all[-1].open_us


def _market(acronym: str) -> dict[str, str]:
    name, code = _MARKETS[acronym]
    return {"acronym": acronym, "mic": code, "name": name, "timezone": _NEW_YORK}


def _clock(calendar: Calendar, acronym: str, now: int) -> dict[str, Any]:
    phase, until = _phase(calendar, now)
    return {
        "market": _market(acronym),
        "timestamp": _in_new_york(now),
        "is_market_day": any(session.date == new_york_date(now) for session in calendar.all),
        "next_market_open": _in_new_york(calendar.next_open(now)),
        "next_market_close": _in_new_york(calendar.next_close(now)),
        "phase": phase,
        "phase_until": _in_new_york(until),
    }


def _phase(calendar: Calendar, now: int) -> tuple[str, int]:
    """Return the current phase of the trading day and when it ends."""
    coming, ended = calendar.trading(now), calendar.before(now)
    if now < ended.post_us:
        return "post", ended.post_us
    if now < coming.pre_us:
        return "closed", coming.pre_us
    return ("pre", coming.open_us) if now < coming.open_us else ("core", coming.close_us)


def _calendar_day(session: Session, following: Session, show: Show) -> dict[str, str]:
    return {
        "date": session.date,
        "settlement_date": following.date,
        "pre_start": show(session.pre_us),
        "pre_end": show(session.open_us),
        "core_start": show(session.open_us),
        "core_end": show(session.close_us),
        "post_start": show(session.close_us),
        "post_end": show(session.post_us),
    }


def _in_new_york(us: int) -> str:
    return new_york(us).isoformat()
