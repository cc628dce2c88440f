"""What Alpaca demands of orders for shares: it publishes no tick and no lot, so its documented rules decide.

A price has at most two decimals from one dollar on, and four below it. The bot trades whole shares only. Nothing is
asked for: what looks like the symbol of a US share is listed, and option contracts and crypto pairs aren't.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from tradebot.model.instrument import AssetClass, Instrument, Listing, TickStep

_SHARE = re.compile(r"[A-Z][A-Z0-9]{0,4}(\.[A-Z]{1,4}){0,2}", re.ASCII)
"""A root of up to five letters, and what tells a company's classes, preferred shares, warrants and units apart."""
_CENT, _ONE = Decimal("0.01"), Decimal(1)
_TICKS = (TickStep(Decimal(0), Decimal("0.0001")), TickStep(_ONE, _CENT))


def listings(symbols: Iterable[str], at: datetime) -> Mapping[str, Listing]:
    """Return the listing of each symbol that looks like a US share's, as of `at`."""
    return {symbol: _listing(symbol, at) for symbol in symbols if _SHARE.fullmatch(symbol)}


def _listing(symbol: str, at: datetime) -> Listing:
    share = Instrument(
        symbol=symbol,
        asset_class=AssetClass.US_EQUITY,
        multiplier=_ONE,
        tick=_CENT,
        lot=_ONE,
        currency="USD",
        calendar="XNYS",
    )
    return Listing(share, _TICKS, share.lot, at)
