"""Send orders to Kraken Futures, one request per call. The outcome is in the body, whatever the HTTP status."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tradebot.adapters.failpoint import around
from tradebot.adapters.wire.http import BodyError, HttpReply, WireError
from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError
from tradebot.errors import TradebotError
from tradebot.model.candidate import Purpose
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import ID_CONFLICT, Intent
from tradebot.model.order import Order, OrderStatus, OrderType, Reply, TimeInForce, WriteOutcome
from tradebot.ports.broker import Ending
from tradebot.venues.kraken.capabilities import (
    ACCEPTED,
    ARRIVES_WITHIN,
    NO_MARGIN,
    NOT_DONE,
    PERSON,
    REFUSED,
    SENT_AS,
    TAKEN,
)
from tradebot.venues.kraken.client import V3, Client, KrakenVenue, format_number, parse_error
from tradebot.venues.kraken.reader import KrakenReader
from tradebot.venues.kraken.rows import moment, parse_order_type, parse_side

TRIGGER = "mark"
"""Stops trigger on the mark price: a single odd trade doesn't trigger them, and the venue liquidates by the mark."""
_KEYS_REFUSED = (401, 403)
ON_ITS_WAY = "attempted"
"""The status of a cancel that is still being processed; the order's end shows whether it was in time."""


class KrakenOrders:
    """Sends and cancels orders of one account. It never edits orders."""

    def __init__(self, venue: KrakenVenue, tally: DriftTally) -> None:
        self._client, self._tally = Client(venue), tally
        self._reader = KrakenReader(venue, tally)

    def submit(self, intent: Intent) -> Reply:
        """Send one order once; the venue refuses it if it arrives late."""
        is_stop = intent.order_type is OrderType.STOP
        prices = {"limitPrice": intent.limit_price, "stopPrice": intent.stop_price}
        params = {
            "orderType": SENT_AS[intent.order_type],
            "symbol": intent.instrument.symbol,
            "side": intent.side.value,
            "size": format_number(intent.quantity),
            **{name: format_number(price) for name, price in prices.items() if price is not None},
            **({"triggerSignal": TRIGGER} if is_stop else {}),
            **({"reduceOnly": "true"} if intent.purpose is not Purpose.OPEN else {}),
            "cliOrdId": intent.client_order_id,
            **_in_time(intent),
        }
        reply = self._send("sendorder", params)
        if isinstance(reply, Reply):
            return reply
        status = _status_of(reply, "sendStatus")
        word = str(status.get("status"))
        if word == TAKEN:
            return self._looked_up(intent, _refusal(word, status))
        if word not in ACCEPTED:
            return _refusal(word, status)
        try:
            order = _placed_order(status, intent, self._tally)
        except RowError as error:
            return Reply(WriteOutcome.UNKNOWN, code="unreadable", message=str(error))
        if not intent.matches_order(order):
            return Reply(WriteOutcome.UNKNOWN, code="mismatch", message=f"it is another order: {order.client_order_id}")
        return Reply(WriteOutcome.ACCEPTED, order)

    def replace(self, intent: Intent) -> Reply:
        """Raise an assertion error: orders aren't edited at this venue, so this must not be called."""
        raise AssertionError("orders aren't edited at Kraken Futures")

    def cancel(self, intent: Ending) -> Reply:
        """Request a cancel once; an order that has already ended counts as accepted."""
        venue_id = str(intent.target_venue_id)
        reply = self._send("cancelorder", {"order_id": venue_id, **_in_time(intent)})
        if isinstance(reply, Reply):
            return reply
        status = _status_of(reply, "cancelStatus")
        word = str(status.get("status"))
        if word in ACCEPTED or word == ON_ITS_WAY:
            return Reply(WriteOutcome.ACCEPTED)
        if word in ("filled", "notFound"):
            return self._ended_reply(venue_id, word)
        return _refusal(word, status)

    def _send(self, what: str, params: Mapping[str, str]) -> Mapping[str, Any] | Reply:
        """Return the reply to a request, or the conclusion if there is no usable reply."""
        try:
            with around("kraken.send"):
                answer = self._client.ask("POST", f"{V3}/{what}", params)
        except WireError as error:
            return Reply(WriteOutcome.UNKNOWN, code="no_answer", message=str(error))
        except TradebotError as error:
            # The request couldn't be built, so nothing was sent.
            return Reply(WriteOutcome.REJECTED, code="not_sent", message=error.message)
        return _require_success(answer)

    def _looked_up(self, intent: Intent, refusal: Reply) -> Reply:
        """Look up the order after a refusal for a duplicate id: it may be the one we sent."""
        try:
            order = self._reader.order(intent.client_order_id)
        except TradebotError as error:
            return Reply(WriteOutcome.UNKNOWN, code="not_looked_up", message=error.message)
        if order is None:
            return Reply(WriteOutcome.UNKNOWN, code="not_found", message=refusal.message)
        if intent.matches_order(order):
            return Reply(WriteOutcome.ACCEPTED, order)
        return Reply(WriteOutcome.REJECTED, order, code=ID_CONFLICT, message=refusal.message)

    def _ended_reply(self, venue_id: str, word: str) -> Reply:
        """Return a success if the history shows that the order ended, and a refusal if it has no such order."""
        try:
            ended = self._reader.has_ended(venue_id)
        except TradebotError as error:
            return Reply(WriteOutcome.UNKNOWN, code="not_looked_up", message=error.message)
        outcome = {True: WriteOutcome.ACCEPTED, False: WriteOutcome.UNKNOWN, None: WriteOutcome.REJECTED}[ended]
        return Reply(outcome, code=word, message=f"the broker says {word}")


def _require_success(answer: HttpReply) -> Mapping[str, Any] | Reply:
    """Return a successful reply; otherwise a rejection if the error proves one, or an unknown outcome."""
    try:
        document = answer.json()
    except BodyError:
        document = None
    word = parse_error(document) if isinstance(document, dict) else ""
    if answer.status < 500 and (word in PERSON or word.startswith(NOT_DONE)):
        return Reply(WriteOutcome.REJECTED, code=word, message="the request wasn't carried out")
    if word == NO_MARGIN:
        return Reply(WriteOutcome.REJECTED, code=word, message="there isn't enough margin")
    if answer.status in _KEYS_REFUSED:
        return Reply(
            WriteOutcome.REJECTED, code=f"http_{answer.status}", message=answer.excerpt or "the key was refused"
        )
    if word or answer.status != 200 or not isinstance(document, dict):
        return Reply(WriteOutcome.UNKNOWN, code=word or f"http_{answer.status}", message=answer.excerpt)
    return document


def _in_time(intent: Ending) -> Mapping[str, str]:
    """Return the deadline of a request as parameters; an unrecorded request has none."""
    if not isinstance(intent, Intent):
        return {}
    until = (intent.at + ARRIVES_WITHIN).astimezone(UTC)
    return {"processBefore": until.isoformat().replace("+00:00", "Z")}


def _status_of(reply: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    status = reply.get(name)
    return status if isinstance(status, dict) else {}


def _refusal(word: str, status: Mapping[str, Any]) -> Reply:
    """Return a rejection for the codes that prove one, and an unknown outcome for any other."""
    reason = next((event.get("reason") for event in _events(status) if event.get("reason")), word)
    return Reply(WriteOutcome.REJECTED if word in REFUSED else WriteOutcome.UNKNOWN, code=word, message=str(reason))


def _events(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    events = status.get("orderEvents")
    yield from (event for event in (events if isinstance(events, list) else []) if isinstance(event, dict))


def _placed_order(status: Mapping[str, Any], intent: Intent, tally: DriftTally) -> Order:
    """Build the order from the events of an accepted request; raise RowError if it isn't in them."""
    placed, filled, worth = None, Decimal(0), Decimal(0)
    for event in _events(status):
        reported = event.get("order") or event.get("orderTrigger") or event.get("orderPriorExecution")
        placed = placed or reported
        if event.get("type") == "EXECUTION":
            row = JsonFields("execution", event, tally)
            filled += row.positive("amount")
            worth += row.positive("amount") * row.positive("price")
    row = JsonFields("order", placed, tally)
    quantity, limit = row.positive("quantity"), row.number_or_none("limitPrice")
    kind, rest = parse_order_type(row, "type", limited=limit is not None), _state(filled, quantity, intent)
    return Order(
        venue_id=row.text("orderId") if row.value("orderId") else row.text("uid"),
        client_order_id=row.text_or_none("cliOrdId") or row.text_or_none("clientId") or "",
        symbol=row.symbol(),
        asset_class=AssetClass.PERPETUAL,
        side=parse_side(row),
        quantity=quantity,
        filled_quantity=filled,
        filled_average_price=worth / filled if filled else None,
        order_type=kind,
        limit_price=None if intent.order_type is OrderType.MARKET else limit,
        time_in_force=TimeInForce.GTC,
        status=rest,
        submitted_at=_moment(row, "timestamp"),
        updated_at=_moment(row, "lastUpdateTimestamp"),
        stop_price=row.number_or_none("triggerPrice"),
    )


def _state(filled: Decimal, quantity: Decimal, intent: Intent) -> OrderStatus:
    if filled >= quantity:
        return OrderStatus.FILLED
    if intent.order_type is OrderType.MARKET:
        # Any remainder is canceled at once, which only the history shows.
        return OrderStatus.UNKNOWN
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW


def _moment(row: JsonFields, name: str) -> datetime | None:
    return moment(row, name) if row.value(name) is not None else None
