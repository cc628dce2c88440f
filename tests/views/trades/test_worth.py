"""What an account was worth before some days and at their end."""

from datetime import date
from decimal import Decimal

import pytest

from tests.kit.values import fill
from tests.views.trades.test_pnl import end, history, on
from tradebot.lab.performance.reporting import earned
from tradebot.model.values import replace
from tradebot.views.trades.days import EVER, Days
from tradebot.views.trades.pieces import breakdown
from tradebot.views.trades.pnl import Cut, Profit, pnl
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.worth import worth

FIRST, SECOND = date(2026, 11, 16), date(2026, 11, 17)
CLOSED = replace(end(1, {}, "130"), last_close=Decimal(112))


@pytest.mark.parametrize(
    ("days", "opening", "last_close", "made"),
    [
        (EVER, "100", None, "100 130"),
        (Days(last=FIRST), "100", "99", "100 110"),
        (Days(last=FIRST), None, "99", "99 110"),
        (Days(last=FIRST), None, None, None),
        (Days(SECOND), "100", None, "112 130"),
        (Days(date(2026, 11, 18)), "100", None, None),
    ],
)
def test_profit_is_from_the_close_before_or_the_opening_of_the_books_to_the_last_look(
    days: Days, opening: str | None, last_close: str | None, made: str | None
) -> None:
    first = replace(end(0, {}, "110"), last_close=Decimal(last_close) if last_close else None)
    found = worth((first, CLOSED), Decimal(opening) if opening else None, days)
    assert (found and f"{found.before_usd} {found.after_usd}") == made


def test_profit_is_by_the_brokers_equity_and_what_the_books_lack_has_its_own_line() -> None:
    ends = (end(0, {"AAPL": "105"}, "100050.25"), end(1, {"AAPL": "106"}, "100110"))
    known = breakdown(history(fill(1, at=on(0)), fill(2, at=on(1)), ends=ends))
    whole, first, part = pnl(known, Cut.DAY), pnl(known, Cut.DAY, Choice(Days(last=FIRST))), Choice(symbol="AAPL")
    assert whole.profit_usd == earned(Profit(known)).profit_usd == Decimal(110)
    assert (first.profit_usd, first.difference_usd, first.total.total_usd) == (
        Decimal("50.25"),
        Decimal("0.25"),
        Decimal(50),
    )
    assert pnl(known, Cut.DAY, part).difference_usd == 0
    # Nothing was seen of the last day, so the equity of the one before doesn't count for both.
    unseen = pnl(breakdown(history(fill(1, at=on(0)), fill(2, at=on(1)), ends=ends[:1])), Cut.DAY)
    assert (unseen.profit_usd, unseen.difference_usd) == (unseen.total.total_usd, Decimal(0))
