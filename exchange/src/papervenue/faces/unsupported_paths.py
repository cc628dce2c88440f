"""List what this exchange doesn't support of Alpaca's trading and market-data APIs, with each reply and the reason.

If the OpenAPI document of the trading API lists an error for a path, the path returns that error in its documented
form; other paths return the API's general error object. The reply doesn't depend on the request, so a client notices at
its first call that the feature is missing.

Paths of the market-data API return the documented 403.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.faces.guard import account_of
from papervenue.faces.web import Call, Handler, Reply, Route, route
from papervenue.refusal import FORBIDDEN, NOT_FOUND, Refusal


class UnsupportedPath(NamedTuple):
    """An unsupported path: its methods, the status and body of its reply, the reason, and whether it requires a key."""

    path: str
    methods: tuple[str, ...]
    status: int
    body: dict[str, Any]
    reason: str
    keyed: bool = True


_GET, _POST = ("GET",), ("POST",)

_GET_POST = (*_GET, *_POST)

_LOCATES = "stocks here are easy to borrow or cannot be sold short, so there is nothing to locate"

_OPTIONS = "option contracts are not traded here; a position in one can only be journaled in"

_CRYPTO = "crypto, its wallets and its perpetual futures are not traded here"

_BONDS = "bonds are not traded here"

_TOKENS = "shares are not tokenized here"


def _general(what: str) -> dict[str, Any]:
    return {"code": FORBIDDEN, "message": f"account not eligible to {what}"}


def _missing(what: str) -> dict[str, Any]:
    return {"code": NOT_FOUND, "message": f"{what} not found"}


_NO_LOCATES = {"message": "account not eligible to locate securities"}

_NO_OPTIONS = _general("trade option contracts")

_NO_CRYPTO = _general("trade crypto")

_NO_PERPETUALS = _general("trade perpetual futures")

_NO_BONDS = _general("trade fixed income")

_NO_TOKENS = _general("tokenize securities")

LEFT_OUT: tuple[UnsupportedPath, ...] = (
    UnsupportedPath("/v1/locates", _GET_POST, 403, _NO_LOCATES, _LOCATES),
    UnsupportedPath("/v1/locates/quotes", _GET, 403, _NO_LOCATES, _LOCATES),
    UnsupportedPath("/v1/locates/{locate_id}", _GET, 404, {"message": "locate not found"}, _LOCATES),
    UnsupportedPath("/v2/assets/fixed_income/us_corporates", _GET, 403, _NO_BONDS, _BONDS),
    UnsupportedPath("/v2/assets/fixed_income/us_treasuries", _GET, 403, _NO_BONDS, _BONDS),
    UnsupportedPath("/v2/options/contracts", _GET, 403, _NO_OPTIONS, _OPTIONS),
    UnsupportedPath("/v2/options/contracts/{symbol_or_id}", _GET, 404, _missing("option contract"), _OPTIONS),
    UnsupportedPath("/v2/positions/{symbol_or_contract_id}/exercise", _POST, 403, _NO_OPTIONS, _OPTIONS),
    UnsupportedPath("/v2/positions/{symbol_or_contract_id}/do-not-exercise", _POST, 403, _NO_OPTIONS, _OPTIONS),
    UnsupportedPath("/v2/tokenization/mint", _POST, 403, _NO_TOKENS, _TOKENS),
    UnsupportedPath("/v2/tokenization/requests", _GET, 403, _NO_TOKENS, _TOKENS),
    UnsupportedPath("/v2/wallets", _GET, 403, _NO_CRYPTO, _CRYPTO),
    UnsupportedPath("/v2/wallets/fees/estimate", _GET, 403, _NO_CRYPTO, _CRYPTO),
    UnsupportedPath("/v2/wallets/transfers", _GET_POST, 403, _NO_CRYPTO, _CRYPTO),
    UnsupportedPath("/v2/wallets/transfers/{transfer_id}", _GET, 404, _missing("transfer"), _CRYPTO),
    UnsupportedPath("/v2/wallets/whitelists", _GET_POST, 403, _NO_CRYPTO, _CRYPTO),
    UnsupportedPath("/v2/wallets/whitelists/{address_id}", ("DELETE",), 404, _missing("whitelisted address"), _CRYPTO),
    UnsupportedPath("/v2/perpetuals/account_vitals", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath("/v2/perpetuals/leverage", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath("/v2/perpetuals/wallets", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath("/v2/perpetuals/wallets/fees/estimate", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath("/v2/perpetuals/wallets/transfers", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath("/v2/perpetuals/wallets/transfers/{transfer_id}", _GET, 404, _missing("transfer"), _CRYPTO),
    UnsupportedPath("/v2/perpetuals/wallets/whitelists", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    UnsupportedPath(
        "/v2/perpetuals/wallets/whitelists/{address_id}", ("DELETE",), 404, _missing("whitelisted address"), _CRYPTO
    ),
)


def left_out_routes(engine: Engine, table: Iterable[UnsupportedPath] = LEFT_OUT) -> list[Route]:
    """Return routes that refuse the unsupported paths of a table; where a key is required, an invalid key is refused
    first.
    """
    return [route(row.path, **dict.fromkeys(row.methods, _refusing(row, engine))) for row in table]


def _refusing(row: UnsupportedPath, engine: Engine) -> Handler:
    def answer(call: Call) -> Reply:
        if row.keyed:
            account_of(call, engine)
        raise Refusal(row.status, row.body)

    return answer


_NO_CRYPTO_DATA = "this market trades no cryptocurrencies"

_PERPETUALS = "this market trades no crypto perpetual futures"

_NO_OPTIONS_DATA = "this market trades no option contracts, so they have no prices"

_FOREX = "this market has no currency rates"

_INDICES = "this market computes no indices"

_NO_BONDS_DATA = "this market trades no fixed income"

_PUBLIC = ("/v1beta1/crypto-perps/", "/v1beta3/crypto/")

"""Data that the documentation offers without a key."""

_PATHS = {
    "/v1beta1/crypto-perps/{loc}/latest/bars": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/orderbooks": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/pricing": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/quotes": _PERPETUALS,
    "/v1beta1/crypto-perps/{loc}/latest/trades": _PERPETUALS,
    "/v1beta1/fixed_income/latest/prices": _NO_BONDS_DATA,
    "/v1beta1/fixed_income/latest/quotes": _NO_BONDS_DATA,
    "/v1beta1/forex/latest/rates": _FOREX,
    "/v1beta1/forex/rates": _FOREX,
    "/v1beta1/indices/latest/values": _INDICES,
    "/v1beta1/indices/values": _INDICES,
    "/v1beta1/logos/{symbol}": "made-up companies have no logos",
    "/v1beta1/news": "nothing is written about this market",
    "/v1beta1/options/bars": _NO_OPTIONS_DATA,
    "/v1beta1/options/meta/conditions/{ticktype}": _NO_OPTIONS_DATA,
    "/v1beta1/options/meta/exchanges": _NO_OPTIONS_DATA,
    "/v1beta1/options/quotes/latest": _NO_OPTIONS_DATA,
    "/v1beta1/options/snapshots": _NO_OPTIONS_DATA,
    "/v1beta1/options/snapshots/{underlying_symbol}": _NO_OPTIONS_DATA,
    "/v1beta1/options/trades": _NO_OPTIONS_DATA,
    "/v1beta1/options/trades/latest": _NO_OPTIONS_DATA,
    "/v1beta1/screener/crypto/movers": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/bars": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/latest/bars": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/latest/orderbooks": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/latest/quotes": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/latest/trades": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/quotes": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/snapshots": _NO_CRYPTO_DATA,
    "/v1beta3/crypto/{loc}/trades": _NO_CRYPTO_DATA,
}


def _row(path: str, reason: str) -> UnsupportedPath:
    body = {"code": FORBIDDEN, "message": f"not served by this exchange: {reason}"}
    return UnsupportedPath(path, ("GET",), 403, body, reason, keyed=not path.startswith(_PUBLIC))


DATA_LEFT_OUT = tuple(_row(path, reason) for path, reason in _PATHS.items())

"""Unsupported paths of the market-data API, with the reason that their replies give."""
