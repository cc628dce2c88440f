"""Read from a request what rules can match on. A malformed request must not break this."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.faces.keys import credentials_of
from tradebot.exchange.faults.kinds import Facts

_MOST_SYMBOLS = 200
_ORDER = re.compile(r"/v2/orders/([^/]+)")
_BY_CLIENT_ID = "/v2/orders:by_client_order_id"
_SYMBOL = re.compile(
    r"/v2/(?:positions|assets)/([^/]+)|/api/stock/([^/]+)/.+"
    r"|/v2/stocks/(?!(?:quotes|trades|bars|auctions|meta)/)([^/]+)/.+"
)


def facts_of(method: str, path: str, query: str, headers: Mapping[str, str], body: str, engine: Engine) -> Facts:
    """Return what is known about a request, with its path decoded as for routing; leave out what can't be read."""
    target = f"{method} {path}"
    account = _account(headers, engine)
    known = (account.number, account.name) if account else ()
    if target == "POST /v2/orders":
        symbol, side, client_id = (_text(_fields(body), name) for name in ("symbol", "side", "client_order_id"))
        return Facts(target, (symbol,) if symbol else (), side, client_id, known)
    params = parse_qs(query)
    order = _order(path, params, account)
    if order is not None:
        return facts_of_order(target, order, known)
    return Facts(target, _symbols(path, params), client_order_id=params.get("client_order_id", [""])[0], account=known)


def facts_of_order(target: str, order: Order, account: tuple[str, ...], event: str = "") -> Facts:
    side = "buy" if order.request.side > 0 else "sell"
    return Facts(target, (order.symbol,), side, order.client_order_id, account, event)


def _account(headers: Mapping[str, str], engine: Engine) -> Account | None:
    shown = credentials_of(headers)
    return next((one for one in engine.accounts.values() if shown and one.key_id == shown.key_id), None)


def _fields(body: str) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _order(path: str, params: Mapping[str, list[str]], account: Account | None) -> Order | None:
    if account is None:
        return None
    if path == _BY_CLIENT_ID:
        return account.by_client_id.get(params.get("client_order_id", [""])[0])
    match = _ORDER.fullmatch(path)
    return account.orders.get(match[1].lower()) if match else None


def _symbols(path: str, params: Mapping[str, list[str]]) -> tuple[str, ...]:
    match = _SYMBOL.fullmatch(path)
    if match:
        return (next(filter(None, match.groups())),)
    listed = ",".join(params.get("symbols", []) + params.get("ticker", []))
    return tuple(listed.split(",")[:_MOST_SYMBOLS]) if listed else ()
