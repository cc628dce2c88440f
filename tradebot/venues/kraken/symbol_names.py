"""Name perpetuals as a person does, as a pair or a coin alone, and as Kraken Futures does; and name a symbol's coin."""

import re
from collections.abc import Mapping
from types import MappingProxyType

OF_VENUE: Mapping[str, str] = MappingProxyType({"BTC": "XBT", "XDG": "DOGE"})
"""What the venue calls a coin that others call otherwise, by the others' name."""
OF_PEOPLE: Mapping[str, str] = MappingProxyType({"XBT": "BTC", "XDG": "DOGE"})
"""What people call a coin that others call otherwise, by the others' name."""
QUOTE = "USD"
_CONTRACT = re.compile(rf"(?:PF|PI|FF|FI)_([A-Z0-9]{{1,20}}){QUOTE}(?:_[0-9]{{6}})?")
"""A perpetual or a contract with an end, linear or inverse."""
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
    return perpetual_of(coin)


def perpetual_of(coin: str) -> str:
    """Return the symbol of a coin's perpetual, by any of the coin's names: PF_XBTUSD for BTC and XBT."""
    return f"PF_{OF_VENUE.get(coin, coin)}{QUOTE}"


def coin_of(text: str) -> str:
    """Return the coin of a symbol, or of what a person calls one: BTC for PF_XBTUSD, XBT, BTC/USD and btc.

    All contracts of a coin have the same one, those with an end too. Raises ValueError for what names no single coin.
    """
    contract = _CONTRACT.fullmatch(symbol_of(text))
    if contract is None:
        raise ValueError(f"{text.strip()[:30]!r} is no contract in USD of a single coin; PF_XBTUSD is one")
    return OF_PEOPLE.get(contract[1], contract[1])
