"""Check the rules for replacing an order: which orders, by what, and the resulting request."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from papervenue.engine.orders import TERMINAL, Order, OrderRequest, Replacement
from papervenue.refusal import Refusal, invalid, unprocessable
from papervenue.shares.reading import check_terms, price_units

_CHANGEABLE = {
    "market": ("qty", "time_in_force"),
    "limit": ("qty", "time_in_force", "limit"),
    "stop": ("qty", "time_in_force", "stop"),
    "stop_limit": ("qty", "time_in_force", "limit", "stop"),
    "trailing_stop": ("qty", "time_in_force", "trail"),
}
_NAMES = {"limit": "limit_price", "stop": "stop_price"}
_NOT_YET = ("accepted", "pending_new", "pending_cancel", "pending_replace", "suspended", "stopped")


def replaced_request(order: Order, wanted: Replacement, on_its_way: bool) -> OrderRequest:
    """Return the request of the replacing order; raise a Refusal if the order can't be replaced like this.

    `on_its_way` means that the order is itself a replacement in transit. `admission.admit` checks what the account
    allows.
    """
    _check_replaceable(order, on_its_way)
    fields = [name for name in ("qty", "limit", "stop", "trail", "time_in_force") if getattr(wanted, name) is not None]
    _check_fields(order, fields)
    changed = order.request._replace(client_order_id=wanted.client_order_id, **_changes(order, wanted, fields))
    if changed == order.request._replace(client_order_id=wanted.client_order_id):
        raise unprocessable("order parameters are not changed")
    _check_changed(order, changed)
    return changed


def _check_replaceable(order: Order, on_its_way: bool) -> None:
    if order.status == "replaced":
        raise unprocessable("order already replaced")
    if order.status in TERMINAL:
        raise unprocessable("unable to replace order, order is not open")
    status = order.status if order.replacement is None else "pending_replace"
    if on_its_way and status == "held":
        # A leg held for its entry stays held while its replacement is in transit, and so does the replacement.
        status = "pending_new"
    if status in _NOT_YET:
        raise unprocessable(f"cannot replace order in {status} status")
    if order.request.notional is not None:
        raise unprocessable("notional orders cannot be replaced")


def _check_fields(order: Order, fields: list[str]) -> None:
    for name in fields:
        if name not in _CHANGEABLE[order.request.type]:
            raise _misplaced(order.request.type, _NAMES.get(name, name))
        if order.request.order_class != "simple" and name not in _NAMES:
            raise unprocessable(
                f"only limit_price and stop_price of {order.request.order_class} orders can be replaced"
            )


def _misplaced(order_type: str, field: str) -> Refusal:
    if order_type == "market" and field != "trail":
        return invalid("market orders require no stop or limit price")
    return invalid(f"{order_type.replace('_', ' ')} orders must not have {field}")


def _changes(order: Order, wanted: Replacement, fields: list[str]) -> dict[str, Any]:
    changes = {name: getattr(wanted, name) for name in fields if name != "trail"}
    if wanted.trail is None:
        return changes
    if order.request.trail_price is None:
        return changes | {"trail_percent": wanted.trail}
    return changes | {"trail_price": price_units("trail", wanted.trail)}


def _check_changed(order: Order, changed: OrderRequest) -> None:
    qty = changed.qty or Decimal(0)
    if qty != order.request.qty:
        if order.request.qty is not None and order.request.qty != order.request.qty.to_integral_value():
            raise unprocessable("qty of fractional orders cannot be replaced")
        if qty <= order.filled_qty:
            raise unprocessable("qty must be > filled_qty")
    check_terms(changed)
