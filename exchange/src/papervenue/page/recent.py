"""Follow the log for the page: its latest lines, except those about time passing, its trades, and refused orders."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Container
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from papervenue.commands.control import TICK
from papervenue.jsontext import decode_object
from papervenue.log import Log
from papervenue.refusal import Refusal
from papervenue.times import SECOND, parse_time

_LONGEST = 160
_FILLS = ("fill", "liquidation", "settlement", "trade_bust", "trade_correct")
_NEWS = ("corporate_action", "funding_rate_set", "margin_call")
_UNTOLD = frozenset(
    {"seq", "at", "event", "note", "account", "order_id", "client_order_id", "status", "code", "market_id"}
)


def describe_event(line: dict[str, Any]) -> str:
    """Describe an event's details, without the event's name."""
    return shorten(_sentence(line) or line.get("message") or _rest(line))


def shorten(text: str) -> str:
    """Return a text cut to the length that fits on the page."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _sentence(line: dict[str, Any]) -> str:
    if line["event"] == "request":
        return f"{line['method']} {line['path']}" + (f"?{line['query']}" if line.get("query") else "")
    if line["event"] == "ticked":
        return duration(parse_time(line["to"]) - parse_time(line["from"]))
    return _order(line) if {"symbol", "side", "type"} <= line.keys() else ""


def duration(us: int) -> str:
    """Format a duration as days, hours, minutes and seconds, omitting zero parts."""
    minutes, seconds = divmod(us // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _order(line: dict[str, Any]) -> str:
    if line["event"] in _FILLS:
        return f"{line['side']} {line['fill_qty']} {line['symbol']} at {line['price']}"
    size = line.get("qty") or f"${line.get('notional')}"
    limit = f" limit {line['limit_price']}" if line.get("limit_price") else ""
    return f"{line['side']} {size} {line['symbol']}{limit}"


def _rest(line: dict[str, Any]) -> str:
    """List the plain fields of an event without a summary."""
    fields = {name: value for name, value in line.items() if name not in _UNTOLD and isinstance(value, str | int)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields.items() if value != "")


MOST_LINES = 40
MOST_REFUSED = 40
MOST_TRADES = 500
_FARTHEST = 20_000
"""How many lines to read back, at first and after a time without visitors of the page."""
_FORM = {"orderType": "type", "size": "qty", "limitPrice": "limit_price", "stopPrice": "stop_price"}
"""Other APIs' names for the fields of an order's request."""
_OF_TIME = frozenset({"ticked", "time_reserved"})


class Refused(NamedTuple):
    """A refused order: the time, the account that sent it, its body, and the reason."""

    at_us: int
    account: str
    body: dict[str, Any]
    reason: str


class Recent:
    """The part of a log that the page shows; lines are read once, oldest first."""

    def __init__(self, log: Log, order_paths: Container[str]) -> None:
        self.lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        self.refused: deque[Refused] = deque(maxlen=MOST_REFUSED)
        self.trades: deque[dict[str, Any]] = deque(maxlen=MOST_TRADES)
        """Fills of all accounts, and announcements of the venue."""
        self._log = log
        self._order_paths = order_paths
        self._read = 0
        self._asked: dict[str, Any] = {}

    def follow(self) -> None:
        """Read the lines written since the last call, or only the newest if there are very many."""
        self._read = max(self._read, self._log.count - _FARTHEST)
        for line in map(json.loads, self._log.lines(self._read)):
            self._read += 1
            if line["event"] not in _OF_TIME and line.get("path") != TICK:
                self.lines.append(line)
                self._note_order(line)
                if line["event"] in _FILLS or line["event"] in _NEWS:
                    self.trades.append(line)

    def _note_order(self, line: dict[str, Any]) -> None:
        """Record the request of a refused order: it is the last request that hasn't created an order."""
        if line["event"] == "request" and line["path"] in self._order_paths:
            self._asked = line
        elif line["event"] == "order_rejected" and (reason := _reason(line)):
            body = _body_of(self._asked)
            self.refused.append(Refused(parse_time(line["at"]), line.get("account", ""), body, reason))
            self._asked = {}
        elif line["event"] == "order_accepted":
            self._asked = {}


def _reason(line: dict[str, Any]) -> str:
    """Return why an order was refused: in a message, or in Kraken's status or error."""
    status: dict[str, Any] = line.get("sendStatus") or {}
    return str(line.get("message") or status.get("status") or line.get("error") or "")


def _body_of(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return decode_object(request.get("body", ""))
    except Refusal:
        form = parse_qsl(f"{request.get('query', '')}&{request.get('body', '')}")
        return {_FORM.get(name, name): value for name, value in form}
