"""What the engine tells of: the lines of its log, and the trade updates that its clients can listen to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tradebot.exchange.engine.orders import Fill, Order


class Update(NamedTuple):
    """What befell an order, in the word that Alpaca's trade_updates stream has for it; `execution` for fills."""

    event: str
    order: Order
    execution: Fill | None = None


class Event(NamedTuple):
    """One line of the log: engine time, name, fields; `account` is the number of the account that it concerns."""

    at_us: int
    name: str
    fields: dict[str, Any]
    account: str | None = None
    update: Update | None = None


Emit = Callable[[Event], None]
