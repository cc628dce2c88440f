"""Define what may happen to a stream message between the exchange and its clients."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

TRADE_UPDATES = "trade_updates"
MARKET_DATA = "market_data"


class Recipient(NamedTuple):
    """The addressee of a message: a key, and a market-data feed or an empty `feed` for its trade updates."""

    feed: str
    key_id: str


class Delivery(Protocol):
    """Sits between the exchange and the clients of its streams."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        """Return the messages to deliver in place of this one: none, itself, or others.

        A market-data message is one data point. Copy the given message to change it.
        """
        ...

    def forget(self, recipient: Recipient) -> None:
        """Drop what is held back for a recipient that has left."""
        ...


class AsItIs:
    """Delivers every message once, unchanged."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        """Return only the message."""
        return [message]

    def forget(self, recipient: Recipient) -> None:
        """Do nothing, because nothing is ever held back."""


AS_IT_IS = AsItIs()
