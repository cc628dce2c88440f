"""Say what a request for an order asks of Alpaca, in its own words."""

from tradebot.model.intent import Intent
from tradebot.model.order import OrderClass


def order_body(intent: Intent) -> dict[str, object]:
    """Return the JSON of a new order; numbers are plain text, so none passes through a float."""
    body: dict[str, object] = {
        "symbol": intent.instrument.symbol,
        "qty": f"{intent.quantity:f}",
        "side": intent.side.value,
        "type": intent.order_type.value,
        "time_in_force": intent.time_in_force.value,
        "client_order_id": intent.client_order_id,
    }
    if intent.order_class is not OrderClass.OCO:
        return body | _prices(intent)
    assert intent.limit_price is not None, "a pair has a target"
    assert intent.stop_price is not None, "a pair has a stop"
    pair = {"limit_price": f"{intent.limit_price:f}"}, {"stop_price": f"{intent.stop_price:f}"}
    return body | {"order_class": "oco", "take_profit": pair[0], "stop_loss": pair[1]}


def price_body(intent: Intent) -> dict[str, object]:
    """Return the JSON that changes an order's price and gives the new order our id; the quantity never changes."""
    prices = _prices(intent)
    assert prices, "a replace names its price"
    return {**prices, "client_order_id": intent.client_order_id}


def _prices(intent: Intent) -> dict[str, str]:
    given = {"limit_price": intent.limit_price, "stop_price": intent.stop_price}
    return {name: f"{price:f}" for name, price in given.items() if price is not None}
