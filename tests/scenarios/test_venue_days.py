"""Profit, trades and taxes by the venue's day: the trade date of the session, or the date of the venue's zone."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tests.kit.core.sessions import globex
from tests.kit.trades import tax_history
from tests.kit.values import VENUE_DAY, books, fill, quote
from tradebot.desk.strategy_exposure import day_results
from tradebot.model.candidate import Side
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.account_trades import account_trades
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl
from tradebot.views.trades.tax import tax_year
from tradebot.views.trades.tax_lots import Method

D = Decimal
EVENING = VenueDay("America/New_York").knowing(globex(date(2026, 11, 2), date(2026, 12, 4)))
AROUND = VenueDay("UTC")
BOUGHT = datetime(2026, 11, 20, 15, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
THANKSGIVING = datetime(2026, 11, 26, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("venue", "at", "trade_date"),
    [
        (VENUE_DAY, SUNDAY, "2026-11-22"),
        (EVENING, SUNDAY, "2026-11-23"),
        (AROUND, SUNDAY, "2026-11-22"),
        (VENUE_DAY, THANKSGIVING, "2026-11-26"),
        (EVENING, THANKSGIVING, "2026-11-27"),
        # Six in the evening in New York is the last hour of the day in UTC, and nine the first one of the next.
        (AROUND, SUNDAY.replace(day=23), "2026-11-23"),
        (AROUND, datetime(2026, 11, 24, 2, tzinfo=UTC), "2026-11-24"),
        (VENUE_DAY, datetime(2026, 11, 24, 2, tzinfo=UTC), "2026-11-23"),
        (EVENING, datetime(2026, 11, 24, 2, tzinfo=UTC), "2026-11-24"),
    ],
)
def test_profit_trades_and_taxes_have_the_same_date(venue: VenueDay, at: datetime, trade_date: str) -> None:
    fills = fill(1, price="50", at=BOUGHT), fill(2, side=Side.SELL, price="60", at=at)
    known = replace(tax_history(fills, until="2026-12-31"), day=venue)
    earned = [row.name for row in pnl(break_down_profit(known), ProfitGrouping.DAY).rows if row.realized_usd]
    assert earned == [trade_date]
    assert [str(trade.day) for trade in account_trades(known).trades] == ["2026-11-20", trade_date]
    assert [str(row.sold) for row in tax_year(known, 2026, Method.FIFO).rows] == [trade_date]


@pytest.mark.parametrize(
    ("venue", "session", "profit"),
    [
        (EVENING, date(2026, 11, 23), 100),
        (EVENING, date(2026, 11, 22), None),
        (AROUND, date(2026, 11, 22), 100),
        (AROUND, date(2026, 11, 23), None),
    ],
)
def test_result_of_a_day_is_that_of_its_session(venue: VenueDay, session: date, profit: int | None) -> None:
    closed = books(fill(1, price="50", at=BOUGHT), fill(2, side=Side.SELL, price="60", at=SUNDAY))
    assert day_results(replace(closed, day=venue), {}, session).get("flow") == profit


@pytest.mark.parametrize(("venue", "began"), [(EVENING, 60), (AROUND, 95)])
def test_what_was_bought_in_a_session_counts_from_its_price_else_from_the_close(venue: VenueDay, began: int) -> None:
    held = replace(books(fill(1, price="60", at=SUNDAY)), day=venue)
    priced = replace(quote("AAPL", "100", "100"), previous_close=D(95))
    assert day_results(held, {"AAPL": priced}, date(2026, 11, 23)) == {"flow": 10 * (100 - began)}
