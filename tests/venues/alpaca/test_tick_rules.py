"""How Alpaca lists shares: by its documented rules, without a request, and nothing but shares."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.adapters.alpaca import clock_row, reader
from tests.kit.fakes.scripted import Scripted, Wire
from tests.kit.values import NOW
from tradebot.model.instrument import AssetClass, Instrument, TickStep
from tradebot.venues.alpaca.tick_rules import listings

D = Decimal


def test_a_share_is_listed_with_the_rules_that_alpaca_documents() -> None:
    listed = listings(["AAPL"], NOW)["AAPL"]
    assert listed.instrument == Instrument(
        symbol="AAPL",
        asset_class=AssetClass.US_EQUITY,
        multiplier=D(1),
        tick=D("0.01"),
        lot=D(1),
        currency="USD",
        calendar="XNYS",
    )
    assert listed.ticks == (TickStep(D(0), D("0.0001")), TickStep(D(1), D("0.01")))
    assert (listed.minimum, listed.margin_levels, listed.last_trading_day, listed.read_at) == (D(1), (), None, NOW)


@pytest.mark.parametrize("symbol", ["A", "AAPL", "GOOGL", "BRK.B", "BAC.PRL", "AUR.WS", "ABC.WS.A", "S0001"])
def test_what_looks_like_a_us_shares_symbol_is_listed(symbol: str) -> None:
    assert symbol in listings([symbol], NOW)


@pytest.mark.parametrize(
    "symbol",
    ["AAPL261218C00300000", "BTC/USD", "BTCUSD", "DOGEUSD", "aapl", "", "AAPL ", "AAPL\n", "912CVR011", "^VIX", "ES=F"],
)
def test_option_contracts_crypto_pairs_and_what_is_no_symbol_are_not_listed(symbol: str) -> None:
    assert listings([symbol], NOW) == {}


def test_a_listing_is_of_the_venues_time_and_takes_no_request(wire: Wire) -> None:
    wire.answer(Scripted(200, clock_row()))
    alpaca = reader(wire)
    assert abs(alpaca.listings(["AAPL"])["AAPL"].read_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert wire.asked == []
    now = alpaca.clock().now
    assert (alpaca.listings(["AAPL", "BTC/USD"]), len(wire.asked)) == (listings(["AAPL"], now), 1)
