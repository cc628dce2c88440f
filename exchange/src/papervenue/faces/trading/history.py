"""Compute portfolio history: an account's equity over time, from its activities and the market's prices.

As in Alpaca's documentation, each timestamp is the start of an interval, and each value is the equity at its end. A
session that is divided into steps ends with a timestamp at its close. A day is stamped at 20:00 in New York. An
unfinished interval ends now.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Execution
from papervenue.faces.trading.account import ACTIVITY_KINDS
from papervenue.faces.trading.query import day, params
from papervenue.faces.web import Call
from papervenue.market.bars import usd
from papervenue.market.sessions import Calendar, Session
from papervenue.params import Params
from papervenue.refusal import invalid
from papervenue.shares import options
from papervenue.times import DAY, HOUR, MINUTE, NEW_YORK, SECOND, at_new_york, new_york_date, parse_time

_STEPS = {"1min": ("1Min", MINUTE), "5min": ("5Min", 5 * MINUTE), "15min": ("15Min", 15 * MINUTE), "1h": ("1H", HOUR)}
_PERIOD = re.compile(r"([1-9][0-9]{0,3})([DWMA])", re.IGNORECASE)
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_MINUTES_UNDER_DAYS = 7
_LONGEST_STEPS_DAYS = 30
_REPORTS = ("market_hours", "extended_hours", "continuous")


class EngineSpan(NamedTuple):
    """A span of engine time, both ends inclusive; `step_us` is 0 for days."""

    start_us: int
    end_us: int
    timeframe: str
    step_us: int
    report: str

    def hours(self, session: Session, calendar: Calendar) -> tuple[int, int]:
        """Return a session's first and last timestamp.

        With continuous reporting, a session lasts until the next one.
        """
        if not self.step_us or self.report == "market_hours":
            return session.open_us, session.close_us
        if self.report == "extended_hours":
            return session.pre_us, session.post_us
        following = calendar.all[min(calendar.position_of(session.date) + 1, len(calendar.all) - 1)]
        return session.pre_us, max(following.pre_us - self.step_us, session.post_us)


def read_span(query: Params, engine: Engine) -> EngineSpan:
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
    return EngineSpan(start_us, end_us, timeframe, step_us, _report(query))


def _period_days(query: Params) -> int:
    match = _PERIOD.fullmatch(query.text("period", "1M"))
    if not match:
        raise invalid("invalid period")
    return int(match[1]) * _UNIT_DAYS[match[2].upper()]


def _last_begun(engine: Engine, us: int) -> int:
    """Return a moment on the last day with a session that had begun by then; without such a day, the given moment."""
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


_EVENING = 20
_FROM_OUTSIDE = frozenset({"JNLC", "JNLS", "CSD", "CSW"})
"""Deposits and withdrawals by the owner: they change the value but aren't profit."""


class Point(NamedTuple):
    """One value of the history: its timestamp, the time whose prices it uses, and its session."""

    stamp_us: int
    at_us: int
    session: Session


def portfolio_history(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    """Handle GET /v2/account/portfolio/history; the values are numbers rather than strings."""
    query = params(call)
    span = read_span(query, engine)
    daily_reset = query.choice("pnl_reset", ("per_day", "no_reset")) == "per_day"
    points = [point for point in _points(span, engine) if point.at_us > account.created_us]
    equity = Equity(engine, account, points)
    base, asof = equity.base()
    gains = list(_gains(equity, base, daily_reset, span.step_us == 0))
    answer = {
        "timestamp": [point.stamp_us // SECOND for point in points],
        "equity": [_cents(value.equity) for value in equity.values],
        "profit_loss": [_cents(gain) for gain, _ in gains],
        "profit_loss_pct": [round(float(gain / of), 4) if of else 0.0 for gain, of in gains],
        "base_value": _cents(base.equity),
        "timeframe": span.timeframe,
    }
    return answer | ({"base_value_asof": asof} if asof else {}) | _cashflow(account, points, query)


def _cents(value: Decimal) -> float:
    return round(float(value), 2)


def _points(span: EngineSpan, engine: Engine) -> Iterator[Point]:
    """Yield the points of a span, up to now."""
    calendar, until = engine.market.calendar, min(span.end_us, engine.now_us)
    for session in calendar.all[calendar.first :]:
        begins, ends = span.hours(session, calendar)
        if ends < span.start_us or begins > until:
            continue
        if not span.step_us:
            yield _day(session, engine.now_us)
            continue
        for stamp in range(begins, ends + 1, span.step_us):
            if span.start_us <= stamp <= until:
                yield Point(stamp, min(stamp + span.step_us, ends, engine.now_us), session)


def _day(session: Session, now_us: int) -> Point:
    """Return the point of a day: the end of its extended hours, or the current moment until then."""
    evening_us = at_new_york(session.date, _EVENING)
    return Point(now_us, now_us, session) if now_us < evening_us else Point(evening_us, session.close_us, session)


class AccountEquity(NamedTuple):
    """An account's value, and what was deposited into it since a fixed moment; both in USD."""

    equity: Decimal
    put_in: Decimal

    def gain_since(self, before: AccountEquity) -> Decimal:
        """Return the gain since an earlier moment, excluding deposits and withdrawals."""
        return self.equity - before.equity - (self.put_in - before.put_in)


class Equity:
    """The account's value at each point of the history, and at the session closes before them."""

    def __init__(self, engine: Engine, account: Account, points: Sequence[Point]) -> None:
        self._calendar: Calendar = engine.market.calendar
        self._points = points
        closes = {before.close_us for point in points if (before := self._before(point.session))}
        times = [at_us for at_us in closes if at_us >= account.created_us]
        self._at = _worth(engine, account, {*times, *(point.at_us for point in points)})
        self.values = [self._at[point.at_us] for point in points]
        self._now = AccountEquity(engine.balances(account).equity, Decimal(0))

    def base(self) -> tuple[AccountEquity, str | None]:
        """Return the base value, and the date of the close that it is from; a new account has no such date."""
        if not self._points:
            return self._now, None
        before = self._before(self._points[0].session)
        if before is None or before.close_us not in self._at:
            return self.values[0], None
        return self._at[before.close_us], before.date

    def close_before(self, index: int, default: AccountEquity) -> AccountEquity:
        """Return the value at the close before a point's session."""
        before = self._before(self._points[index].session)
        return self._at.get(before.close_us, default) if before else default

    def _before(self, session: Session) -> Session | None:
        position = self._calendar.position_of(session.date)
        return self._calendar.all[position - 1] if position else None


def _gains(equity: Equity, base: AccountEquity, daily_reset: bool, daily: bool) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield each gain, excluding deposits and withdrawals, and the equity that it is relative to.

    Daily gains are measured from day to day, as in the examples of Alpaca's documentation; its text says base value.
    """
    previous = base
    for index, value in enumerate(equity.values):
        of = base
        if daily_reset:
            of = previous if daily else equity.close_before(index, base)
        yield value.gain_since(of), of.equity
        previous = value


def _worth(engine: Engine, account: Account, moments: set[int]) -> dict[int, AccountEquity]:
    """Return the account's value at each moment, by undoing activities newest first from the current positions."""
    cash, shares = account.cash, {symbol: position.qty for symbol, position in account.positions.items()}
    changes, put_in = [*_changes(engine, account)], Decimal(0)
    worth = {}
    for moment in sorted(moments, reverse=True):
        while changes and changes[-1].at_us > moment:
            change = changes.pop()
            cash -= change.cash
            put_in -= change.put_in
            shares[change.symbol] = shares.get(change.symbol, Decimal(0)) - change.qty
        positions = ((symbol, qty) for symbol, qty in shares.items() if qty)
        value = sum((_value(engine, symbol, qty, moment) for symbol, qty in positions), Decimal(0))
        worth[moment] = AccountEquity(cash + value, put_in)
    return worth


def _value(engine: Engine, symbol: str, qty: Decimal, at_us: int) -> Decimal:
    return qty * options.shares_of(symbol) * usd(options.value(engine.market, symbol, at_us) or 0)


class _Change(NamedTuple):
    at_us: int
    cash: Decimal
    symbol: str
    qty: Decimal
    put_in: Decimal


def _changes(engine: Engine, account: Account) -> Iterator[_Change]:
    for activity in account.activities:
        if isinstance(activity, Execution):
            yield _Change(activity.at_us, activity.net_amount, activity.order.symbol, activity.shares, Decimal(0))
        else:
            qty = activity.qty if activity.moves_shares else None
            yield _Change(
                activity.at_us,
                activity.net_amount,
                activity.symbol or "",
                qty or Decimal(0),
                _put_in(engine, activity),
            )


def _put_in(engine: Engine, activity: Activity) -> Decimal:
    """Return the value that an activity deposited: cash, and shares at the market price of that moment."""
    if activity.kind not in _FROM_OUTSIDE:
        return Decimal(0)
    if activity.symbol is None or activity.qty is None:
        return activity.net_amount
    return activity.net_amount + _value(engine, activity.symbol, activity.qty, activity.at_us)


def _cashflow(account: Account, points: Sequence[Point], query: Params) -> dict[str, Any]:
    """Return the cash that came and went in each interval by kind, if requested."""
    types = query.words("cashflow_types")
    if not types or types == ["NONE"]:
        return {}
    kinds = [] if types == ["ALL"] else types
    if any(kind not in ACTIVITY_KINDS for kind in kinds):
        raise invalid("invalid cashflow_types")
    ends = [point.at_us for point in points]
    flows: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(points), {})
    for kind in kinds:
        flows[kind] = [Decimal(0)] * len(points)
    for activity in account.activities:
        if isinstance(activity, Execution) or not activity.net_amount or (kinds and activity.kind not in kinds):
            continue
        index = bisect_right(ends, activity.at_us - 1)
        if index < len(points):
            flows[activity.kind][index] += activity.net_amount
    return {"cashflow": {kind: [_cents(amount) for amount in row] for kind, row in flows.items()}}
