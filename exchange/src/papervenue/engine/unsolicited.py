"""Do what a venue may do to an order without its owner's request: suspend, stop, resume, restate or cancel it."""

from __future__ import annotations

from papervenue.engine import order_lifecycle
from papervenue.engine.engine import Engine
from papervenue.engine.orders import USUAL, Order, Replacement
from papervenue.refusal import unprocessable
from papervenue.times import MINUTE

_AT_THE_MARKET = ("new", "partially_filled")
_ASIDE = ("suspended", "stopped")


def suspend_order(engine: Engine, order: Order) -> None:
    """Suspend an order until it is resumed."""
    _put_aside(engine, order, "suspended")


def stop(engine: Engine, order: Order) -> None:
    """Stop an order: bars no longer fill it, but it is guaranteed to fill completely within a minute.

    It fills a minute later, or at its last moment if that comes first.
    """
    _put_aside(engine, order, "stopped")
    order.live_us = engine.now_us
    close_us = engine.market.calendar.trading(engine.now_us).close_us
    end_us = min(order.expires_us, close_us if close_us > engine.now_us else order.expires_us)
    engine.agenda.note(min(engine.now_us + MINUTE, end_us), "fill_stopped", order, engine.now_us)


def resume_order(engine: Engine, order: Order) -> None:
    """Bring a suspended or stopped order back to the market."""
    if order.status not in _ASIDE:
        raise unprocessable(f"order is {order.status}: only one that is {' or '.join(_ASIDE)} can be resumed")
    order.live_us = engine.now_us
    engine.book.add(order)
    _tell_restated(engine, order)


def cancel(engine: Engine, order: Order) -> None:
    """Cancel an order at once, as when the broker can't keep it open."""
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status}" state')
    order_lifecycle.cancel(engine, order)


def restate(engine: Engine, order: Order, wanted: Replacement) -> None:
    """Change an order in place; refuse changes that its owner couldn't make with a replacement."""
    account = engine.accounts[order.account]
    request = engine.dialect.replaced_request(order, wanted, account.to_be_replaced(order) is not None)
    order.reserve = engine.dialect.admit(engine, account, request, order, USUAL).reserve
    if request.qty != order.request.qty:
        order.qty = request.qty
    if request.stop != order.request.stop:
        order.stop, order.elected = request.stop, False
    order.request = request._replace(client_order_id=order.request.client_order_id)
    # A bar that has already begun is matched with the old price.
    order.live_us = engine.now_us
    account.hold(order)
    _tell_restated(engine, order)


def _put_aside(engine: Engine, order: Order, status: str) -> None:
    if order.status not in _AT_THE_MARKET:
        raise unprocessable(f"order is {order.status}: only one that is {' or '.join(_AT_THE_MARKET)} can be {status}")
    engine.book.drop(order)
    order.status, order.updated_us = status, engine.now_us
    engine.tell(f"order_{status}", order, status)


def _tell_restated(engine: Engine, order: Order) -> None:
    if order.status != "held":
        order.status = "partially_filled" if order.filled_qty else "new"
    order.updated_us = engine.now_us
    engine.tell("order_restated", order, "restated")
