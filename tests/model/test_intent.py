"""Ids of orders are a promise between versions too: the next one must find under its id what this one has sent."""

from datetime import date

import pytest

from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import IntentKey
from tradebot.model.values import replace

KEY = IntentKey("PA0000001", "momentum", date(2026, 11, 16), "open+5m", "AAPL", Side.BUY, Purpose.OPEN)
IDS = {
    KEY: "tb1.261116.MOMEN.AAPL.OPEN.K365JE6NNQRUJ75P",
    replace(KEY, leg=1): "tb1.261116.MOMEN.AAPL.OPEN.MVKY23GLWU3T7E2A",
    replace(KEY, generation=2): "tb1.261116.MOMEN.AAPL.OPEN.P7STHKA6QHXTNRUE",
    replace(
        KEY, symbol="BRK.B.WHENISSUED", side=Side.SELL, role=Purpose.CLOSE
    ): "tb1.261116.MOMEN.BRK.B.WH.CLOSE.RRPCRW73SARTW777",
    replace(KEY, strategy="ada", target="0a1b", role=Purpose.REDUCE): "tb1.261116.ADA.AAPL.REDUC.WIZHDZBRA4VTT7BU",
}


@pytest.mark.parametrize(("key", "name"), IDS.items(), ids=lambda part: part if isinstance(part, str) else "")
def test_the_id_of_a_content_never_changes(key: IntentKey, name: str) -> None:
    assert key.client_order_id() == name
