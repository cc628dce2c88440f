"""List the paths of Alpaca's market-data API that this exchange leaves out, and why. They answer the documented 403."""

from __future__ import annotations

from papervenue.faces.trading.unsupported_paths import LeftOut
from papervenue.refusal import FORBIDDEN

_CRYPTO = "this market trades no crypto currencies"
_PERPETUALS = "this market trades no crypto perpetual futures"
_OPTIONS = "this market trades no option contracts, so they have no prices"
_FOREX = "this market has no currency rates"
_INDICES = "this market computes no indices"
_BONDS = "this market trades no fixed income"

_PUBLIC = ("/v1beta1/crypto-perps/", "/v1beta3/crypto/")
"""Data that the documentation offers without a key."""
_PATHS = {
    "/v1beta1/crypto-perps/{loc}/latest/bars": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/orderbooks": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/pricing": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/quotes": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/trades": _PERPETUALS,
    "/v1beta1/fixed_income/latest/prices": _BONDS,
    "/v1beta1/fixed_income/latest/quotes": _BONDS,
    "/v1beta1/forex/latest/rates": _FOREX,
    "/v1beta1/forex/rates": _FOREX,
    "/v1beta1/indices/latest/values": _INDICES,
    "/v1beta1/indices/values": _INDICES,
    "/v1beta1/logos/{symbol}": "made-up companies have no logos",
    "/v1beta1/news": "nothing is written about this market",
    "/v1beta1/options/bars": _OPTIONS,
    "/v1beta1/options/meta/conditions/{ticktype}": _OPTIONS,
    "/v1beta1/options/meta/exchanges": _OPTIONS,
    "/v1beta1/options/quotes/latest": _OPTIONS,
    "/v1beta1/options/snapshots": _OPTIONS,
    "/v1beta1/options/snapshots/{underlying_symbol}": _OPTIONS,
    "/v1beta1/options/trades": _OPTIONS,
    "/v1beta1/options/trades/latest": _OPTIONS,
    "/v1beta1/screener/crypto/movers": _CRYPTO,
    "/v1beta3/crypto/{loc}/bars": _CRYPTO,
    "/v1beta3/crypto/{loc}/latest/bars": _CRYPTO,
    "/v1beta3/crypto/{loc}/latest/orderbooks": _CRYPTO,
    "/v1beta3/crypto/{loc}/latest/quotes": _CRYPTO,
    "/v1beta3/crypto/{loc}/latest/trades": _CRYPTO,
    "/v1beta3/crypto/{loc}/quotes": _CRYPTO,
    "/v1beta3/crypto/{loc}/snapshots": _CRYPTO,
    "/v1beta3/crypto/{loc}/trades": _CRYPTO,
}


def _row(path: str, reason: str) -> LeftOut:
    body = {"code": FORBIDDEN, "message": f"not served by this exchange: {reason}"}
    return LeftOut(path, ("GET",), 403, body, reason, keyed=not path.startswith(_PUBLIC))


LEFT_OUT = tuple(_row(path, reason) for path, reason in _PATHS.items())
"""Paths that are left out, with the reason that their answers give."""
