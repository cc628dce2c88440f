"""What may happen to a stream's message between the exchange and its clients."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

TRADE_UPDATES = "trade_updates"
MARKET_DATA = "market_data"


class Recipient(NamedTuple):
    """Whom a message is for: a key, on a feed of market data, or with an empty `feed` its trade updates."""

    feed: str
    key_id: str


class Delivery(Protocol):
    """What stands between the exchange and the clients of its streams."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        """Return what is delivered in a message's place: nothing, itself, or other messages.

        The message of a market-data stream is one data point. The one given must not be changed, but copied.
        """
        ...

    def forget(self, recipient: Recipient) -> None:
        """Keep nothing back for a recipient that has left."""
        ...


class AsItIs:
    """Delivers every message once, unchanged."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        """Return the message."""
        return [message]

    def forget(self, recipient: Recipient) -> None:
        """Nothing was kept."""


AS_IT_IS = AsItIs()
