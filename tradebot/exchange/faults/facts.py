"""Reading what a rule may ask from a request as it arrives, whatever its sender got wrong."""

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
    """Return what is known of a request, its path decoded as for routing; what cannot be read is not known."""
    target = f"{method} {path}"
    account = _account(headers, engine)
    known = (account.number, account.name) if account else ()
    if target == "POST /v2/orders":
        symbol, side, client_id = (_text(_fields(body), name) for name in ("symbol", "side", "client_order_id"))
        return Facts(target, (symbol,) if symbol else (), side, client_id, known)
    asked = parse_qs(query)
    order = _order(path, asked, account)
    if order is not None:
        return facts_of_order(target, order, known)
    return Facts(target, _symbols(path, asked), client_order_id=asked.get("client_order_id", [""])[0], account=known)


def facts_of_order(target: str, order: Order, account: tuple[str, ...], event: str = "") -> Facts:
    """Return what is known of a request or an event that is about an order."""
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


def _order(path: str, asked: Mapping[str, list[str]], account: Account | None) -> Order | None:
    if account is None:
        return None
    if path == _BY_CLIENT_ID:
        return account.by_client_id.get(asked.get("client_order_id", [""])[0])
    found = _ORDER.fullmatch(path)
    return account.orders.get(found[1].lower()) if found else None


def _symbols(path: str, asked: Mapping[str, list[str]]) -> tuple[str, ...]:
    found = _SYMBOL.fullmatch(path)
    if found:
        return (next(filter(None, found.groups())),)
    listed = ",".join(asked.get("symbols", []) + asked.get("ticker", []))
    return tuple(listed.split(",")[:_MOST_SYMBOLS]) if listed else ()
