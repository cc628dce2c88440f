"""Apply rules to stream messages on their way from the exchange to its clients."""

from __future__ import annotations

from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.faults import fault_bodies
from papervenue.faults.armed_rules import ArmedRules, RuleFiring
from papervenue.faults.kinds import Facts

_CHANNELS = {"b": "bars", "u": "updatedBars", "d": "dailyBars", "q": "quotes", "t": "trades"}
"""Event names in rules, by the `T` of a data point."""

_MOST_DECIDED = 20_000
"""How many data points to remember decisions for; those of a client that lags further behind are counted again."""

Message = dict[str, Any]

TRADE_UPDATES = "trade_updates"
MARKET_DATA = "market_data"
FLOW_ALERTS = "flow_alerts"
DROPPED: dict[str, Any] = {"dropped": True}
"""In a delivery, means that the connection ends without a close message."""
STALLED: dict[str, Any] = {"stalled": True}
"""In a delivery, means that the connection stays open but receives nothing more."""


class Recipient(NamedTuple):
    """The recipient of a message: a key, and a feed or channel; `feed` is empty for the key's trade updates."""

    feed: str
    key_id: str


class StreamFaults:
    """Delivers each message as the armed rules say; a delayed message comes with the recipient's next message."""

    def __init__(self, engine: Engine, book: ArmedRules) -> None:
        self._engine = engine
        self._book = book
        self._held: dict[Recipient, list[Message]] = {}
        self._decided: dict[object, list[RuleFiring]] = {}

    def deliver(self, stream: str, account: str, message: Message, recipient: Recipient) -> list[Message]:
        """Return the messages to deliver in place of this one, which isn't modified."""
        if not self._book.on_streams:
            return self._after(recipient, [message])
        firings = self._firings(self._facts(stream, account, message), message, recipient.feed)
        for rule in (firing.rule for firing in firings):
            if rule.fault in ("unknown_enum", "missing_field"):
                message = fault_bodies.in_fields(rule.fault, message, rule.settings)
        faults = {firing.rule.fault for firing in firings}
        if "mute_stream" in faults:
            return []
        if "dropped_stream" in faults:
            return [DROPPED]
        if "stalled_stream" in faults:
            return [STALLED]
        if "reordered_events" in faults and recipient not in self._held:
            self._held[recipient] = [message]
            return []
        return self._after(recipient, [message] * (2 if "duplicate_events" in faults else 1))

    def forget(self, recipient: Recipient) -> None:
        """Discard the message that is delayed for a recipient.

        The next recipient of the same name will be a different connection.
        """
        self._held.pop(recipient, None)

    def _firings(self, facts: Facts, message: Message, feed: str) -> list[RuleFiring]:
        """Check the rules against an event, once for each data point, however many clients receive it."""
        if not feed:
            return self._book.firings(facts, self._engine.now_us)
        event = feed, facts.account if self._book.asks_accounts else (), repr(message)
        firings = self._decided.get(event)
        if firings is None:
            firings = self._decided[event] = self._book.firings(facts, self._engine.now_us)
            if len(self._decided) > _MOST_DECIDED:
                del self._decided[next(iter(self._decided))]
        return firings

    def _after(self, recipient: Recipient, messages: list[Message]) -> list[Message]:
        return messages + self._held.pop(recipient, []) if self._held else messages

    def _facts(self, stream: str, account: str, message: Message) -> Facts:
        owner = self._engine.accounts.get(account)
        names = (owner.number, owner.name) if owner else (account,)
        if stream == FLOW_ALERTS:
            return Facts(stream, (str(message.get("ticker", "")),), account=names, event="alert")
        if stream != TRADE_UPDATES:
            kind = str(message.get("T", ""))
            return Facts(stream, (str(message.get("S", "")),), account=names, event=_CHANNELS.get(kind, kind))
        data = message["data"]
        order = data["order"]
        symbol, client_id = str(order["symbol"]), str(order["client_order_id"])
        return Facts(stream, (symbol,), str(order["side"]), client_id, names, str(data["event"]))
