"""Build the bodies that a broken service sends: error bodies, gateway pages, and damaged responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from papervenue.faults.kinds import is_of_kind
from papervenue.jsontext import encode
from papervenue.times import nanoseconds

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
_GATEWAY = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
_QUOTE = ("bp", "ap")
_PARTS = ("latestQuote", "quote", "quotes", "trade", "trades", "bar", "bars")
"""Keys that are part of a data response's structure; any other key is a symbol."""
_GONE = object()

Headers = Sequence[tuple[bytes, bytes]]
Change = Callable[[Any], Any]
Matches = Callable[[str], bool]


class PendingReply(NamedTuple):
    """A response that was produced but not sent yet."""

    status: int
    headers: Headers
    body: bytes

    def with_body(self, body: bytes) -> PendingReply:
        return self._replace(headers=with_headers(self.headers, body), body=body)


def error(status: int, target: str) -> tuple[bytes, bytes]:
    """Return the body and content type of an error status, as the service or the gateway in front of it sends them."""
    if status in _GATEWAY:
        return page(f"{status} {_GATEWAY[status]}"), HTML
    if status == 429:
        return _too_many(target), JSON
    if is_of_kind(target, "any flow"):
        return b"Internal Server Error", TEXT
    return encode({"code": 50010000, "message": "internal server error occurred"}), JSON


def _too_many(target: str) -> bytes:
    if is_of_kind(target, "any data"):
        return encode({"message": "too many requests."})
    if is_of_kind(target, "any flow"):
        return encode({"message": "too many requests"})
    return encode({"code": 42910000, "message": "rate limit exceeded"})


def page(title: str) -> bytes:
    lines = ("<html>", f"<head><title>{title}</title></head>", f"<body><h1>{title}</h1></body>", "</html>", "")
    return "\r\n".join(lines).encode()


def with_headers(headers: Headers, body: bytes, kind: bytes | None = None) -> list[tuple[bytes, bytes]]:
    """Adapt a response's headers to a different body, with another content type if `kind` is set."""
    replaced = (b"content-length", *((b"content-type",) if kind else ()))
    others = [(name, value) for name, value in headers if name.lower() not in replaced]
    typed = [(b"content-type", kind)] if kind else []
    return [*others, *typed, (b"content-length", b"%d" % len(body))]


def change_body(body: bytes, change: Change) -> bytes:
    """Apply a change to a JSON body; any other body stays unchanged."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return encode(change(value))


def in_fields(fault: str, value: Any, settings: Mapping[str, Any]) -> Any:
    """Return JSON data in which the field named in the settings has an unknown or wrong value, or is missing."""
    if fault == "wrong_value":
        wrong = json.loads(settings["is"])
        return _each(value, settings["value"], lambda old: wrong)
    if fault == "missing_field":
        return _each(value, settings["value"], lambda old: _GONE)
    return _each(value, settings["value"], lambda old: settings["word"] if isinstance(old, str) else old)


def _each(value: Any, field: str, change: Change) -> Any:
    if isinstance(value, list):
        return [_each(item, field, change) for item in value]
    if not isinstance(value, dict):
        return value
    items = ((key, change(item) if key == field else _each(item, field, change)) for key, item in value.items())
    return {key: item for key, item in items if item is not _GONE}


def false_ends(value: Any, matches: Matches) -> Any:
    """Return a page of Kraken's history in which filled orders appear as canceled without a fill."""
    if not isinstance(value, dict) or not isinstance(value.get("elements"), list):
        return value
    return value | {"elements": [_false_end(element, matches) for element in value["elements"]]}


def _false_end(element: Any, matches: Matches) -> Any:
    body = element["event"].get("OrderUpdated", {})
    order = body.get("newOrder", {})
    if body.get("reason") != "full_fill" or not matches(order["clientId"]):
        return element
    whole = order | {"quantity": order["filled"], "filled": "0"}
    return element | {"event": {"OrderCancelled": {"order": whole, "reason": "cancelled_by_user"}}}


def cross_quote(quote: Any, dollars: float) -> Any:
    """Return a quote with its bid this many dollars above its ask."""
    return quote | {"bp": round(quote["ap"] + dollars, 4)}


def scale_quote(quote: Any, factor: float) -> Any:
    """Return a quote with its bid and ask multiplied."""
    return quote | {field: round(quote[field] * factor, 4) for field in _QUOTE}


def change_quotes(value: Any, matches: Matches, change: Change, name: str = "") -> Any:
    """Return JSON data in which each quote of a selected symbol is changed."""
    if isinstance(value, list):
        return [change_quotes(item, matches, change, name) for item in value]
    if not isinstance(value, dict):
        return value
    own = str(value.get("symbol", name))
    if all(isinstance(value.get(field), int | float) for field in _QUOTE):
        return change(value) if matches(own) else value
    return {key: change_quotes(item, matches, change, own if key in _PARTS else key) for key, item in value.items()}


def replace_values(value: Any, older: Any, matches: Matches) -> Any:
    """Return JSON data in which the selected symbols' values come from an older response to the same request."""
    if not isinstance(value, dict) or not isinstance(older, dict):
        return value
    if "symbol" in value:
        return older if matches(str(value["symbol"])) else value
    inner = [key for key in value if key in _PARTS]
    if inner:
        return value | {key: replace_values(value[key], older.get(key), matches) for key in inner}
    others = {key: item for key, item in value.items() if not matches(key)}
    return others | {key: item for key, item in older.items() if matches(key)}


def shifted_clock(value: Any, skew_us: int) -> Any:
    """Return a clock response with its time shifted, in its original time zone."""
    skew = timedelta(microseconds=skew_us)
    shifted = _each(value, "timestamp", lambda shown: nanoseconds(datetime.fromisoformat(shown) + skew))
    return _each(shifted, "serverTime", lambda shown: nanoseconds(datetime.fromisoformat(shown) + skew))
