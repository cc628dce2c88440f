"""What one order is, by its own words and its executions: a word that nothing backs isn't believed."""

from types import SimpleNamespace
from typing import Any

import pytest

from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.model.order import OrderStatus
from tradebot.venues.ibkr.order_reports import build_order, merge_order_reports


def told(word: str, total: object = 2, **more: Any) -> OrderStatus:
    """Return the status of an order without executions, of which the venue says this."""
    contract = SimpleNamespace(localSymbol="ESZ6", secType="FUT")
    named: dict[str, Any] = {"permId": 11, "orderRef": "tb1.x", "action": "BUY", "orderType": "MKT", "tif": "DAY"}
    order = SimpleNamespace(**named, totalQuantity=total, filledQuantity=more.pop("filled", 0))
    state = SimpleNamespace(status=word, completedStatus=more.pop("why", ""))
    return build_order(contract, order, state, None, (), DriftTally()).status


@pytest.mark.parametrize(
    ("word", "more", "status"),
    [
        ("Filled", {}, OrderStatus.UNKNOWN),
        ("Filled", {"filled": 2}, OrderStatus.FILLED),
        ("Filled", {"filled": 3}, OrderStatus.UNKNOWN),
        ("Cancelled", {"filled": 1}, OrderStatus.CANCELED),
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


def row(perm_id: int, ref: str, client_id: int, action: str = "BUY") -> tuple[Any, Any, Any]:
    """Return an open order of this client, or of a person."""
    contract = SimpleNamespace(localSymbol="ESZ6", secType="FUT")
    named: dict[str, Any] = {"permId": perm_id, "orderRef": ref, "action": action, "orderType": "MKT", "tif": "DAY"}
    whose = {"clientId": client_id, "orderId": client_id and perm_id, "account": "DU1"}
    order = SimpleNamespace(**named, **whose, totalQuantity=2, filledQuantity=0)
    return contract, order, SimpleNamespace(status="Submitted", completedStatus="")


def test_of_what_arrived_twice_ours_is_ours_and_each_stop_hangs_on_its_own_entry() -> None:
    rows = [row(11, "tb1.x", 7), row(12, "stop of tb1.x", 7, "SELL")]
    rows += [row(13, "tb1.x", 0), row(14, "stop of tb1.x", 0, "SELL")]
    told = merge_order_reports(rows, [], ([], 0), ("DU1", 7), DriftTally())
    assert {name: order.parent for name, order in told.orders.items()} == {
        "11": None,
        "12": "11",
        "13": None,
        "14": "13",
    }
    found = told.by_client_id("tb1.x", DriftTally())
    assert (found and found.venue_id, "11" in told.own) == ("11", True)
