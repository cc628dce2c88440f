"""`tradebot fills`: what the venue traded, apart from what only moved shares between owners."""

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

from tests.bot import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.reconciliation.catch_up import reassign

AT = datetime(2026, 11, 16, 15, tzinfo=UTC)


def test_fills_show_a_given_back_fill_without_a_trade(copy: Bot) -> None:
    fill = Fill(
        activity_id="20261116::1",
        venue_order_id="v1",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(10),
        price=Decimal(20),
        at=AT,
    )
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills((OwnedFill(FOREIGN, fill), *reassign("flow", fill)), AT)
    found = copy.json("fills")
    assert [row["source"] for row in found["fills"]] == ["venue", "given back", "given back"]
    assert (found["bought_usd"], found["sold_usd"]) == ("200", "0")
    assert "bought for 200.00 USD, sold for 0.00 USD" in copy.says("fills").out
