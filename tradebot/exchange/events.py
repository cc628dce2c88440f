"""What the engine tells of: the lines of its log, and the trade updates that its clients can listen to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tradebot.exchange.engine.orders import Execution, Order


class Update(NamedTuple):
    """What befell an order, in the word that Alpaca's trade_updates stream has for it; `execution` for executions."""

    event: str
    order: Order
    execution: Execution | None = None


class Place(NamedTuple):
    """Where an event stands among all: the number of its line, its time, and a moment that no other update has."""

    number: int
    at_us: int
    at_ns: int


class Event(NamedTuple):
    """One line of the log: engine time, name, fields; `account` is the number of the account that it concerns."""

    at_us: int
    name: str
    fields: dict[str, Any]
    account: str | None = None
    update: Update | None = None


Emit = Callable[[Event], None]
