"""What answers of a troubled service hold: error bodies, pages of gateways, and right answers spoiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tradebot.exchange.faults.kinds import is_of_kind
from tradebot.exchange.jsontext import encode
from tradebot.exchange.times import nanoseconds

JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
_GATEWAY = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
_QUOTE = ("bp", "ap")
_PARTS = ("latestQuote", "quote", "quotes", "trade", "trades", "bar", "bars")
"""Keys of a data answer that are words of its shape; any other key is a symbol."""
_GONE = object()

Headers = list[tuple[bytes, bytes]]
Change = Callable[[Any], Any]
Wanted = Callable[[str], bool]


def error(status: int, target: str) -> tuple[bytes, bytes]:
    """Return the body of an error status and its content type, as the service or the gateway before it gives it."""
    if status in _GATEWAY:
        return page(f"{status} {_GATEWAY[status]}"), HTML
    if status == 429:
        return _too_many(target), JSON
    return encode({"code": 50010000, "message": "internal server error occurred"}), JSON


def _too_many(target: str) -> bytes:
    if is_of_kind(target, "any data"):
        return encode({"message": "too many requests."})
    return encode({"code": 42910000, "message": "rate limit exceeded"})


def page(title: str) -> bytes:
    """Return a small page for people."""
    lines = ("<html>", f"<head><title>{title}</title></head>", f"<body><h1>{title}</h1></body>", "</html>", "")
    return "\r\n".join(lines).encode()


def headed(headers: Headers, body: bytes, kind: bytes | None = None, promised: int | None = None) -> Headers:
    """Return headers for another body; `promised` is the length to claim where it is not the body's own."""
    replaced = (b"content-length", *((b"content-type",) if kind else ()))
    kept = [(name, value) for name, value in headers if name.lower() not in replaced]
    length = len(body) if promised is None else promised
    typed = [(b"content-type", kind)] if kind else []
    return [*kept, *typed, (b"content-length", b"%d" % length)]


def changed(body: bytes, change: Change) -> bytes:
    """Return a JSON body after a change; what is not JSON stays as it is."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return encode(change(value))


def unknown(value: Any, field: str, word: str) -> Any:
    """Return JSON data with a word in place of each text that stands in a field of this name."""
    return _each(value, field, lambda old: word if isinstance(old, str) else old)


def missing(value: Any, field: str) -> Any:
    """Return JSON data without the fields of this name."""
    return _each(value, field, lambda old: _GONE)


def _each(value: Any, field: str, change: Change) -> Any:
    if isinstance(value, list):
        return [_each(item, field, change) for item in value]
    if not isinstance(value, dict):
        return value
    items = ((key, change(item) if key == field else _each(item, field, change)) for key, item in value.items())
    return {key: item for key, item in items if item is not _GONE}


def crossed(value: Any, wanted: Wanted, dollars: float, name: str = "") -> Any:
    """Return JSON data with the bid so far above the ask in each quote of a wanted symbol."""
    if isinstance(value, list):
        return [crossed(item, wanted, dollars, name) for item in value]
    if not isinstance(value, dict):
        return value
    own = str(value.get("symbol", name))
    if all(isinstance(value.get(field), int | float) for field in _QUOTE):
        return value | ({"bp": round(value["ap"] + dollars, 4)} if wanted(own) else {})
    return {key: crossed(item, wanted, dollars, _named(key, own)) for key, item in value.items()}


def _named(key: str, own: str) -> str:
    """Return the symbol that a part of an answer is about: its own key, where that is one."""
    return own if key in _PARTS else key


def replaced(value: Any, older: Any, wanted: Wanted) -> Any:
    """Return JSON data with what it says of wanted symbols taken from an older answer to the same question."""
    if not isinstance(value, dict) or not isinstance(older, dict):
        return value
    if "symbol" in value:
        return older if wanted(str(value["symbol"])) else value
    inner = [key for key in value if key in _PARTS]
    if inner:
        return value | {key: replaced(value[key], older.get(key), wanted) for key in inner}
    kept = {key: item for key, item in value.items() if not wanted(key)}
    return kept | {key: item for key, item in older.items() if wanted(key)}


def merged(body: bytes, older: bytes, wanted: Wanted) -> bytes:
    """Return a JSON body with what it says of wanted symbols taken from an older one."""
    return changed(body, lambda value: replaced(value, json.loads(older), wanted))


def shifted_clock(value: Any, skew_us: int) -> Any:
    """Return a clock's answer with its time shifted, in the zone in which it stands."""
    skew = timedelta(microseconds=skew_us)
    return _each(value, "timestamp", lambda shown: nanoseconds(datetime.fromisoformat(shown) + skew))
