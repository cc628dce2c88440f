"""Name perpetuals as a person does, as a pair or a coin alone, and as Kraken Futures does."""

import re
from collections.abc import Mapping
from types import MappingProxyType

OF_VENUE: Mapping[str, str] = MappingProxyType({"BTC": "XBT", "XDG": "DOGE"})
"""What the venue calls a coin that others call otherwise, by the others' name."""
QUOTE = "USD"
_PAIR = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})(?::([A-Z0-9]{1,20}))?")
_COIN = re.compile(r"[A-Z0-9]{1,20}")


def symbol_of(text: str) -> str:
    """Return the symbol of the perpetual that a person names: PF_XBTUSD for btc, XBT, BTC/USD or BTC/USD:USD.

    A symbol of another kind of contract stays what it is. Raises ValueError for what could mean several things, such as
    a pair that isn't quoted in USD, or BTCUSD, which may be a coin's name.
    """
    name = text.strip().upper()
    if "_" in name:
        return name
    pair = _PAIR.fullmatch(name)
    if pair is not None and {pair[2], pair[3] or QUOTE} != {QUOTE}:
        raise ValueError(f"{name} isn't quoted and settled in USD, as the perpetuals here are")
    coin = pair[1] if pair else name
    if not _COIN.fullmatch(coin):
        raise ValueError(f"{name[:30]!r} names no perpetual; write PF_XBTUSD, BTC/USD or BTC")
    if pair is None and coin.endswith(QUOTE):
        raise ValueError(f"{name} may be a pair or a coin; write {coin.removesuffix(QUOTE) or 'BTC'}/USD or PF_{name}")
    return f"PF_{OF_VENUE.get(coin, coin)}{QUOTE}"
