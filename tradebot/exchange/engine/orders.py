"""An order, and the reading of a request for one: all that is refused without looking at the account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from tradebot.exchange.jsontext import plain, to_decimal
from tradebot.exchange.market.bars import UNITS, usd
from tradebot.exchange.refusal import Refusal, invalid, unprocessable

SIDES = {"buy": 1, "sell": -1}
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
TERMINAL = frozenset({"filled", "canceled", "expired"})

_OTHER_TYPES = ("stop", "stop_limit", "trailing_stop")
_OTHER_TIMES_IN_FORCE = ("opg", "cls", "ioc", "fok")
_OTHER_CLASSES = ("bracket", "oco", "oto", "mleg")
_LONGEST_CLIENT_ID = 128
_NINE_PLACES = Decimal("1e-9")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")


class OrderRequest(NamedTuple):
    """A well-formed wish: exactly one of qty (shares) and notional (USD); limit in price units."""

    symbol: str
    side: int
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit: int | None
    client_order_id: str | None
    position_intent: str | None


@dataclass(slots=True)
class Order:
    """A working or finished order; times are engine microseconds, `limit` and `reserve` price units."""

    id: str
    client_order_id: str
    request: OrderRequest
    intent: str
    sequence: int
    status: str
    submitted_us: int
    updated_us: int
    reserve: int
    expires_us: int
    filled_qty: Decimal = Decimal(0)
    filled_usd: Decimal = Decimal(0)
    filled_us: int | None = None
    canceled_us: int | None = None
    expired_us: int | None = None

    @property
    def symbol(self) -> str:
        """Return the symbol to trade."""
        return self.request.symbol

    @property
    def opens(self) -> bool:
        """Say whether the order opens or adds to a position."""
        return self.intent.endswith("_to_open")

    @property
    def remaining(self) -> Decimal:
        """Return the shares not yet filled; of a notional order, what its rest is at the reserved price."""
        if self.request.qty is not None:
            return self.request.qty - self.filled_qty
        return self.remaining_usd / usd(self.reserve)

    @property
    def remaining_usd(self) -> Decimal:
        """Return the dollars of a notional order not yet spent."""
        assert self.request.notional is not None
        return self.request.notional - self.filled_usd

    @property
    def reserved_usd(self) -> Decimal:
        """Return the buying power that the unfilled rest holds."""
        if not self.opens:
            return Decimal(0)
        if self.request.notional is not None:
            return self.remaining_usd
        return self.remaining * usd(self.reserve)


def read_order(body: dict[str, Any]) -> OrderRequest:
    """Read the body of POST /v2/orders; raises the Refusal that Alpaca gives for each fault."""
    side = _choice(body, "side", tuple(SIDES))
    order_type, time_in_force = _read_kind(body)
    qty, notional = _read_size(body)
    limit = _read_limit(body, order_type)
    _check_fraction(qty, notional, order_type, time_in_force)
    return OrderRequest(
        symbol=_read_symbol(body),
        side=SIDES[side],
        type=order_type,
        time_in_force=time_in_force,
        qty=qty,
        notional=notional,
        limit=limit,
        client_order_id=_read_client_id(body),
        position_intent=_read_intent(body),
    )


def _choice(body: dict[str, Any], field: str, allowed: tuple[str, ...], others: tuple[str, ...] = ()) -> str:
    value = body.get(field)
    if value is None or value == "":
        raise invalid(f"{field} is required")
    if isinstance(value, str) and value in allowed:
        return value
    if isinstance(value, str) and value in others:
        raise unprocessable(f"{field} {value} is not supported by this exchange")
    raise invalid(f"invalid {field}")


def _read_kind(body: dict[str, Any]) -> tuple[str, str]:
    order_type = _choice(body, "type", ("market", "limit"), _OTHER_TYPES)
    time_in_force = _choice(body, "time_in_force", ("day", "gtc"), _OTHER_TIMES_IN_FORCE)
    if body.get("order_class") not in (None, "", "simple"):
        _choice(body, "order_class", ("simple",), _OTHER_CLASSES)
    if body.get("extended_hours") not in (None, False):
        raise unprocessable("extended_hours orders are not supported by this exchange")
    return order_type, time_in_force


def _read_symbol(body: dict[str, Any]) -> str:
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    return symbol


def _read_size(body: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    qty, notional = body.get("qty"), body.get("notional")
    if qty is not None and notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if qty is None and notional is None:
        raise invalid("qty or notional is required")
    if qty is not None:
        return _positive("qty", qty), None
    return None, _positive("notional", notional)


def _positive(name: str, value: object) -> Decimal:
    number = to_decimal(value)
    if number is None:
        raise invalid(f"invalid {name}")
    if number <= 0:
        raise invalid(f"{name} must be > 0")
    rounded = number.quantize(_NINE_PLACES, ROUND_HALF_EVEN)
    # A float of 0.1 + 0.2 arrives as a JSON number with seventeen digits; a string was written on purpose.
    if (rounded != number and isinstance(value, str)) or not rounded:
        raise invalid(f"{name} can have at most 9 decimal places")
    return rounded


def _read_limit(body: dict[str, Any], order_type: str) -> int | None:
    given = body.get("limit_price")
    if order_type == "market":
        if given is not None or body.get("stop_price") is not None:
            raise invalid("market orders require no stop or limit price")
        return None
    if given is None:
        raise invalid("limit orders require a limit price")
    if body.get("stop_price") is not None:
        raise invalid("limit orders require no stop price")
    return _limit_units(given)


def _limit_units(given: object) -> int:
    price = to_decimal(given)
    if price is None:
        raise invalid("invalid limit_price")
    if price <= 0:
        raise invalid("limit price must be > 0")
    places = 2 if price >= 1 else 4
    if price != round(price, places):
        raise unprocessable(
            f"invalid limit_price {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
    return int(price * UNITS)


def _check_fraction(qty: Decimal | None, notional: Decimal | None, order_type: str, tif: str) -> None:
    if notional is not None and order_type != "market":
        raise unprocessable("notional orders must be market orders")
    if notional is None and qty is not None and qty == qty.to_integral_value():
        return
    if tif != "day":
        raise unprocessable("fractional orders must be DAY orders")


def _read_client_id(body: dict[str, Any]) -> str | None:
    value = body.get("client_order_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise invalid("invalid client_order_id")
    if len(value) > _LONGEST_CLIENT_ID:
        raise invalid(f"client_order_id must be no more than {_LONGEST_CLIENT_ID} characters")
    return value


def _read_intent(body: dict[str, Any]) -> str | None:
    value = body.get("position_intent")
    return None if value is None else _choice(body, "position_intent", INTENTS)


def duplicate_client_id() -> Refusal:
    """Return the refusal of a client order id that was used before, whatever became of that order."""
    return invalid("client_order_id must be unique")
