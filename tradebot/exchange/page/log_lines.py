"""Summarize a line of the log in a few words for the page."""

from __future__ import annotations

from typing import Any

from tradebot.exchange.times import SECOND, parse_time

_LONGEST = 160
_UNTOLD = frozenset(
    {"seq", "at", "event", "note", "account", "order_id", "client_order_id", "status", "code", "market_id"}
)


def about(line: dict[str, Any]) -> str:
    """Describe a line beyond the name of its event."""
    return shortened(_sentence(line) or line.get("message") or _rest(line))


def shortened(text: str) -> str:
    """Return a text cut to a length that the page has room for."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _sentence(line: dict[str, Any]) -> str:
    if line["event"] == "request":
        return _request(line)
    if line["event"] == "ticked":
        return duration(parse_time(line["to"]) - parse_time(line["from"]))
    return _order(line) if {"symbol", "side", "type"} <= line.keys() else ""


def duration(us: int) -> str:
    """Format a duration as days, hours, minutes and seconds, leaving out those that are zero."""
    minutes, seconds = divmod(us // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _request(line: dict[str, Any]) -> str:
    query = f"?{line['query']}" if line.get("query") else ""
    return f"{line['method']} {line['path']}{query}"


def _order(line: dict[str, Any]) -> str:
    if line["event"] == "fill":
        return f"{line['side']} {line['fill_qty']} {line['symbol']} at {line['price']}"
    size = line.get("qty") or f"${line.get('notional')}"
    limit = f" limit {line['limit_price']}" if line.get("limit_price") else ""
    return f"{line['side']} {size} {line['symbol']}{limit}"


def _rest(line: dict[str, Any]) -> str:
    """List the plain fields of an event that has no summary of its own."""
    fields = {name: value for name, value in line.items() if name not in _UNTOLD and isinstance(value, str | int)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields.items() if value != "")
