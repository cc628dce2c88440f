"""What may happen to a stream's message between the exchange and its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TRADE_UPDATES = "trade_updates"
MARKET_DATA = "market_data"

Deliver = Callable[[str, str, dict[str, Any]], list[dict[str, Any]]]
"""(stream, account number, message) -> what is delivered in its place: nothing, itself, or other messages.

The message of a market-data stream is one data point. The one given must not be changed, but copied.
"""


def as_it_is(stream: str, account: str, message: dict[str, Any]) -> list[dict[str, Any]]:
    """Deliver every message once, unchanged."""
    return [message]
