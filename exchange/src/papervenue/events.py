"""Define the engine's events: the lines of its log, and the trade updates that clients can listen to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from papervenue.engine.orders import Execution, Order


class Update(NamedTuple):
    """An order event, named as in Alpaca's trade_updates stream; `execution` is set for executions."""

    event: str
    order: Order
    execution: Execution | None = None


class EventPosition(NamedTuple):
    """Where an event is in the log: its line number and its time.

    `at_ns` is the same time in nanoseconds, adjusted so that no other update has it.
    """

    number: int
    at_us: int
    at_ns: int


class Event(NamedTuple):
    """One line of the log: engine time, name and fields; `account` is the number of the account it concerns."""

    at_us: int
    name: str
    fields: dict[str, Any]
    account: str | None = None
    update: Update | None = None


Emit = Callable[[Event], None]
