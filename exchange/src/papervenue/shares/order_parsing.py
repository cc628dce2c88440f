"""Parse requests for orders and replacements, and refuse those with errors that don't depend on the account.

Source of rules, codes and messages: Alpaca's trading API as documented and as observed on paper accounts. Like Alpaca,
this module ignores fields that Alpaca doesn't document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypeVar

from papervenue.engine.orders import OrderRequest, Replacement, StopLoss
from papervenue.jsontext import plain, to_decimal
from papervenue.market.bars import UNITS
from papervenue.refusal import forbidden, invalid, unprocessable

SIDES = {"buy": 1, "sell": -1}
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
CLASSES = ("simple", "bracket", "oco", "oto", "mleg")

Body = Mapping[str, Any]
Number = TypeVar("Number", int, Decimal)

_LASTING = ("day", "gtc")
_PRICE_FIELDS = ("limit_price", "stop_price", "trail_price", "trail_percent")
_OWN_PRICES = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail_price", "trail_percent"),
}
_MISSING_PRICE = {
    "limit": "limit orders require a limit price",
    "stop": "stop orders require a stop price",
    "stop_limit": "stop limit orders require both stop and limit price",
}
_LONGEST_CLIENT_ID = 128
_NINE_PLACES = Decimal("1e-9")
_CENT = Decimal("0.01")
_MOST_PERCENT = 100
_OPTION_SYMBOL = re.compile(r"[A-Z]{1,6}\d{6}[CP]\d{8}", re.ASCII)


def read_order(body: Body) -> OrderRequest:
    """Read the body of POST /v2/orders; raise the Refusal that Alpaca gives for each mistake."""
    order_class = _read_class(body)
    symbol = _read_symbol(body)
    side = SIDES[_choice(body, "side", tuple(SIDES))]
    order_type, time_in_force = _read_kind(body, order_class)
    qty, notional = _read_size(body)
    take_profit, stop_loss = _read_legs(body, order_class, side)
    request = OrderRequest(
        symbol=symbol,
        side=side,
        type=order_type,
        time_in_force=time_in_force,
        qty=qty,
        notional=notional,
        # The first order of an oco pair is its take-profit; a separate limit price is ignored.
        limit=take_profit if order_class == "oco" else _read_price(body, order_type, "limit_price"),
        client_order_id=_read_client_id(body),
        position_intent=_optional_choice(body, "position_intent", INTENTS),
        stop=_read_price(body, order_type, "stop_price"),
        trail_price=_read_trail_price(body, order_type),
        trail_percent=_optional(body, "trail_percent", _positive) if order_type == "trailing_stop" else None,
        extended_hours=_read_flag(body, "extended_hours"),
        order_class=order_class,
        take_profit=take_profit,
        stop_loss=stop_loss,
    )
    check_terms(request)
    return request


def read_replacement(body: Body) -> Replacement:
    """Read the body of PATCH /v2/orders/{id}; raise the Refusal that Alpaca gives for each mistake."""
    if body.get("notional") is not None:
        raise unprocessable("notional orders cannot be replaced")
    _check_instructions(body)
    return Replacement(
        qty=_read_whole_qty(body),
        limit=_optional(body, "limit_price", price_units),
        stop=_optional(body, "stop_price", price_units),
        trail=_optional(body, "trail", _positive),
        time_in_force=_optional_choice(body, "time_in_force", TIMES_IN_FORCE),
        client_order_id=_read_client_id(body),
    )


def _choice(body: Body, field: str, allowed: tuple[str, ...], called: str = "") -> str:
    value = body.get(field)
    if value is None or value == "":
        raise invalid(f"{field} is required")
    if isinstance(value, str) and value in allowed:
        return value
    raise invalid(f"invalid {called or field}")


def _optional_choice(body: Body, field: str, allowed: tuple[str, ...]) -> str | None:
    return None if body.get(field) in (None, "") else _choice(body, field, allowed)


def _read_class(body: Body) -> str:
    _check_instructions(body)
    order_class = _optional_choice(body, "order_class", CLASSES) or "simple"
    if order_class == "mleg":
        raise _no_options()
    if body.get("legs") not in (None, []):
        raise invalid("legs are only accepted for mleg orders")
    return order_class


def _check_instructions(body: Body) -> None:
    if body.get("advanced_instructions") is not None:
        raise forbidden("account not allowed to use advanced_instructions")


def _no_options() -> Exception:
    return forbidden("account not eligible to trade option contracts")


def _read_symbol(body: Body) -> str:
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    if _OPTION_SYMBOL.fullmatch(symbol):
        raise _no_options()
    return symbol


def _read_kind(body: Body, order_class: str) -> tuple[str, str]:
    order_type = _choice(body, "type", TYPES, "order type")
    time_in_force = _choice(body, "time_in_force", TIMES_IN_FORCE)
    _check_class(order_class, order_type, time_in_force)
    _check_foreign_prices(body, order_type)
    return order_type, time_in_force


def _check_class(order_class: str, order_type: str, time_in_force: str) -> None:
    if order_class == "simple":
        return
    if order_class == "oco" and order_type != "limit":
        raise invalid("oco orders must be limit orders")
    if order_type not in ("market", "limit"):
        raise invalid(f"{order_class} orders must be market or limit orders")
    if time_in_force not in _LASTING:
        raise unprocessable(f"{order_class} orders must be DAY or GTC orders")


def _check_foreign_prices(body: Body, order_type: str) -> None:
    """Refuse a price that the order type doesn't have."""
    for field in _PRICE_FIELDS:
        if body.get(field) is None or field in _OWN_PRICES[order_type]:
            continue
        if order_type == "market" and field in ("limit_price", "stop_price"):
            raise invalid("market orders require no stop or limit price")
        raise invalid(f"{order_type.replace('_', ' ')} orders must not have {field}")


def _read_size(body: Body) -> tuple[Decimal | None, Decimal | None]:
    qty, notional = body.get("qty"), body.get("notional")
    if qty is not None and notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if qty is None and notional is None:
        raise invalid("qty or notional is required")
    if qty is not None:
        return _positive("qty", qty), None
    dollars = _positive("notional", notional)
    if dollars != dollars.quantize(_CENT):
        raise unprocessable("notional value must be limited to 2 decimal places")
    return None, dollars


def _above_zero(field: str, value: object, called: str) -> Decimal:
    number = to_decimal(value)
    if number is None:
        raise invalid(f"invalid {field}")
    if number <= 0:
        raise invalid(f"{called} must be > 0")
    return number


def _positive(name: str, value: object) -> Decimal:
    number = _above_zero(name, value, name)
    rounded = number.quantize(_NINE_PLACES, ROUND_HALF_EVEN)
    # A float such as 0.1 + 0.2 arrives as a JSON number with seventeen digits; a string was written deliberately.
    if (rounded != number and isinstance(value, str)) or not rounded:
        raise invalid(f"{name} can have at most 9 decimal places")
    return rounded


def _read_whole_qty(body: Body) -> Decimal | None:
    qty = _optional(body, "qty", _positive)
    if qty is not None and not _whole(qty):
        raise unprocessable("qty must be a whole number of shares")
    return qty


def _whole(qty: Decimal) -> bool:
    return qty == qty.to_integral_value()


def _read_price(body: Body, order_type: str, field: str) -> int | None:
    if field not in _OWN_PRICES[order_type]:
        return None
    if body.get(field) is None:
        raise invalid(_MISSING_PRICE[order_type])
    return price_units(field, body[field])


def _optional(body: Body, field: str, read: Callable[[str, object], Number]) -> Number | None:
    return None if body.get(field) is None else read(field, body[field])


def price_units(field: str, value: object) -> int:
    """Return a price in units; it may have whole cents from one dollar up, and four decimal places below that."""
    price = _above_zero(field, value, field.replace("_", " "))
    if price != round(price, 2 if price >= 1 else 4):
        raise unprocessable(
            f"invalid {field} {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
    return int(price * UNITS)


def _read_trail_price(body: Body, order_type: str) -> int | None:
    if order_type != "trailing_stop":
        return None
    if (body.get("trail_price") is None) == (body.get("trail_percent") is None):
        raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
    return _optional(body, "trail_price", price_units)


def _read_legs(body: Body, order_class: str, side: int) -> tuple[int | None, StopLoss | None]:
    profit = _leg(body, "take_profit", "limit_price")
    take_profit = price_units("take_profit.limit_price", profit["limit_price"]) if profit else None
    stop_loss = _read_stop_loss(_leg(body, "stop_loss", "stop_price"))
    _check_legs(order_class, take_profit, stop_loss)
    if take_profit is not None and stop_loss is not None:
        check_legs_apart(take_profit, stop_loss.stop, side if order_class == "oco" else -side)
    return take_profit, stop_loss


def _read_stop_loss(leg: dict[str, Any]) -> StopLoss | None:
    if not leg:
        return None
    stop = price_units("stop_loss.stop_price", leg["stop_price"])
    return StopLoss(stop, price_units("stop_loss.limit_price", leg["limit_price"]) if "limit_price" in leg else None)


def _leg(body: Body, field: str, needed: str) -> dict[str, Any]:
    """Return a leg's prices, of which one is needed; a leg with only null prices counts as absent."""
    value = body.get(field)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"invalid {field}")
    prices = {name: price for name, price in (value or {}).items() if price is not None}
    if prices and needed not in prices:
        raise invalid(f"{field}.{needed} is required")
    return prices


def _check_legs(order_class: str, take_profit: int | None, stop_loss: StopLoss | None) -> None:
    if order_class == "simple":
        if take_profit is not None or stop_loss is not None:
            raise invalid("simple orders must not have take_profit or stop_loss")
    elif order_class == "oto":
        if (take_profit is None) == (stop_loss is None):
            raise invalid("oto orders require either take_profit or stop_loss")
    elif take_profit is None:
        raise invalid(f"{order_class} orders require take_profit.limit_price")
    elif stop_loss is None:
        raise invalid(f"{order_class} orders require stop_loss.stop_price")


def check_legs_apart(take_profit: int, stop: int, exit_side: int) -> None:
    """Check that an exit's profit target is above its stop if it sells, and below its stop if it buys back."""
    if (stop - take_profit) * exit_side <= 0:
        sign = ">" if exit_side < 0 else "<"
        raise unprocessable(f"take_profit.limit_price must be {sign} stop_loss.stop_price")


def check_terms(request: OrderRequest) -> None:
    """Check that the type, time in force and size of a request fit together, for a new order or a replacement."""
    if request.time_in_force not in _LASTING and request.type not in ("market", "limit"):
        raise unprocessable(f"invalid time_in_force {request.time_in_force} for a {request.type} order: use day or gtc")
    if request.trail_percent is not None and request.trail_percent >= _MOST_PERCENT:
        raise invalid(f"trail_percent must be < {_MOST_PERCENT}")
    _check_fraction(request)
    _check_extended(request)


def _check_fraction(request: OrderRequest) -> None:
    if request.qty is not None and _whole(request.qty):
        return
    if request.order_class != "simple":
        raise unprocessable("fractional orders must be simple orders")
    if request.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if request.type == "trailing_stop":
        raise unprocessable("fractional orders must be market, limit, stop or stop_limit orders")


def _check_extended(request: OrderRequest) -> None:
    if not request.extended_hours:
        return
    if request.type != "limit" or request.order_class != "simple" or request.time_in_force not in _LASTING:
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    # Only assets flagged fractional_eh_enabled trade in fractions in extended hours, and no asset here is.
    if request.qty is None or not _whole(request.qty):
        raise unprocessable("fractional orders cannot be extended hours orders")


def _read_flag(body: Body, field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"invalid {field}")
    return bool(value)


def _read_client_id(body: Body) -> str | None:
    value = body.get("client_order_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isprintable():
        raise invalid("invalid client_order_id")
    if len(value) > _LONGEST_CLIENT_ID:
        raise invalid(f"client_order_id must be no more than {_LONGEST_CLIENT_ID} characters")
    return value
