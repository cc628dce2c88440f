"""Send the bot's orders to the engine, with the same checks in the same order as the exchange's API."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from papervenue.commands.orders import read_request
from papervenue.engine import orders as engine_orders
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.events import Event
from papervenue.jsontext import encode
from papervenue.refusal import Refusal
from papervenue.shares.order_parsing import read_replacement
from tradebot.adapters.wire.http import HttpReply
from tradebot.lab.backtest.engine_conversion import order_of
from tradebot.model.intent import Intent
from tradebot.model.order import Order, OrderStatus, Reply, WriteOutcome
from tradebot.ports.broker import Ending
from tradebot.venues.alpaca.orders import order_body, price_body
from tradebot.venues.alpaca.parsers import may_be_duplicate, resolve_duplicate, unknown_outcome
from tradebot.venues.alpaca.parsers import refusal as read_refusal

ACCEPTED = Reply(WriteOutcome.ACCEPTED)
UNPROCESSABLE_STATUS = 422


class EngineOrders:
    """Sends orders to one account at an engine; `find` returns an order as the bot sees it, by client order id."""

    def __init__(self, engine: Engine, account: Account, find: Callable[[str], Order | None]) -> None:
        self._engine = engine
        self._account = account
        self._find = find

    def submit(self, intent: Intent) -> Reply:
        """Send one order; it takes effect after the reply."""
        try:
            order = self._engine.submit(self._account, read_request(self._engine, order_body(intent)))
        except Refusal as refusal:
            return self._refused_order(intent, refusal, "order_rejected")
        reply = _accepted_reply(intent, order, order.legs)
        self._engine.settle(order)
        return reply

    def replace(self, intent: Intent) -> Reply:
        """Replace the order `intent.target_venue_id` with one at another price; the reply lists the legs under the new
        order.
        """
        assert intent.target_venue_id is not None, "a replacement needs the broker's id of the order"
        try:
            old = self._account.order(intent.target_venue_id.lower())
            new = self._engine.replace(self._account, old.id, read_replacement(price_body(intent)))
        except Refusal as refusal:
            return self._refused_order(intent, refusal, "request_refused")
        reply = _accepted_reply(intent, new, old.legs)
        self._engine.settle(new)
        return reply

    def cancel(self, intent: Ending) -> Reply:
        """Cancel the order `intent.target_venue_id`; if it has already ended, the reply is ACCEPTED."""
        assert intent.target_venue_id is not None, "a cancel needs the broker's id of the order"
        try:
            order = self._account.order(intent.target_venue_id.lower())
            order.frees_after_us = 0
            self._engine.cancel(self._account, order.id)
        except Refusal as refusal:
            return self._refused_cancel(intent.target_venue_id, refusal)
        return ACCEPTED

    def _refused_order(self, intent: Intent, refusal: Refusal, name: str) -> Reply:
        """Return the outcome of a refusal; after one that may mean a duplicate id, look the order up as on a real
        venue.
        """

        answer, reply = self._refuse_request(refusal, name)
        if not may_be_duplicate(answer):
            return reply
        return resolve_duplicate(self._find(intent.client_order_id), intent, reply)

    def _refused_cancel(self, venue_id: str, refusal: Refusal) -> Reply:
        answer, reply = self._refuse_request(refusal, "request_refused")
        if answer.status != UNPROCESSABLE_STATUS:
            return reply
        order = order_of(self._account.order(venue_id.lower()))
        ended = order.status.terminal or order.status is OrderStatus.PENDING_CANCEL
        return Reply(WriteOutcome.ACCEPTED if ended else WriteOutcome.REJECTED, order, reply.code, reply.message)

    def _refuse_request(self, refusal: Refusal, name: str) -> tuple[HttpReply, Reply]:
        """Emit the exchange's log lines of a refused request; return its reply and the outcome."""

        fields = {"status": refusal.status, **refusal.body}
        self._engine.emit(Event(self._engine.now_us, name, fields, self._account.number))
        answer = HttpReply(refusal.status, {}, encode(refusal.body))
        return answer, read_refusal(answer) or unknown_outcome(f"http_{answer.status}", answer.excerpt)


def _accepted_reply(intent: Intent, order: engine_orders.Order, legs: Iterable[engine_orders.Order]) -> Reply:
    placed = order_of(order)
    assert intent.matches_order(placed), f"the engine made another order of {intent.client_order_id}"
    return Reply(WriteOutcome.ACCEPTED, placed, legs=tuple(order_of(leg, order.id) for leg in legs))
