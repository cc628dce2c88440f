"""Handle groups of orders: which legs an order brings, and how an event in one order affects the others.

- bracket: an entry with a take-profit and a stop-loss; oto: an entry with one of them; oco: a take-profit that is
itself the first order, with a stop-loss as its leg. Legs are held until the entry is completely filled; those of an oco
reach the market with it.
- An attached order is held until its parent's first fill, and works for as much as that has filled.
- A fill of one exit reduces the other to the shares that the first has left; if none are left, it is canceled.
- If one member is canceled or rejected, all open members are canceled. At the end of their day all expire.
"""

from __future__ import annotations

from collections.abc import Iterator

from papervenue.engine.orders import ATTACHED, Order, OrderRequest, StopLoss


def leg_requests(request: OrderRequest) -> Iterator[OrderRequest]:
    """Yield the requests for an order's legs, the take-profit first."""
    side = request.side if request.order_class == "oco" else -request.side
    bare = OrderRequest(
        symbol=request.symbol,
        side=side,
        type="limit",
        time_in_force=request.time_in_force,
        qty=request.qty,
        notional=None,
        limit=None,
        order_class=request.order_class,
    )
    if request.take_profit is not None and request.order_class != "oco":
        yield bare._replace(limit=request.take_profit)
    if request.stop_loss is not None:
        stop, limit = request.stop_loss
        yield bare._replace(type="stop" if limit is None else "stop_limit", stop=stop, limit=limit)


def to_release(order: Order) -> list[Order]:
    """Return the legs to send to the market once an order has reached it or been filled."""
    oco, filled = order.request.order_class == "oco", order.status == "filled"
    waiting = (leg for leg in order.legs if leg.status == "held")
    return [leg for leg in waiting if oco or filled or (order.filled_qty and leg.request.order_class == ATTACHED)]


def other_exits(order: Order) -> list[Order]:
    group = _group(order)
    if order.request.order_class in ("oto", ATTACHED) or (order is group[0] and order.request.order_class != "oco"):
        return []
    exits = group if order.request.order_class == "oco" else group[1:]
    return [other for other in exits if other is not order and other.is_open]


def fellows(order: Order) -> list[Order]:
    """Return the other open members of an order's group; a replacement joins the group when it takes effect.

    What happens to an attached order is nothing to the others.
    """
    if order.request.order_class == ATTACHED:
        return []
    group = _group(order)
    return [other for other in group if other is not order and other.is_open] if order in group else []


def _group(order: Order) -> list[Order]:
    first = order.parent or order
    return [first, *first.legs]


def asked_again(order: Order, request: OrderRequest) -> OrderRequest:
    """Return the request that would create an order's group in its current state, with another request in its place.

    Prices are those of the open exits, not the original ones.
    """
    first = order.parent or order
    asked = request if order is first else first.request
    exits = [request if leg is order else leg.request for leg in first.legs if leg.is_open]
    if asked.order_class == "oco" and first.is_open:
        exits.append(asked)
    return asked._replace(
        take_profit=next((one.limit for one in exits if one.type == "limit"), None),
        stop_loss=next((StopLoss(one.stop, one.limit) for one in exits if one.stop is not None), None),
    )


def succeed(old: Order, new: Order) -> None:
    new.parent, new.legs = old.parent, old.legs
    for leg in new.legs:
        leg.parent = new
    if new.parent is not None:
        new.parent.legs = tuple(new if leg is old else leg for leg in new.parent.legs)
