"""Shares as Alpaca lists them. It imports little: processes that tests start need no settings to make an order."""

from datetime import UTC, datetime
from functools import cache

from tradebot.adapters.alpaca.listings import listings
from tradebot.model.instrument import Instrument, Listing
from tradebot.model.values import replace

READ_AT = datetime(2026, 11, 16, 14, tzinfo=UTC)


@cache
def listed(symbol: str) -> Listing:
    """Return the listing of a share by any name."""
    usual = listings(("AAPL",), READ_AT)["AAPL"]
    return replace(usual, instrument=replace(usual.instrument, symbol=symbol))


def share(symbol: str = "AAPL") -> Instrument:
    return listed(symbol).instrument
