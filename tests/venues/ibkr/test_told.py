"""What one order is, by its own words and its executions: a word that says more than they do isn't believed."""

from types import SimpleNamespace
from typing import Any

import pytest

from tradebot.adapters.wire.rows import DriftTally, RowError
from tradebot.model.order import OrderStatus
from tradebot.venues.ibkr.told import order_of


def told(word: str, total: object = 2, **more: Any) -> OrderStatus:
    """Return the status of an order without executions, of which the venue says this."""
    contract = SimpleNamespace(localSymbol="ESZ6", secType="FUT")
    named: dict[str, Any] = {"permId": 11, "orderRef": "tb1.x", "action": "BUY", "orderType": "MKT", "tif": "DAY"}
    order = SimpleNamespace(**named, totalQuantity=total, filledQuantity=more.pop("filled", 0))
    state = SimpleNamespace(status=word, completedStatus=more.pop("why", ""))
    return order_of(contract, order, state, None, (), DriftTally()).status


@pytest.mark.parametrize(
    ("word", "more", "status"),
    [
        ("Filled", {}, OrderStatus.UNKNOWN),
        ("Filled", {"filled": 2}, OrderStatus.UNKNOWN),
        ("Cancelled", {"filled": 1}, OrderStatus.UNKNOWN),
        ("Cancelled", {"total": 0}, OrderStatus.CANCELED),
        ("Cancelled", {"why": "Rejected by System"}, OrderStatus.REJECTED),
        ("Inactive", {}, OrderStatus.UNKNOWN),
        ("Inactive", {"why": "Rejected by System"}, OrderStatus.REJECTED),
        ("PreSubmitted", {}, OrderStatus.NEW),
        ("a new word", {}, OrderStatus.UNKNOWN),
    ],
)
def test_what_a_word_is_worth_without_executions(word: str, more: dict[str, Any], status: OrderStatus) -> None:
    assert told(word, **more) is status


def test_an_open_order_without_a_quantity_is_not_read() -> None:
    with pytest.raises(RowError, match="totalQuantity"):
        told("Submitted", 0)
