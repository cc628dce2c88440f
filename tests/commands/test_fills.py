"""`tradebot fills`: what the venue traded, apart from what only moved shares between owners."""

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

from tests.kit.bot.folder import Bot
from tests.kit.values import fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.account import Booking, Entry
from tradebot.model.candidate import Side
from tradebot.model.order import Fee, Fill, fee_id
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.reconciliation.catch_up import reassign

AT = datetime(2026, 11, 16, 15, tzinfo=UTC)


def test_fills_show_a_given_back_fill_without_a_trade(copy: Bot) -> None:
    bought = Fill(
        activity_id="20261116::1",
        venue_order_id="v1",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(10),
        price=Decimal(20),
        at=AT,
    )
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills((OwnedFill(FOREIGN, bought), *reassign("flow", bought)), AT)
    found = copy.json("fills")
    assert [row["source"] for row in found["fills"]] == ["venue", "given back", "given back"]
    assert (found["bought_usd"], found["sold_usd"]) == ("200", "0")
    assert "bought for 200.00 USD, sold for 0.00 USD" in copy.says("fills").out


def test_fills_show_fees_and_say_which_are_not_known_yet(copy: Bot) -> None:
    fees = (Fee(None), Fee(Decimal("1.25")), Fee(Decimal("0.0002"), "BTC"), Fee(None))
    fills = [fill(n, quantity="2", at=AT, multiplier="50", fee=fee) for n, fee in enumerate(fees)]
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills(fills, AT)
        ledger.book(Booking((Entry(fee_id("fill-3"), "FEE", Decimal("-2.50"), "FEE", AT, "AAPL"),)), AT)
    found = copy.json("fills")
    assert [row["fee"] for row in found["fills"]] == [
        {"amount": None, "currency": "USD"},
        {"amount": "1.25", "currency": "USD"},
        {"amount": "0.0002", "currency": "BTC"},
        {"amount": "2.5", "currency": "USD"},
    ]
    assert [row["multiplier"] for row in found["fills"]] == ["50"] * 4
    assert (found["unknown_fees"], found["bought_usd"]) == (1, "40000")
    said = copy.says("fills").out
    assert all(text in said for text in ("not known yet", " 1.25", "0.0002 BTC", "Not known yet: the fees of 1 fill"))
