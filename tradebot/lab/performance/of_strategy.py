"""Compute the results of one strategy, in its part of an account, by session and by trade, since a given time."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.instrument import notional
from tradebot.views.slippage import totals
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import Trip
from tradebot.views.trades.pieces import ProfitKind, break_down_profit
from tradebot.views.trades.trades import TripFacts

_ZERO = Decimal(0)


class OwnResults(Struct, frozen=True):
    """A strategy's returns by session, each closed trade's day and its return on the stake, and the costs.

    `costs` is the amount by which fees and slippage reduced the returns, as a sum over sessions. Slippage is measured
    from the midpoint at the decision to the fill; `costs` is None if no midpoint is known.
    """

    returns: Mapping[date, float]
    trades: tuple[tuple[date, float], ...] = ()
    costs: float | None = None


def own_results(
    history: History, sessions: Sequence[Session], strategy: str, since: datetime, share: Callable[[date], Decimal]
) -> OwnResults:
    """Compute a strategy's results in the sessions since a time; a session counts only if its end was recorded.

    `sessions` are the exchange's sessions, oldest first, starting before the books were opened. `share` returns the
    strategy's share of the account's equity on a given day. Payments between two sessions count in the later one.
    """
    own_breakdown, recorded_sessions = break_down_profit(history), {end.session for end in history.ends}
    days = [end.day for end in own_breakdown.ends]
    earned = defaultdict[date, Decimal](Decimal)
    for piece in own_breakdown.pieces:
        if piece.strategy == strategy and piece.kind is not ProfitKind.TRANSFERS:
            earned[piece.day] += piece.usd
    earning, returns, bases = sorted(earned), dict[date, float](), list[Decimal]()
    for before, session in pairwise(sessions):
        if (
            session.open < since
            or session.date not in recorded_sessions
            or history.at is None
            or session.close > history.at
        ):
            continue
        index = bisect_right(days, before.date)
        equity = own_breakdown.ends[index - 1].value_usd if index else history.opening_cash
        base = equity * share(session.date)
        if base > 0:
            first, last = bisect_right(earning, before.date), bisect_right(earning, session.date)
            returns[session.date] = float(sum((earned[day] for day in earning[first:last]), _ZERO) / base)
            bases.append(base)
    if not bases:
        return OwnResults(returns)
    trips = [trip for trip in history.lots.trips if trip.trade.strategy == strategy and trip.trade.opened_at >= since]
    closed = ((trip.trade.closed_at, _of_stake(history, trip)) for trip in trips)
    trade_returns = tuple(
        (history.day.date_of(at), trade_returns) for at, trade_returns in closed if at and trade_returns is not None
    )
    base = sum(bases, _ZERO) / len(bases)
    costs = _costs(history, trips)
    return OwnResults(returns, trade_returns, None if costs is None else float(costs / base))


def _of_stake(history: History, trip: Trip) -> float | None:
    trade = trip.trade
    stake = notional(trade.closed_quantity, trade.entry_price, trade.multiplier)
    net = trade.realized_before_fees_usd + _fees(history, trip)
    return float(net / stake) if stake else None


def _fees(history: History, trip: Trip) -> Decimal:
    return sum((history.fees.of(lot) for lot in trip.lots), _ZERO)


def _costs(history: History, trips: Sequence[Trip]) -> Decimal | None:
    """Return the cost of trades in USD; fills with an unknown midpoint count as much as the others on average."""
    if not trips:
        return _ZERO
    facts = TripFacts(history)
    slipped = max(totals([fill for trip in trips for fill in facts.own_fills(trip)]), key=lambda cost: cost.known)
    if slipped.total is None:
        return None
    return slipped.total.usd * slipped.of / slipped.known - sum((_fees(history, trip) for trip in trips), _ZERO)


def returns_after(returns: Mapping[date, float], day: date) -> tuple[float, ...]:
    """Return the returns of the sessions after a day, oldest first."""
    ordered = sorted(returns)
    return tuple(returns[date] for date in ordered[bisect_left(ordered, day) :] if date > day)
