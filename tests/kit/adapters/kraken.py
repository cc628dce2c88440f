"""Kraken Futures' rows as its documents show them, and our side of them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.kit.fakes.scripted import Wire
from tests.kit.values import new_intent
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import AssetClass, Instrument
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.order import TimeInForce
from tradebot.venues.kraken.client import AccountNumber, KrakenVenue, Nonces, OpeningEquity, sandbox_secret
from tradebot.venues.kraken.orders import KrakenOrders
from tradebot.venues.kraken.reader import KrakenReader

AT_ONCE = RetryPolicy(attempts=3, sleep=lambda seconds: None)
SYMBOL, ORDER_ID, ACCOUNT = "PF_XBTUSD", "179f9af8-e45e-469d-b3e9-2fd4675cb7d0", "f7d5571c-6d10-4cf1-944a-048d25682ed0"
AT = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def iso(at: datetime) -> str:
    """Return a moment as the trading API writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(at: datetime) -> int:
    """Return a moment as the history writes it."""
    return int(at.timestamp() * 1000)


def intent(operation: Operation = Operation.SUBMIT, **changes: Any) -> Intent:
    """Return a limit buy of 0.5 at 30,000, or a cancel of it."""
    key = IntentKey(ACCOUNT, "flow", date(2026, 11, 20), "1030", SYMBOL, Side.BUY, Purpose.OPEN)
    perpetual = Instrument(
        symbol=SYMBOL,
        asset_class=AssetClass.PERPETUAL,
        multiplier=Decimal(1),
        tick=Decimal("0.5"),
        lot=Decimal("0.0001"),
        currency="USD",
        calendar="24/7",
    )
    target, price = None if operation is Operation.SUBMIT else ORDER_ID, Decimal(30_000)
    usual = {"quantity": Decimal("0.5"), "limit_price": price, "time_in_force": TimeInForce.GTC, "at": AT}
    return new_intent(key, perpetual, **{"operation": operation, "target_venue_id": target, **usual, **changes})


def placed(**changes: object) -> dict[str, object]:
    """Return the event that places the order of `intent()`."""
    order = {
        "orderId": ORDER_ID,
        "cliOrdId": intent().client_order_id,
        "type": "lmt",
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": 0.5,
        "filled": 0,
        "limitPrice": 30_000.0,
        "reduceOnly": False,
        "timestamp": iso(AT),
        "lastUpdateTimestamp": iso(AT),
    }
    return {"type": "PLACE", "order": order | changes, "reducedQuantity": None}


def executed(amount: float, price: float = 30_000.0, number: int = 1) -> dict[str, object]:
    """Return the event of an execution of that order."""
    prior = placed()["order"]
    return {
        "type": "EXECUTION",
        "executionId": f"e-{number}",
        "price": price,
        "amount": amount,
        "orderPriorEdit": None,
        "orderPriorExecution": prior,
        "takerReducedQuantity": None,
    }


def sent(status: str, *events: object) -> dict[str, object]:
    """Return the answer to an order."""
    told = {"status": status, "order_id": ORDER_ID, "receivedTime": iso(AT), "orderEvents": list(events)}
    return {"result": "success", "sendStatus": told, "serverTime": iso(AT)}


def cancelled(status: str) -> dict[str, object]:
    """Return the answer to a cancel."""
    told = {"status": status, "order_id": ORDER_ID, "receivedTime": iso(AT), "orderEvents": []}
    return {"result": "success", "cancelStatus": told, "serverTime": iso(AT)}


def error(word: str) -> dict[str, object]:
    """Return an error as it comes with HTTP 200."""
    return {"result": "error", "error": word, "serverTime": iso(AT)}


def event(name: str, at: datetime = AT, reason: str = "", **changes: object) -> dict[str, object]:
    """Return an element of the history of orders."""
    order = {
        "uid": ORDER_ID,
        "accountUid": ACCOUNT,
        "tradeable": SYMBOL,
        "direction": "Buy",
        "quantity": "0.5",
        "filled": "0",
        "timestamp": ms(AT),
        "limitPrice": "30000",
        "orderType": "Limit",
        "clientId": intent().client_order_id,
        "reduceOnly": False,
        "lastUpdateTimestamp": ms(at),
    }
    return {"uid": f"{name} {at}", "timestamp": ms(at), "event": {name: {"order": order | changes, "reason": reason}}}


def execution(quantity: str, at: datetime = AT, number: int = 1, price: str = "30000") -> dict[str, object]:
    """Return an element of the history of executions, in which the order was the taker."""
    inner = {
        "uid": f"e-{number}",
        "takerOrder": {"uid": ORDER_ID, "accountUid": ACCOUNT},
        "makerOrder": {"uid": "another", "accountUid": "somebody"},
        "quantity": quantity,
        "price": price,
        "timestamp": ms(at),
    }
    return {"uid": f"x-{number}", "timestamp": ms(at), "event": {"Execution": {"execution": inner}}}


def page(told_at: datetime, *elements: object) -> dict[str, object]:
    """Return a page of the history."""
    return {"accountUid": ACCOUNT, "len": len(elements), "serverTime": iso(told_at), "elements": list(elements)}


LATER = AT + timedelta(minutes=5)


def venue_at(wire: Wire) -> KrakenVenue:
    """Return an account at a scripted server."""
    kept = Nonces(None), OpeningEquity(None), AccountNumber(None, "key")
    return KrakenVenue(wire.url, "key", sandbox_secret("key"), *kept, policy=AT_ONCE)


def orders(wire: Wire) -> KrakenOrders:
    return KrakenOrders(venue_at(wire), DriftTally())


def reader(wire: Wire, tally: DriftTally | None = None) -> KrakenReader:
    return KrakenReader(venue_at(wire), tally or DriftTally())
