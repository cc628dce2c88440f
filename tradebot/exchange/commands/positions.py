"""Close positions, one (wholly or in part) or all."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from tradebot.exchange.commands.command import Answer, Asked, Entry
from tradebot.exchange.commands.orders import cancel_all
from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.orders import OrderRequest
from tradebot.exchange.faces.trading_json import asset_id, order_json
from tradebot.exchange.jsontext import encode, to_decimal
from tradebot.exchange.refusal import Refusal, invalid, not_found

_NINE_PLACES = Decimal("1e-9")
_TRUE = ("true", "1", "t")


def position_symbol(account: Account, name: str) -> str:
    """Return the held symbol that a symbol or asset id names; raise a 404 Refusal if none is held."""
    for symbol in account.positions:
        if name in (symbol, asset_id(symbol)):
            return symbol
    raise not_found("position does not exist")


def _close_one(asked: Asked) -> Answer:
    symbol = position_symbol(asked.account, asked.names["name"])
    query = asked.query
    return 200, encode(_close(asked, symbol, query.get("qty"), query.get("percentage")))


def _close_all(asked: Asked) -> Answer:
    if asked.query.get("cancel_orders", "").lower() in _TRUE:
        cancel_all(asked)
    return 207, encode([_closed(asked, symbol) for symbol in list(asked.account.positions)])


def _closed(asked: Asked, symbol: str) -> dict[str, Any]:
    try:
        return {"symbol": symbol, "status": 200, "body": _close(asked, symbol)}
    except Refusal as refusal:
        return {"symbol": symbol, "status": refusal.status, "body": refusal.body}


def _close(asked: Asked, symbol: str, qty: str | None = None, percentage: str | None = None) -> dict[str, Any]:
    held = asked.account.qty(symbol)
    order = asked.engine.submit(asked.account, _closing(symbol, held, _closing_qty(abs(held), qty, percentage)))
    answer = order_json(order)
    asked.engine.settle(order)
    return answer


def _closing(symbol: str, held: Decimal, qty: Decimal) -> OrderRequest:
    return OrderRequest(symbol, -1 if held > 0 else 1, "market", "day", qty, None, None)


def _closing_qty(held: Decimal, qty: str | None, percentage: str | None) -> Decimal:
    if qty is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if qty is not None:
        return _positive(qty, "qty")
    if percentage is None:
        return held
    share = _positive(percentage, "percentage")
    if share > 100:
        raise invalid("percentage must be between 0 and 100")
    part = (held * share / 100).quantize(_NINE_PLACES, ROUND_DOWN)
    # A whole-share position is closed in whole shares; only a fractional position may leave a fraction.
    rounded = part.to_integral_value(ROUND_DOWN) if held == held.to_integral_value() else part
    if not rounded:
        raise invalid("qty must be > 0")
    return rounded


def _positive(text: str, name: str) -> Decimal:
    value = to_decimal(text)
    if value is None or value <= 0 or value != value.quantize(_NINE_PLACES):
        raise invalid(f"invalid {name}")
    return value


ENTRIES = (
    Entry("DELETE", "/v2/positions", _close_all),
    Entry("DELETE", "/v2/positions/{name}", _close_one),
)
