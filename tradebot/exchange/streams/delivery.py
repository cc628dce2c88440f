"""Define what may happen to a stream message between the exchange and its clients."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

TRADE_UPDATES = "trade_updates"
MARKET_DATA = "market_data"
FLOW_ALERTS = "flow_alerts"
DROPPED: dict[str, Any] = {"dropped": True}
"""Stands in a delivery for the end of the connection, without a goodbye."""
STALLED: dict[str, Any] = {"stalled": True}
"""Stands in a delivery for a connection that stays up and is served no more."""


class Recipient(NamedTuple):
    """The addressee of a message: a key, and a feed or channel, or an empty `feed` for its trade updates."""

    feed: str
    key_id: str


class Delivery(Protocol):
    """Sits between the exchange and the clients of its streams."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        """Return the messages to deliver in place of this one: none, itself, or others.

        A market-data message is one data point, and one of flow alerts one alert. Copy the given message to change it.
        Only flow alerts can be DROPPED or STALLED.
        """
        ...

    def forget(self, recipient: Recipient) -> None:
        """Drop what is held back for a recipient that has left."""
        ...


class AsItIs:
    """Delivers every message once, unchanged."""

    def deliver(self, stream: str, account: str, message: dict[str, Any], recipient: Recipient) -> list[dict[str, Any]]:
        return [message]

    def forget(self, recipient: Recipient) -> None:
        """Do nothing, because nothing is ever held back."""


AS_IT_IS = AsItIs()
