"""The account at the end of a day: splits and new names change the name and the shares of a position, not its money."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene
from tests.kit.values import NOW, ago, fill
from tests.reconciliation.test_activity_booking import activity, happens, holding
from tests.views.trades.test_pnl import end, history, on, paid
from tradebot.lab.performance.reporting import earnings
from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE
from tradebot.model.position import Origin, unreported_fill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.views.trades.days import EVER, DateRange
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import ProfitKind, break_down_profit, day_ends, equity_before_and_after, value_at
from tradebot.views.trades.pnl import ProfitGrouping, ProfitReport, pnl
from tradebot.views.trades.trade_row import Choice

D = Decimal


def seen(scene: Scene, price: str, symbol: str = "AAPL") -> History:
    """Return the past of a scene's books, with a price of its day, and a dividend on the old name."""
    end = SessionEnd(NOW.date(), None, None, {symbol: D(price)}, NOW)
    cash = (paid("2", "DIV", NOW, "AAPL"),)
    return history(*scene.ledger.fills(), cash=cash, ends=(end,))


def test_renamed_position_uses_price_and_dividend_of_its_old_name() -> None:
    scene = holding("10")
    gone, come = (
        activity("NC", name, str(shares), sub="SNC", number=n)
        for n, (name, shares) in enumerate((("AAPL", -10), ("PEAR", 10)))
    )
    assert happens(scene, gone, come).findings == ()
    past = seen(scene, "105")
    (end,) = day_ends(past)
    assert end.held == {("flow", "PEAR")}
    assert not end.unpriced
    assert end.value_usd == past.opening_cash + 2 + 50
    assert past.former_names == {("flow", "PEAR"): ("AAPL",)}
    found = {piece.kind: (piece.strategy, piece.symbol, piece.usd) for piece in break_down_profit(past).pieces}
    assert found == {ProfitKind.OPEN: ("flow", "PEAR", D(50)), ProfitKind.DIVIDENDS: ("flow", "PEAR", D(2))}


def test_rename_moves_no_cash_to_another_day() -> None:
    bought = fill(1, "AAPL", Side.BUY, "10", "100", at=NOW - timedelta(days=2))
    # The books open what was renamed as of its purchase.
    moved = [
        unreported_fill("flow", name, name, D(shares), D(100), ONE, at, Origin.ACTIVITY, "rename")
        for name, shares, at in (("AAPL", -10, NOW), ("PEAR", 10, bought.fill.at))
    ]
    past = history(bought, *moved)
    (end,) = day_ends(past)
    assert (end.day, end.value_usd) == (bought.fill.at.date(), past.opening_cash)


def test_split_changes_no_profit() -> None:
    scene = holding("10")
    assert happens(scene, activity("SPLIT", quantity="10"), averages={"AAPL": "50"}).findings == ()
    found = {piece.kind: piece.usd for piece in break_down_profit(seen(scene, "52.5")).pieces}
    assert found == {ProfitKind.OPEN: D(50), ProfitKind.DIVIDENDS: D(2)}


def test_value_before_the_first_purchase_is_cash() -> None:
    past = seen(holding("10"), "105")
    before = value_at(past, ago(301), {})
    assert (before.value_usd, before.held, before.gains) == (past.opening_cash, frozenset(), ())
    assert value_at(past, ago(300) + timedelta(seconds=1), {}).unpriced == {"AAPL"}


FIRST, SECOND = date(2026, 11, 16), date(2026, 11, 17)
CLOSED = replace(end(1, {}, "130"), last_close=Decimal(112))


@pytest.mark.parametrize(
    ("days", "opening", "last_close", "made"),
    [
        (EVER, "100", None, "100 130"),
        (DateRange(last=FIRST), "100", "99", "100 110"),
        (DateRange(last=FIRST), None, "99", "99 110"),
        (DateRange(last=FIRST), None, None, None),
        (DateRange(SECOND), "100", None, "112 130"),
        (DateRange(date(2026, 11, 18)), "100", None, None),
    ],
)
def test_profit_is_from_the_close_before_or_the_opening_of_the_books_to_the_last_look(
    days: DateRange, opening: str | None, last_close: str | None, made: str | None
) -> None:
    first = replace(end(0, {}, "110"), last_close=Decimal(last_close) if last_close else None)
    found = equity_before_and_after((first, CLOSED), Decimal(opening) if opening else None, days)
    assert (found and f"{found.before_usd} {found.after_usd}") == made


def test_profit_is_by_the_brokers_equity_and_what_the_books_lack_has_its_own_line() -> None:
    ends = (end(0, {"AAPL": "105"}, "100050.25"), end(1, {"AAPL": "106"}, "100110"))
    known = break_down_profit(history(fill(1, at=on(0)), fill(2, at=on(1)), ends=ends))
    whole, first, part = (
        pnl(known, ProfitGrouping.DAY),
        pnl(known, ProfitGrouping.DAY, Choice(DateRange(last=FIRST))),
        Choice(symbol="AAPL"),
    )
    assert whole.profit_usd == earnings(ProfitReport(known)).profit_usd == Decimal(110)
    assert (first.profit_usd, first.difference_usd, first.total.total_usd) == (
        Decimal("50.25"),
        Decimal("0.25"),
        Decimal(50),
    )
    assert pnl(known, ProfitGrouping.DAY, part).difference_usd == 0
    # Nothing was seen of the last day, so the equity of the one before doesn't count for both.
    unseen = pnl(break_down_profit(history(fill(1, at=on(0)), fill(2, at=on(1)), ends=ends[:1])), ProfitGrouping.DAY)
    assert (unseen.profit_usd, unseen.difference_usd) == (unseen.total.total_usd, Decimal(0))
