"""Compute portfolio history: an account's equity over time, from its activities and the market's prices.

Timestamps are the starts of intervals and values those at their ends, as in Alpaca's documentation. A session in steps
ends with a timestamp at its close; a day is stamped at eight in the evening, New York. An unfinished interval ends now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tradebot.exchange.engine import options
from tradebot.exchange.engine.account import Account, Activity
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Execution
from tradebot.exchange.faces.trading.account import ACTIVITY_KINDS
from tradebot.exchange.faces.trading.history_span import Span, read_span
from tradebot.exchange.faces.trading.query import params
from tradebot.exchange.faces.web import Call
from tradebot.exchange.market.bars import usd
from tradebot.exchange.market.sessions import Calendar, Session
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid
from tradebot.exchange.times import SECOND, at_new_york

_EVENING = 20
_FROM_OUTSIDE = frozenset({"JNLC", "JNLS", "CSD", "CSW"})
"""Deposits and withdrawals by the owner: they change the value but aren't profit."""


class Point(NamedTuple):
    """One value: its timestamp, the moment whose prices apply, and its session."""

    stamp_us: int
    at_us: int
    session: Session


def portfolio_history(engine: Engine, account: Account, call: Call) -> dict[str, Any]:
    """Answer GET /v2/account/portfolio/history with numbers rather than strings."""
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


def _points(span: Span, engine: Engine) -> Iterator[Point]:
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
    """Return the point of a day: its evening close, or the current moment until then."""
    evening_us = at_new_york(session.date, _EVENING)
    return Point(now_us, now_us, session) if now_us < evening_us else Point(evening_us, session.close_us, session)


class Worth(NamedTuple):
    """What an account is worth, and how much of it was deposited since a fixed moment."""

    equity: Decimal
    put_in: Decimal

    def gain_since(self, before: Worth) -> Decimal:
        """Return the gain since then, without deposits and withdrawals."""
        return self.equity - before.equity - (self.put_in - before.put_in)


class Equity:
    """What an account was worth at points and at the closes before them."""

    def __init__(self, engine: Engine, account: Account, points: Sequence[Point]) -> None:
        self._calendar: Calendar = engine.market.calendar
        self._points = points
        closes = {before.close_us for point in points if (before := self._before(point.session))}
        known = [at_us for at_us in closes if at_us >= account.created_us]
        self._at = _worth(engine, account, {*known, *(point.at_us for point in points)})
        self.values = [self._at[point.at_us] for point in points]
        self._now = Worth(engine.balances(account).equity, Decimal(0))

    def base(self) -> tuple[Worth, str | None]:
        """Return the base value and the date of its close; a new account has no such close."""
        if not self._points:
            return self._now, None
        before = self._before(self._points[0].session)
        if before is None or before.close_us not in self._at:
            return self.values[0], None
        return self._at[before.close_us], before.date

    def close_before(self, place: int, default: Worth) -> Worth:
        """Return the worth at the close before a point's session."""
        before = self._before(self._points[place].session)
        return self._at.get(before.close_us, default) if before else default

    def _before(self, session: Session) -> Session | None:
        place = self._calendar.place(session.date)
        return self._calendar.all[place - 1] if place else None


def _gains(equity: Equity, base: Worth, daily_reset: bool, daily: bool) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield each gain, without deposits and withdrawals, and the equity that it is relative to.

    Daily gains are measured from day to day, as in the examples of Alpaca's documentation; its text says base value.
    """
    previous = base
    for place, value in enumerate(equity.values):
        of = base
        if daily_reset:
            of = previous if daily else equity.close_before(place, base)
        yield value.gain_since(of), of.equity
        previous = value


def _worth(engine: Engine, account: Account, moments: set[int]) -> dict[int, Worth]:
    """Return the worth at each moment, undoing activities newest first, starting from today's holdings."""
    cash, shares = account.cash, {symbol: held.qty for symbol, held in account.positions.items()}
    changes, put_in = [*_changes(engine, account)], Decimal(0)
    worth = {}
    for moment in sorted(moments, reverse=True):
        while changes and changes[-1].at_us > moment:
            change = changes.pop()
            cash -= change.cash
            put_in -= change.put_in
            shares[change.symbol] = shares.get(change.symbol, Decimal(0)) - change.qty
        held = ((symbol, qty) for symbol, qty in shares.items() if qty)
        value = sum((_value(engine, symbol, qty, moment) for symbol, qty in held), Decimal(0))
        worth[moment] = Worth(cash + value, put_in)
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
        place = bisect_right(ends, activity.at_us - 1)
        if place < len(points):
            flows[activity.kind][place] += activity.net_amount
    return {"cashflow": {kind: [_cents(amount) for amount in row] for kind, row in flows.items()}}
