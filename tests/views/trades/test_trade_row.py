"""Which trades are shown, and what they add up to."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.values import NOW, VENUE_DAY, ago, fill
from tests.model.test_lifecycle import EXIT, LEG, PAIR, order
from tests.views.trades.test_trades import past, sent
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.model.trade import OrderSent
from tradebot.views.trades.days import DateRange, MarketTime
from tradebot.views.trades.lots import lots_of
from tradebot.views.trades.trade_row import Choice, exit_reason, rule_of, select_rows, totals_of, why_closed
from tradebot.views.trades.trades import rows_of

LIMIT, STOP = order(PAIR), order(PAIR, **LEG)
RESTING = replace(PAIR, why="scale_out+stop_loss")
MOVED = replace(RESTING, operation=Operation.REPLACE, why="trail_stop")
CLOSE = replace(EXIT, why="trail_stop(-1.2%)+signal_decay(0.65)")


@pytest.mark.parametrize(
    ("closed_by", "behind", "reason"),
    [
        (LIMIT, [RESTING], "scale_out"),
        (STOP, [RESTING], "stop_loss"),
        (STOP, [MOVED, RESTING], "trail_stop"),
        (order(EXIT), [CLOSE], CLOSE.why),
        (order(EXIT), [CLOSE, PAIR], CLOSE.why),
        (order(EXIT), [EXIT], None),
        (order(EXIT), [], None),
    ],
)
def test_exit_reason_comes_from_the_nearest_intent(closed_by: Order, behind: list[Intent], reason: str | None) -> None:
    assert exit_reason(closed_by, behind) == reason


@pytest.mark.parametrize(("origin", "reason"), [(Origin.PLAN, "accepted_plan"), (Origin.ACTIVITY, "corporate_action")])
def test_lot_has_the_reason_of_its_order_or_without_one_names_its_cause(origin: Origin, reason: str) -> None:
    sale = fill(2, side=Side.SELL)
    gone = replace(sale, fill=replace(sale.fill, venue_order_id=""), origin=origin, about="it")
    (lot,), (other,) = (lots_of([fill(1), sold]).closed for sold in (sale, gone))
    assert why_closed(lot, {"venue-2": OrderSent(order(EXIT), (CLOSE,))}) == CLOSE.why
    assert why_closed(lot, {"venue-2": OrderSent(order(EXIT))}) == why_closed(lot, {}) == "unknown"
    assert why_closed(other, {}) == rule_of(reason) == reason


def test_reason_is_counted_by_its_first_rule() -> None:
    reasons = {"trail_stop(-1.2%)+signal_decay(0.65)": "trail_stop", "displaced_by_XYZ": "displaced_by"}
    words = ("unknown", "The month is over", "over ")
    assert {reason: rule_of(reason) for reason in (*reasons, *words)} == reasons | dict(zip(words, words, strict=True))


D = Decimal
MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, 16) + timedelta(days=n) for n in range(3))
FILLS = [
    fill(0, at=ago(600)),
    fill(1, "MSFT", at=ago(500), strategy="other"),
    fill(2, "NVDA", at=ago(400)),
    fill(3, side=Side.SELL, price="110", at=NOW),
    fill(4, "NVDA", Side.SELL, "4", "90", at=NOW + timedelta(days=1)),
    fill(5, "JPM", at=NOW + timedelta(days=1)),
    fill(6, "JPM", Side.SELL, at=NOW + timedelta(days=1, hours=1)),
]
ORDERS = sent("venue-3", why="trail_stop(-1.2%)+signal_decay(0.65)") | sent("venue-4", why="The month is over")
ROWS = rows_of(past(FILLS, sent=ORDERS, marks={"NVDA": D(95)}, at=NOW + timedelta(days=2)), MarketTime(()), by_lot=True)


@pytest.mark.parametrize(
    ("choice", "trades", "lots"),
    [
        ({}, "AAPL MSFT NVDA JPM", "AAPL NVDA JPM MSFT NVDA"),
        ({"days": DateRange(MONDAY, MONDAY)}, "AAPL MSFT NVDA", "AAPL MSFT NVDA"),
        ({"days": DateRange(TUESDAY)}, "MSFT NVDA JPM", "NVDA JPM MSFT NVDA"),
        ({"days": DateRange(WEDNESDAY)}, "MSFT NVDA", "MSFT NVDA"),
        ({"days": DateRange(None, MONDAY - timedelta(days=1))}, "", ""),
        ({"strategy": "other"}, "MSFT", "MSFT"),
        ({"symbol": "NVDA"}, "NVDA", "NVDA NVDA"),
        ({"is_open": True}, "MSFT NVDA", "MSFT NVDA"),
        ({"is_open": False}, "AAPL JPM", "AAPL NVDA JPM"),
        ({"reason": "trail_stop"}, "AAPL", "AAPL"),
        ({"reason": "signal_decay"}, "AAPL", "AAPL"),
        ({"reason": "The month is over"}, "NVDA", "NVDA"),
        ({"reason": "unknown"}, "JPM", "JPM"),
        ({"reason": "trail"}, "", ""),
    ],
)
def test_choice_keeps_trades_that_match_all_its_parts(choice: dict[str, Any], trades: str, lots: str) -> None:
    wanted = Choice(**choice)
    assert [row.symbol for row in select_rows(ROWS.trades, wanted, VENUE_DAY)] == trades.split()
    assert [lot.symbol for lot in select_rows(ROWS.lots, wanted, VENUE_DAY)] == lots.split()


def test_totals_count_unpriced_trades_that_they_leave_out() -> None:
    found = totals_of(ROWS.trades)
    assert (found.trades, found.closed, found.held, found.partly_closed) == (4, 2, 2, 1)
    assert (found.won, found.lost, found.even) == (1, 0, 1)
    assert (found.gross_usd, found.fees_usd, found.net_usd) == (D(60), D(0), D(60))
    assert (found.open_usd, found.unpriced) == (D(-30), 1)
    assert totals_of([replace(ROWS.trades[0], net_usd=D("-0.01"))]).lost == 1
