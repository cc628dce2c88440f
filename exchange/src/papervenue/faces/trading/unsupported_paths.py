"""List the parts of Alpaca's trading API that this exchange leaves out: what each path answers, and why.

If the OpenAPI document names an error for a path, the path answers that error in its documented form; the others answer
the API's general error object. The answer never depends on the request, so a client learns at its first call that the
feature is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.faces.keys import account_of
from papervenue.faces.web import Call, Handler, Reply, Route, route
from papervenue.refusal import FORBIDDEN, NOT_FOUND, Refusal


class LeftOut(NamedTuple):
    """One path: its methods, the status and body of its answer, the reason, and whether it requires a key."""

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

LEFT_OUT: tuple[LeftOut, ...] = (
    LeftOut("/v1/locates", _GET_POST, 403, _NO_LOCATES, _LOCATES),
    LeftOut("/v1/locates/quotes", _GET, 403, _NO_LOCATES, _LOCATES),
    LeftOut("/v1/locates/{locate_id}", _GET, 404, {"message": "locate not found"}, _LOCATES),
    LeftOut("/v2/assets/fixed_income/us_corporates", _GET, 403, _NO_BONDS, _BONDS),
    LeftOut("/v2/assets/fixed_income/us_treasuries", _GET, 403, _NO_BONDS, _BONDS),
    LeftOut("/v2/options/contracts", _GET, 403, _NO_OPTIONS, _OPTIONS),
    LeftOut("/v2/options/contracts/{symbol_or_id}", _GET, 404, _missing("option contract"), _OPTIONS),
    LeftOut("/v2/positions/{symbol_or_contract_id}/exercise", _POST, 403, _NO_OPTIONS, _OPTIONS),
    LeftOut("/v2/positions/{symbol_or_contract_id}/do-not-exercise", _POST, 403, _NO_OPTIONS, _OPTIONS),
    LeftOut("/v2/tokenization/mint", _POST, 403, _NO_TOKENS, _TOKENS),
    LeftOut("/v2/tokenization/requests", _GET, 403, _NO_TOKENS, _TOKENS),
    LeftOut("/v2/wallets", _GET, 403, _NO_CRYPTO, _CRYPTO),
    LeftOut("/v2/wallets/fees/estimate", _GET, 403, _NO_CRYPTO, _CRYPTO),
    LeftOut("/v2/wallets/transfers", _GET_POST, 403, _NO_CRYPTO, _CRYPTO),
    LeftOut("/v2/wallets/transfers/{transfer_id}", _GET, 404, _missing("transfer"), _CRYPTO),
    LeftOut("/v2/wallets/whitelists", _GET_POST, 403, _NO_CRYPTO, _CRYPTO),
    LeftOut("/v2/wallets/whitelists/{address_id}", ("DELETE",), 404, _missing("whitelisted address"), _CRYPTO),
    LeftOut("/v2/perpetuals/account_vitals", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut("/v2/perpetuals/leverage", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut("/v2/perpetuals/wallets", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut("/v2/perpetuals/wallets/fees/estimate", _GET, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut("/v2/perpetuals/wallets/transfers", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut("/v2/perpetuals/wallets/transfers/{transfer_id}", _GET, 404, _missing("transfer"), _CRYPTO),
    LeftOut("/v2/perpetuals/wallets/whitelists", _GET_POST, 403, _NO_PERPETUALS, _CRYPTO),
    LeftOut(
        "/v2/perpetuals/wallets/whitelists/{address_id}", ("DELETE",), 404, _missing("whitelisted address"), _CRYPTO
    ),
)


def left_out_routes(engine: Engine, table: Iterable[LeftOut] = LEFT_OUT) -> list[Route]:
    """Return the routes of a table; if a path requires a key, a caller without one gets that error first."""
    return [route(row.path, **dict.fromkeys(row.methods, _refusing(row, engine))) for row in table]


def _refusing(row: LeftOut, engine: Engine) -> Handler:
    def answer(call: Call) -> Reply:
        if row.keyed:
            account_of(call, engine)
        raise Refusal(row.status, row.body)

    return answer
