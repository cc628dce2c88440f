"""Handle stops: when a bar elects one, at what price it then fills, and how it trails the market."""

from __future__ import annotations

from tradebot.exchange.engine.admission import collar, trailing_stop
from tradebot.exchange.engine.matching import FillModel
from tradebot.exchange.engine.orders import Order, OrderRequest
from tradebot.exchange.market.bars import Bar


def first_stop(request: OrderRequest, last: int | None) -> tuple[int | None, int | None]:
    """Return a new order's stop and high-water mark (low for a purchase), or None if it has no stop."""
    if request.type != "trailing_stop" or last is None:
        return request.stop, None
    return trailing_stop(request, last), last


def stop_price(order: Order, bar: Bar, model: FillModel) -> int | None:
    """Return the price at which a bar fills a stop order, electing or trailing it as needed."""
    if order.elected:
        return model.traded(order, bar)
    assert order.stop is not None
    touched = bar.high >= order.stop if order.side > 0 else bar.low <= order.stop
    if not touched:
        if order.hwm is not None:
            _trail(order, bar)
        return None
    order.elected = True
    if model.collars and order.side > 0 and order.request.type == "stop":
        order.request = order.request._replace(type="stop_limit", limit=collar(order.stop))
    # A bar that opens beyond the stop elects it there; otherwise the market passed through the stop itself.
    at = max(order.stop, bar.open) if order.side > 0 else min(order.stop, bar.open)
    return model.quoted(order, at)


def _trail(order: Order, bar: Bar) -> None:
    assert order.hwm is not None
    mark = min(order.hwm, bar.low) if order.side > 0 else max(order.hwm, bar.high)
    if mark != order.hwm:
        order.hwm, order.stop = mark, trailing_stop(order.request, mark)
