"""Hold rows of the flow feed, each with the time from which it may be served and its JSON, encoded once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from operator import attrgetter
from typing import Any, NamedTuple

from tradebot.exchange.jsontext import encode


def feed_ticker(symbol: str) -> str:
    """Return a symbol as the flow feed writes it, without the dot of a share class (BRK.B is BRKB)."""
    return symbol.replace(".", "")


class Row(NamedTuple):
    """One row; `at_us` is when it became known."""

    at_us: int
    fields: dict[str, Any]
    encoded: bytes


def row(at_us: int, fields: dict[str, Any]) -> Row:
    return Row(at_us, fields, encode(fields))


def known(rows: Sequence[Row], now_us: int) -> Sequence[Row]:
    """Return the rows known at a given time; the rows must be sorted by time."""
    return rows[: bisect_right(rows, now_us, key=attrgetter("at_us"))]


def number(fields: dict[str, Any], name: str) -> float:
    """Return a field as a finite number; raise KeyError, TypeError, ValueError or OverflowError if it isn't one."""
    value = float(fields[name])
    if not isfinite(value):
        raise ValueError(f"{name} isn't finite")
    return value


def lenient(test: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], bool]:
    """Return a test that also passes rows it can't read, because clients should see and count bad rows."""

    def passes(fields: dict[str, Any]) -> bool:
        try:
            return test(fields)
        except (KeyError, TypeError, ValueError, OverflowError):
            return True

    return passes


def envelope(rows: Iterable[Row], **others: Any) -> bytes:
    """Return {"data": [rows…], …} without encoding the rows again."""
    tail = encode(others)[1:]
    separator = b"," if others else b""
    return b'{"data":[' + b",".join(one.encoded for one in rows) + b"]" + separator + tail
