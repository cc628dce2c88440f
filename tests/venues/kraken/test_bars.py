"""Charts of Kraken Futures: each timeframe and price has its own, and a row that is no bar of it is left out."""

from datetime import timedelta

import pytest

from tests.kit.adapters.kraken import AT, SYMBOL, ms, venue_at
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.model.series import PriceKind
from tradebot.venues.kraken.bars import RESOLUTIONS, KrakenBars
from tradebot.venues.kraken.capabilities import KRAKEN

HOUR = timedelta(hours=1)
NOON = AT.replace(hour=12, minute=0)


def candle(hours: float, **changes: str) -> dict[str, object]:
    prices = {"open": "92000", "high": "92010.5", "low": "91990", "close": "92001"}
    return {"time": ms(NOON + hours * HOUR), **prices, "volume": "7", **changes}


@pytest.mark.parametrize("price", sorted(KRAKEN.bar_prices))
@pytest.mark.parametrize(("timeframe", "word"), [("1Min", "1m"), ("15Min", "15m"), ("4Hour", "4h"), ("1Day", "1d")])
def test_each_timeframe_and_price_has_its_own_chart(wire: Wire, timeframe: str, word: str, price: PriceKind) -> None:
    wire.answer(Scripted(200, {"candles": [], "more_candles": False}))
    assert list(KrakenBars(venue_at(wire), DriftTally()).pages([SYMBOL], timeframe, NOON, NOON + HOUR, price)) == [
        {SYMBOL: []}
    ]
    assert wire.asked[0].path == f"/api/charts/v1/{price}/{SYMBOL}/{word}"
    assert timeframe in RESOLUTIONS


def test_row_that_does_not_begin_with_a_bar_is_left_out_and_counted(wire: Wire) -> None:
    rows = [candle(0), candle(1), candle(4, high="1"), candle(8)]
    wire.answer(Scripted(200, {"candles": rows, "more_candles": False}))
    tally = DriftTally()
    (page,) = KrakenBars(venue_at(wire), tally).pages([SYMBOL], "4Hour", NOON, NOON + 8 * HOUR, PriceKind.SPOT)
    assert [bar.start_s for bar in page[SYMBOL]] == [int((NOON + hours * HOUR).timestamp()) for hours in (0, 8)]
    assert page[SYMBOL][0][1:] == (92000.0, 92010.5, 91990.0, 92001.0, 7.0)
    assert sum(tally.counts.values()) == 2
