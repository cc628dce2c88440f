"""Intercept every request while rules are armed, and apply the rules that fire."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.exchange import Exchange
from papervenue.faces.keys import credentials_of
from papervenue.faces.web import LONGEST_BODY, headers_of
from papervenue.faults.answers import ANSWERS, rightly
from papervenue.faults.apply_faults import Behind, Turn
from papervenue.faults.connection_faults import Connection
from papervenue.faults.kinds import Facts, is_of_kind, kind_of

_MOST_SYMBOLS = 200
_ORDER = re.compile(r"/v2/orders/([^/]+)")
_OF_ONE_ORDER = ("order", "replace", "cancel")
_CLIENT_ID, _ORDER_ID, _TO_EDIT = "cliOrdId", "order_id", "orderId"
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
    fields = _fields(body) or _form(query, body)
    if is_of_kind(target, "submit"):
        symbol, side, client_id = (_text(fields, name) for name in ("symbol", "side", "client_order_id"))
        client_id = client_id or _text(fields, _CLIENT_ID)
        return Facts(target, (symbol,) if symbol else (), side, client_id, known)
    params = parse_qs(query)
    order = _order(target, params, fields, account)
    if order is not None:
        return facts_of_order(target, order, known)
    return Facts(target, _symbols(path, params), client_order_id=params.get("client_order_id", [""])[0], account=known)


def facts_of_order(target: str, order: Order, account: tuple[str, ...], event: str = "") -> Facts:
    side = "buy" if order.request.side > 0 else "sell"
    return Facts(target, (order.symbol,), side, order.client_order_id, account, event)


def _account(headers: Mapping[str, str], engine: Engine) -> Account | None:
    shown = credentials_of(headers)
    key = shown.key_id if shown else headers.get("apikey")
    return next((one for one in engine.accounts.values() if one.key_id == key), None)


def _fields(body: str) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _form(query: str, body: str) -> Mapping[str, Any]:
    """Return the fields of a form, whether it was sent as one or in the query."""
    return dict(parse_qsl(f"{query}&{body}"))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _order(
    target: str, params: Mapping[str, list[str]], fields: Mapping[str, Any], account: Account | None
) -> Order | None:
    _, _, path = target.partition(" ")
    if account is None:
        return None
    if path == _BY_CLIENT_ID:
        return account.by_client_id.get(params.get("client_order_id", [""])[0])
    match = _ORDER.fullmatch(path)
    if match:
        return account.orders.get(match[1].lower())
    if not any(is_of_kind(target, kind) for kind in _OF_ONE_ORDER):
        return None
    named = account.orders.get(path.rpartition("/")[2].lower()) or account.orders.get(
        _text(fields, _ORDER_ID) or _text(fields, _TO_EDIT)
    )
    return named or account.by_client_id.get(_text(fields, _CLIENT_ID))


def _symbols(path: str, params: Mapping[str, list[str]]) -> tuple[str, ...]:
    match = _SYMBOL.fullmatch(path)
    if match:
        return (next(filter(None, match.groups())),)
    listed = ",".join(params.get("symbols", []) + params.get("ticker", []))
    return tuple(listed.split(",")[:_MOST_SYMBOLS]) if listed else ()


_DECIDING = ("answer", "order")


class FaultDoor:
    """ASGI middleware that applies faults. `record` writes decisions into the log."""

    def __init__(self, inner: ASGIApp, exchange: Exchange, record: Callable[[], None]) -> None:
        self._behind = Behind(inner, exchange)
        self._book = exchange.faults.book
        self._catch_up = exchange.catch_up
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._book.on_requests or not kind_of(f"{scope['method']} {scope['path']}"):
            await self._behind.inner(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        facts = self._facts(scope, body)
        firings = self._book.firings(facts, self._behind.engine.now_us)
        turn = Turn(self._behind, Connection(scope, receive, send, self._record), facts, firings, body)
        if not firings:
            await self._behind.inner(scope, turn.again, send)
            return
        deciding = next((firing for firing in firings if firing.role in _DECIDING), None)
        answering = rightly if deciding is None else ANSWERS.get(deciding.rule.fault, rightly)
        await answering(turn, {} if deciding is None else deciding.rule.settings)

    def _facts(self, scope: Scope, body: bytes) -> Facts:
        self._catch_up()
        query, text = scope["query_string"].decode("latin-1"), body.decode(errors="replace")
        return facts_of(scope["method"], scope["path"], query, headers_of(scope), text, self._behind.engine)


async def _body(request: Request) -> bytes:
    """Read the body; if it is unreasonably long, keep only a part that is still too long to be accepted."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: LONGEST_BODY + 1 - len(kept)]
    return bytes(kept)
