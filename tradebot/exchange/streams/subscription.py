"""Keep what a client of a market-data stream has subscribed to: symbols by channel."""

from __future__ import annotations

import re
from typing import Any

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
"""Channels that clients can subscribe to; corrections and cancelErrors automatically follow the trades channel."""
_FOLLOWS_TRADES = ("corrections", "cancelErrors")
_SHOWN_WHEN_EMPTY = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
_SYMBOL = re.compile(r"\*|[A-Z0-9][A-Z0-9./-]{0,31}", re.ASCII)
_NOT_CHANNELS = ("action", *_FOLLOWS_TRADES)
_MOST_SYMBOLS = 50_000


class SubscriptionError(ValueError):
    """A change refused with one of the stream's error codes; none of it takes effect."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Subscription:
    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._symbols: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}

    def __bool__(self) -> bool:
        return any(self._symbols.values())

    def symbols(self, channel: str) -> list[str]:
        """Return a channel's symbols, possibly including the wildcard."""
        return list(self._symbols[channel])

    def add(self, message: dict[str, Any]) -> None:
        """Subscribe to what a message names; raise SubscriptionError if that isn't possible."""
        changes = _wanted(message)
        after = {channel: self._symbols[channel] | dict.fromkeys(changes.get(channel, ())) for channel in CHANNELS}
        if self._limit is not None and len(after["trades"]) + len(after["quotes"]) > self._limit:
            raise SubscriptionError(405, "symbol limit exceeded")
        if sum(map(len, after.values())) > _MOST_SYMBOLS:
            raise SubscriptionError(405, "symbol limit exceeded")
        self._symbols = after

    def remove(self, message: dict[str, Any]) -> None:
        """Unsubscribe from what a message names; raise SubscriptionError if that isn't possible."""
        for channel, symbols in _wanted(message).items():
            for symbol in symbols:
                self._symbols[channel].pop(symbol, None)

    def shown(self) -> dict[str, list[str]]:
        """Return the entire subscription in the form the stream confirms it."""
        symbols = {channel: self.symbols(channel) for channel in CHANNELS}
        followers = dict.fromkeys(_FOLLOWS_TRADES, symbols["trades"])
        return {
            channel: symbols[channel] for channel in CHANNELS if symbols[channel] or channel in _SHOWN_WHEN_EMPTY
        } | followers


def _wanted(message: dict[str, Any]) -> dict[str, list[str]]:
    changes = {}
    for channel, symbols in message.items():
        # Some clients name the channels of every feed in each message, those of other feeds as null.
        if channel in _NOT_CHANNELS or (channel not in CHANNELS and symbols in (None, [])):
            continue
        if channel not in CHANNELS:
            raise SubscriptionError(410, "invalid subscribe action for this feed")
        changes[channel] = _listed(symbols)
    return changes


def _listed(symbols: object) -> list[str]:
    if symbols is None:
        return []
    if not isinstance(symbols, list) or not all(isinstance(s, str) and _SYMBOL.fullmatch(s) for s in symbols):
        raise SubscriptionError(400, "invalid syntax")
    return symbols
