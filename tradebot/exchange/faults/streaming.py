"""What rules do to the messages of the streams, on their way from the exchange to its clients."""

from __future__ import annotations

from typing import Any

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faults import bodies
from tradebot.exchange.faults.book import FaultBook, Firing
from tradebot.exchange.faults.kinds import STREAMS, Facts

_CHANNELS = {"b": "bars", "u": "updatedBars", "d": "dailyBars", "q": "quotes", "t": "trades"}
"""The word of a data point's T, as a rule names its event."""

Message = dict[str, Any]


class StreamFaults:
    """Delivers each message as the armed rules say; one that is held back waits for the next of its stream."""

    def __init__(self, engine: Engine, book: FaultBook) -> None:
        self._engine = engine
        self._book = book
        self._held: dict[tuple[str, str], list[Message]] = {}

    def deliver(self, stream: str, account: str, message: Message) -> list[Message]:
        """Return what is delivered in a message's place. The message itself is not changed."""
        place = stream, account
        if not self._book.on_streams:
            return self._after(place, [message])
        firings = self._book.firings(self._facts(stream, account, message), self._engine.now_us)
        for firing in firings:
            message = _changed(firing, message)
        faults = {firing.rule.fault for firing in firings}
        if "mute_stream" in faults:
            return []
        if "reordered_events" in faults and place not in self._held:
            self._held[place] = [message]
            return []
        return self._after(place, [message] * (2 if "duplicate_events" in faults else 1))

    def _after(self, place: tuple[str, str], messages: list[Message]) -> list[Message]:
        return messages + self._held.pop(place, []) if self._held else messages

    def _facts(self, stream: str, account: str, message: Message) -> Facts:
        known = self._engine.accounts.get(account)
        whose = (known.number, known.name) if known else (account,)
        if stream != STREAMS[0]:
            kind = str(message.get("T", ""))
            return Facts(stream, (str(message.get("S", "")),), account=whose, event=_CHANNELS.get(kind, kind))
        data = message["data"]
        order = data["order"]
        symbol, client_id = str(order["symbol"]), str(order["client_order_id"])
        return Facts(stream, (symbol,), str(order["side"]), client_id, whose, str(data["event"]))


def _changed(firing: Firing, message: Message) -> Message:
    told = firing.rule.settings
    if firing.rule.fault == "unknown_enum":
        changed = bodies.unknown(message, told["value"], told["word"])
    elif firing.rule.fault == "missing_field":
        changed = bodies.missing(message, told["value"])
    else:
        return message
    return dict(changed)
