"""Simulate late acknowledgement: the order is accepted and answered, but not at the market yet."""

from __future__ import annotations

from typing import NamedTuple

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order


class Acknowledgement(NamedTuple):
    """How many microseconds after its acceptance an order reaches the market, and its status until then."""

    late_us: int
    status: str


def settle_late(engine: Engine, order: Order, acknowledgement: Acknowledgement) -> None:
    """Delay an order's arrival at the market; an order that waits for a session anyway doesn't arrive before that."""
    if order.status == "pending_new" and acknowledgement.status == "accepted":
        order.status = "accepted"
        engine.tell("order_received", order, "accepted")
    engine.agenda.note(engine.now_us + acknowledgement.late_us, "acknowledge", order)
