"""Format as Kraken Futures does: numbers, times, responses, and refusal codes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from papervenue.engine.matching import rises_to_stop
from papervenue.engine.orders import (
    ASSIGNMENT,
    INDEX,
    LAST,
    LIQUIDATION,
    MAKER,
    MARK,
    TAKE_PROFIT,
    TAKER,
    Fill,
    Order,
    OrderRequest,
)
from papervenue.faces.web import MADE_AT, Reply
from papervenue.jsontext import plain
from papervenue.market.venue import Grid, Instrument, exact
from papervenue.refusal import Refusal
from papervenue.times import rfc3339, to_datetime

encoded = msgspec.json.Encoder(decimal_format="number").encode
"""Returns JSON in which a Decimal is a number with all of its digits."""
MARGINED = "flex"
"""The account whose collateral all positions share."""
SIDES: Mapping[str, int] = MappingProxyType({"buy": 1, "sell": -1})
SIGNALS: Mapping[str, str] = MappingProxyType({MARK: "MarkPrice", LAST: "LastPrice", INDEX: "SpotPrice"})
"""What triggers a stop, as named in the trading API and in the history."""
STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "unsupported_type": "invalidOrderType",
        "unsupported_class": "invalidOrderType",
        "unsupported_life": "invalidOrderType",
        "wrong_prices": "invalidPrice",
        "tick_size": "invalidPrice",
        "price_collar": "outsidePriceCollar",
        "wrong_size": "invalidSize",
        "lot_size": "invalidSize",
        "minimum_size": "invalidSize",
        "duplicate_client_id": "clientOrderIdAlreadyExist",
        "expired": "marketInactive",
        "no_price": "marketInactive",
        "insufficient_margin": "insufficientAvailableFunds",
        "would_not_reduce": "wouldNotReducePosition",
        "would_take": "postWouldExecute",
    }
)
"""The status of an order that the dialect refuses, by the code of the refusal."""
_EVENT_SIGNALS: Mapping[str, str] = MappingProxyType({MARK: "mark_price", LAST: "last_price", INDEX: "spot_price"})
_FILL_TYPES: Mapping[str, str] = MappingProxyType(
    {MAKER: "maker", TAKER: "taker", LIQUIDATION: "liquidation", ASSIGNMENT: "assignor"}
)
_AT_ONCE = {"ioc": "ioc", "fok": "fok"}
_USUALLY_MOST = 100_000_000
_AVERAGE = Decimal("1e-12")


def number(value: Decimal) -> Decimal:
    """Return a number without trailing zeros."""
    return Decimal(plain(value))


def average(value: Decimal) -> Decimal:
    """Return an average price rounded as the venue does."""
    return number(value.quantize(_AVERAGE))


@lru_cache(maxsize=1024)
def iso(us: int) -> str:
    """Return engine time as text to the millisecond: 2026-11-25T04:05:06.789Z."""
    return to_datetime(us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(us: int) -> int:
    return us // 1000


def success(now_us: int, **fields: Any) -> bytes:
    """Return the body of the response to a successful request."""
    return encoded({"result": "success", **fields, "serverTime": iso(now_us)})


def timed_reply(now_us: int, **fields: Any) -> Reply:
    """Return the response to a read, stamped with the current time."""
    return Reply(200, success(now_us, **fields), {MADE_AT: rfc3339(now_us)})


def error(now_us: int, word: str) -> Refusal:
    """Return the refusal of a whole request; its HTTP status is 200, as at the venue."""
    return Refusal(200, {"result": "error", "error": word, "serverTime": iso(now_us)})


def order_type(request: OrderRequest) -> str:
    """Return an order's type as named in a request."""
    if request.type.startswith(TAKE_PROFIT):
        return TAKE_PROFIT
    if request.type == "trailing_stop":
        return request.type
    if request.stop is not None:
        return "stp"
    if request.type == "limit":
        return "post" if request.post_only else _AT_ONCE.get(request.time_in_force, "lmt")
    return "mkt" if request.type == "market" else request.type


def price(grid: Grid, units: int | None) -> Decimal | None:
    return None if units is None else _price_in_usd(units, grid.places)


@lru_cache(maxsize=65_536)
def _price_in_usd(units: int, places: int) -> Decimal:
    return number(exact(units, places))


def side(of: int) -> str:
    return "buy" if of > 0 else "sell"


def order_event(grid: Grid, order: Order, filled: Decimal | None = None) -> dict[str, Any]:
    """Format an order, with a filled quantity, as the trading API does in its events."""
    request = order.request
    return {
        "orderId": order.id,
        "cliOrdId": request.client_order_id,
        "type": order_type(request),
        "symbol": order.symbol,
        "side": side(order.side),
        "quantity": number(order.qty or Decimal(0)),
        "filled": number(order.filled_qty if filled is None else filled),
        "limitPrice": price(grid, request.limit),
        "reduceOnly": request.reduce_only,
        "timestamp": iso(order.submitted_us),
        "lastUpdateTimestamp": iso(order.updated_us),
    }


def trigger_event(grid: Grid, order: Order) -> dict[str, Any]:
    """Format an untriggered stop as the trading API does in its events."""
    request = order.request
    return {
        "uid": order.id,
        "clientId": request.client_order_id,
        "type": order_type(request),
        "symbol": order.symbol,
        "side": side(order.side),
        "quantity": number(order.qty or Decimal(0)),
        "limitPrice": price(grid, request.limit),
        "triggerPrice": price(grid, order.stop),
        "triggerSide": trigger_side(order),
        "triggerSignal": _EVENT_SIGNALS[request.trigger],
        "reduceOnly": request.reduce_only,
        "timestamp": iso(order.submitted_us),
        "lastUpdateTimestamp": iso(order.updated_us),
    }


def trigger_side(order: Order) -> str:
    """Return on which side of its trigger price a stop triggers: above or below."""
    return "trigger_above" if rises_to_stop(order) else "trigger_below"


def is_untriggered_stop(order: Order) -> bool:
    """Return True for a stop that hasn't been triggered yet."""
    return order.stop is not None and not order.elected


def most_held(of: Instrument) -> Decimal:
    """Return the largest position allowed.

    It is twice the size at which the last margin level starts, or a notional of 100 million if that level starts at 0.
    """
    last = of.margin_levels[-1]
    begins = last.quantity or Decimal(round(last.usd / of.level))
    return begins * 2 or Decimal(round(_USUALLY_MOST / of.level))


def fill_type(settled: Fill) -> str:
    """Return the type of a fill in the venue's words."""
    return _FILL_TYPES.get(settled.settled.role if settled.settled else TAKER, "assignee")
