"""A report says of each trade what `trades` says of it."""

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import fill
from tests.model.test_trade import histories
from tests.views.performance.test_fees import fee
from tests.views.performance.test_trades import MARKET, past
from tradebot.model.candidate import Side
from tradebot.model.filled import Asked, FilledOrder, Sent
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.views.performance.choosing import Choice, chosen
from tradebot.views.performance.report_trades import report_trades
from tradebot.views.performance.trades import rows_of
from tradebot.views.slippage import summed

SAME = ("id", "side", "closed_at", "entry_price", "exit_price", "gross_usd", "fees_usd", "net_usd", "reasons")


@given(histories(), st.sampled_from([None, "flow"]), st.sampled_from([None, "AAPL"]))
def test_its_rows_and_its_slippage_are_those_of_trades(
    fills: list[OwnedFill], strategy: str | None, symbol: str | None
) -> None:
    sent = {
        each.fill.venue_order_id: Sent(
            FilledOrder(each.fill.activity_id, None, each.fill.price - 1),
            (Asked(each.fill.activity_id, each.fill.at, "flatten", False, None, each.fill.price + 1, each.fill.at),),
        )
        for each in fills
    }
    history, choice = past(fills, cash=(fee("-0.07"),), sent=sent), Choice(strategy=strategy, symbol=symbol)
    rows, found = chosen(rows_of(history, MARKET).trades, choice), report_trades(history, choice)
    assert [[getattr(row, name) for name in SAME] for row in found.rows] == [
        [getattr(row, name) for name in SAME] for row in rows
    ]
    assert found.slippage == tuple(summed(list(column)) for column in zip(*(row.slippage for row in rows), strict=True))


def test_what_others_trade_is_no_trade_of_a_report() -> None:
    theirs = [OwnedFill(FOREIGN, fill(n, side=side).fill) for n, side in enumerate((Side.BUY, Side.SELL))]
    assert report_trades(past(theirs), Choice()) == ((), ())
