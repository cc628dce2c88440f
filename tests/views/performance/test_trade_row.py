"""Which trades are shown, and what they add up to."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.builders import NOW, ago, fill
from tests.views.performance.test_trades import past, sent
from tradebot.model.candidate import Side
from tradebot.model.values import replace
from tradebot.views.performance.days import Days, MarketTime
from tradebot.views.performance.trade_row import Choice, chosen, chosen_lots, totals_of
from tradebot.views.performance.trades import rows_of

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
        ({"days": Days(MONDAY, MONDAY)}, "AAPL MSFT NVDA", "AAPL MSFT NVDA"),
        ({"days": Days(TUESDAY)}, "MSFT NVDA JPM", "NVDA JPM MSFT NVDA"),
        ({"days": Days(WEDNESDAY)}, "MSFT NVDA", "MSFT NVDA"),
        ({"days": Days(None, MONDAY - timedelta(days=1))}, "", ""),
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
def test_a_choice_is_what_all_its_parts_allow(choice: dict[str, Any], trades: str, lots: str) -> None:
    wanted = Choice(**choice)
    assert [row.symbol for row in chosen(ROWS.trades, wanted)] == trades.split()
    assert [lot.symbol for lot in chosen_lots(ROWS.lots, wanted)] == lots.split()


def test_the_sums_count_what_they_leave_out() -> None:
    found = totals_of(ROWS.trades)
    assert (found.trades, found.closed, found.held, found.partly_closed) == (4, 2, 2, 1)
    assert (found.won, found.lost, found.even) == (1, 0, 1)
    assert (found.gross_usd, found.fees_usd, found.net_usd) == (D(60), D(0), D(60))
    assert (found.open_usd, found.unpriced) == (D(-30), 1)
    lost = replace(ROWS.trades[0], net_usd=D("-0.01"))
    assert totals_of([lost]).lost == 1
