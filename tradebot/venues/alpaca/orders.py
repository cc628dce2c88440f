"""Send each order to Alpaca exactly once, and look orders up by their id."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

from tradebot.adapters.failpoint import around
from tradebot.adapters.wire.http import HttpReply, WireError
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.intent import Intent
from tradebot.model.order import Order, OrderClass, OrderStatus, Reply, WriteOutcome
from tradebot.ports.broker import Ending
from tradebot.venues.alpaca.parsers import (
    may_be_duplicate,
    read_order,
    refusal,
    resolve_duplicate,
    submit_reply,
    unknown_outcome,
)
from tradebot.venues.alpaca.wire import AlpacaClient, AlpacaReads, AlpacaVenue, RefusedReadError

T = TypeVar("T")
NESTED = {"nested": "true"}
"""The query that shows the stop of a pair inside its limit order."""


def unless_unknown(what: str, read: Callable[[], T]) -> T | None:
    """Return the result of `read`, or None if the venue itself says "not found"; any other 404 raises, because it
    proves nothing.
    """
    try:
        return read()
    except RefusedReadError as error:
        if error.status == 404 and error.venue_code is not None:
            return None
        raise
    except RowError as error:
        raise TemporaryError(f"the broker's {what} can't be read: {error}") from error


def fetch_order(reads: AlpacaReads, path: str, params: Mapping[str, str] | None, tally: DriftTally) -> Order | None:
    """Return one order; None if the venue says that there is no such order."""
    return unless_unknown("order", lambda: read_order(reads.json(path, params), tally))


def order_path(venue_id: str) -> str:
    """Return the path of an order, given its venue id."""
    return f"/orders/{quote(venue_id, safe='')}"


class AlpacaOrders:
    """Sends orders to the venue: one request per call, plus a lookup if the reply is ambiguous."""

    def __init__(self, venue: AlpacaVenue, tally: DriftTally) -> None:
        self._client = AlpacaClient(venue.base_url, venue, venue.bounds)
        self._reads = AlpacaReads(self._client, venue.policy)
        self._tally = tally

    def submit(self, intent: Intent) -> Reply:
        """Send one order once; any reply other than a clear yes or no is UNKNOWN."""
        return self._send_order(intent, "POST", "/orders", order_body(intent))

    def replace(self, intent: Intent) -> Reply:
        """Ask the venue once to change the price of the order `intent.target_venue_id`; the quantity stays the same.

        An order can be replaced only once. If the request was delivered twice and the second was refused for that
        reason, return the replacement that already exists.
        """
        assert intent.target_venue_id is not None, "a replacement needs the broker's id of the order"
        return self._send_order(intent, "PATCH", order_path(intent.target_venue_id), price_body(intent))

    def cancel(self, intent: Ending) -> Reply:
        """Ask the venue once to cancel `intent.target_venue_id`; an order that already ended counts as accepted."""
        assert intent.target_venue_id is not None, "a cancel needs the broker's id of the order"
        path = order_path(intent.target_venue_id)
        answer = self._send("DELETE", path)
        if isinstance(answer, Reply):
            return answer
        if answer.status == 204:
            return Reply(WriteOutcome.ACCEPTED)
        refusal_reply = refusal(answer)
        if refusal_reply is None:
            return unknown_outcome(f"http_{answer.status}", answer.excerpt)
        return self._already_done(path, refusal_reply) if answer.status == 422 else refusal_reply

    def _send_order(self, intent: Intent, method: str, path: str, body: Mapping[str, object]) -> Reply:
        """Send a request that creates an order; if the venue already has an order under its id, return that one."""
        answer = self._send(method, path, body)
        if isinstance(answer, Reply):
            return answer
        reply = submit_reply(answer, intent, self._tally)
        return self._look_up(intent, reply) if may_be_duplicate(answer) else reply

    def _send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> HttpReply | Reply:
        try:
            with around("alpaca.send"):
                return self._client.ask(method, path, body)
        except WireError as error:
            return unknown_outcome("no_answer", str(error))

    def _look_up(self, intent: Intent, refusal_reply: Reply) -> Reply:
        params = {"client_order_id": intent.client_order_id}
        try:
            order = fetch_order(self._reads, "/orders:by_client_order_id", params, self._tally)
        except TradebotError as error:
            return unknown_outcome("duplicate_not_read", error.message)
        return resolve_duplicate(order, intent, refusal_reply)

    def _already_done(self, path: str, refusal_reply: Reply) -> Reply:
        try:
            order = fetch_order(self._reads, path, None, self._tally)
        except TradebotError as error:
            return unknown_outcome("order_not_read", error.message)
        ended = order is not None and (order.status.terminal or order.status is OrderStatus.PENDING_CANCEL)
        outcome = WriteOutcome.ACCEPTED if ended else WriteOutcome.REJECTED
        return Reply(outcome, order, refusal_reply.code, refusal_reply.message)


def order_body(intent: Intent) -> dict[str, object]:
    """Return the JSON of a new order; numbers are sent as text, so that no number is rounded as a float."""
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
    assert intent.limit_price is not None, "a pair needs a target"
    assert intent.stop_price is not None, "a pair needs a stop"
    pair = {"limit_price": f"{intent.limit_price:f}"}, {"stop_price": f"{intent.stop_price:f}"}
    return body | {"order_class": "oco", "take_profit": pair[0], "stop_loss": pair[1]}


def price_body(intent: Intent) -> dict[str, object]:
    """Return the JSON that changes an order's price and gives the new order our id; the quantity never changes."""
    prices = _prices(intent)
    assert prices, "a replacement needs a price"
    return {**prices, "client_order_id": intent.client_order_id}


def _prices(intent: Intent) -> dict[str, str]:
    prices = {"limit_price": intent.limit_price, "stop_price": intent.stop_price}
    return {name: f"{price:f}" for name, price in prices.items() if price is not None}
