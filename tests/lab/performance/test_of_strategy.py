"""What one strategy made of its part of an account, on a made-up past of one round trip each session."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.kit.trades import CASH, past, sessions
from tests.kit.values import cash_movement
from tradebot.lab.performance.of_strategy import OwnResults, own_results, returns_after
from tradebot.model.candidate import Side
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.model.trade import FilledOrder, OrderRequested, OrderSent
from tradebot.views.trades.history import History

COUNT = 30
DAYS = sessions(COUNT)
PAST = past(1, COUNT)
LONG_AGO = DAYS[0].open - timedelta(days=1)


def whole(day: date) -> Decimal:
    return Decimal(1)


def results(history: History = PAST, strategy: str = "flow") -> OwnResults:
    return own_results(history, DAYS, strategy, LONG_AGO, whole)


def test_returns_of_an_only_strategy_with_everything_are_those_of_the_account() -> None:
    equities = [CASH, *(end.equity for end in PAST.ends if end.equity is not None)]
    earned = [float(after / before - 1) for before, after in pairwise(equities)]
    found = results()
    assert list(found.returns) == [end.session for end in PAST.ends]
    assert list(found.returns.values()) == pytest.approx(earned)
    assert [day for day, _ in found.trades] == list(found.returns)
    # Each trade bought for 10,000 USD.
    assert sum(made for _, made in found.trades) * 10_000 == pytest.approx(float(equities[-1] - CASH))


def test_smaller_part_of_the_account_makes_larger_returns_of_the_same_profit() -> None:
    half = own_results(PAST, DAYS, "flow", LONG_AGO, lambda day: Decimal("0.5"))
    assert [*half.returns.values()] == pytest.approx([2 * each for each in results().returns.values()])
    assert half.trades == results().trades
    assert own_results(PAST, DAYS, "flow", LONG_AGO, lambda day: Decimal(0)) == OwnResults({})


def test_only_sessions_and_trades_since_the_moment_count() -> None:
    late = own_results(PAST, DAYS, "flow", DAYS[11].open, whole)
    assert list(late.returns) == [session.date for session in DAYS[11:] if session.date in results().returns]
    assert len(late.trades) == len(late.returns) < COUNT


def test_other_strategy_earned_nothing_in_the_same_sessions() -> None:
    found = results(strategy="rotation")
    assert (set(found.returns.values()), len(found.returns), found.trades, found.costs) == ({0.0}, COUNT, (), 0.0)


def test_session_whose_end_was_not_seen_or_is_not_over_has_no_return() -> None:
    unseen = replace(PAST, ends=PAST.ends[:5] + PAST.ends[6:])
    assert PAST.ends[5].session not in results(unseen).returns
    assert len(results(unseen).returns) == COUNT - 1
    assert max(results(replace(PAST, at=DAYS[3].close - timedelta(seconds=1))).returns) < DAYS[3].date


def test_costs_are_fees_and_what_fills_cost_against_their_midpoints() -> None:
    fill = PAST.fills[-1].fill
    fee = cash_movement(fill.at, Decimal(-50), "FEE", Origin.ACTIVITY, "fee-1", "", fill.symbol, "COM")
    # Each buy paid a cent more than the midpoint, 1 USD for 100 shares, and nothing is known of sales.
    asked = OrderRequested("ours", fill.at, "", False, Decimal("99.99"), None, None)
    bought = [one.fill.venue_order_id for one in PAST.fills if one.fill.side is Side.BUY]
    sent = dict.fromkeys(bought, OrderSent(FilledOrder("ours", None, None), (asked,)))
    charged, free = results(replace(PAST, cash=(fee,), sent=sent)), results()
    assert charged.trades[-1][1] == pytest.approx(free.trades[-1][1] - 0.005)
    assert charged.returns[PAST.ends[-1].session] < free.returns[PAST.ends[-1].session]
    assert charged.costs == pytest.approx((50 + COUNT) / 100_000, rel=0.05)
    assert free.costs is None, "no midpoint is known"


def test_returns_after_a_day_are_in_their_order() -> None:
    returns = {date(2026, 1, 7): 0.3, date(2026, 1, 5): 0.1, date(2026, 1, 6): 0.2}
    assert returns_after(returns, date(2026, 1, 5)) == (0.2, 0.3)
    assert returns_after(returns, date(2026, 1, 4)) == (0.1, 0.2, 0.3)
