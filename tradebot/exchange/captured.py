"""A flow feed that replays captured responses, {endpoint, captured_at, response}, gated by engine time.

Each row is served from the moment it became known. Alerts are served whatever ticker was asked for, since
that is what a capture of that endpoint shows; every other endpoint answers only the very path that was
captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.exchange.daily import published_us
from tradebot.exchange.rows import Row, known, row
from tradebot.exchange.spec import MarketError
from tradebot.exchange.times import at_new_york, parse_time

_ALERTS = "/api/option-trades/flow-alerts"
_TIDE = "/api/market/market-tide"
_PRINTS = "/api/darkpool/{}"
_GREEKS = "/api/stock/{}/greek-exposure"
_IV = "/api/stock/{}/iv-rank"
_OI = "/api/stock/{}/oi-change"
_ENVELOPE = "expected {endpoint, captured_at, response}"


def _open_interest_us(day: str) -> int:
    return at_new_york(day, 7, 30)


class Known(NamedTuple):
    """How a row says when it became known: the field that holds it, and how to read that."""

    field: str
    read: Callable[[str], int]


_KNOWN = {
    "flow-alerts": Known("created_at", parse_time),
    "darkpool": Known("executed_at", parse_time),
    "market-tide": Known("timestamp", parse_time),
    "greek-exposure": Known("date", published_us),
    "iv-rank": Known("updated_at", parse_time),
    "oi-change": Known("curr_date", _open_interest_us),
}


def read_folder(folder: Path) -> dict[str, tuple[Row, ...]]:
    """How a row tells when it became known: the field that holds it, and how to read that."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise MarketError(f"{folder}: no captured responses", "name a folder of .json captures")
    captures: dict[str, tuple[Row, ...]] = {}
    for path in files:
        capture = _read_file(path)
        kind = _kind(capture["endpoint"])
        if kind is not None:
            captures[capture["endpoint"]] = _rows(path, capture["response"], kind)
    return captures


def _kind(endpoint: str) -> Known | None:
    """Return how an endpoint's rows are dated; None for an endpoint that this exchange does not serve."""
    parts = endpoint.split("/")
    return _KNOWN.get(parts[2] if parts[2:3] == ["darkpool"] else parts[-1])


def _read_file(path: Path) -> dict[str, Any]:
    try:
        capture = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MarketError(f"{path}: not JSON, or not all of it: {error}", _ENVELOPE) from error
    if not isinstance(capture, dict) or not {"endpoint", "response"} <= set(capture):
        raise MarketError(f"{path}: not a captured response", _ENVELOPE)
    endpoint = capture["endpoint"]
    if not isinstance(endpoint, str) or not endpoint.startswith("/api/"):
        raise MarketError(f"{path}: endpoint {endpoint!r} is not a path under /api/", _ENVELOPE)
    return capture


def _rows(path: Path, response: object, kind: Known) -> tuple[Row, ...]:
    data = response.get("data") if isinstance(response, dict) else None
    if not isinstance(data, list):
        raise MarketError(f"{path}: its response holds no list of rows", 'expected {"data": [rows]}')
    rows = [_row(path, number, fields, kind) for number, fields in enumerate(data, start=1)]
    # Alerts and prints are captured newest first: turned round before a stable sort, rows of one moment are
    # served again in the order in which they came.
    if rows and rows[0].at_us > rows[-1].at_us:
        rows.reverse()
    return tuple(sorted(rows, key=lambda one: one.at_us))


def _row(path: Path, number: int, fields: object, kind: Known) -> Row:
    if not isinstance(fields, dict):
        raise MarketError(f"{path}: row {number} is not an object", "expected rows of named fields")
    try:
        return row(kind.read(fields[kind.field]), fields)
    except (KeyError, TypeError, ValueError) as error:
        raise MarketError(f"{path}: row {number} has no readable {kind.field}") from error


class CapturedFlow:
    """A FlowSource over a folder of captures; an endpoint that was not captured answers no rows."""

    def __init__(self, folder: Path) -> None:
        self._captures = read_folder(folder)

    def _known(self, endpoint: str, now_us: int) -> Sequence[Row]:
        return known(self._captures.get(endpoint, ()), now_us)

    def alerts(self, tickers: Sequence[str], now_us: int) -> Iterator[Row]:
        """Return the captured alerts, newest first, whatever was asked for."""
        return iter(self._known(_ALERTS, now_us)[::-1])

    def prints(self, ticker: str, day: str | None, now_us: int) -> Iterator[Row]:
        """Return the captured prints of a ticker, newest first."""
        return iter(self._known(_PRINTS.format(ticker), now_us)[::-1])

    def tide(self, day: str | None, every_5m: bool, now_us: int) -> tuple[str, Sequence[Row]]:
        """Return the captured tide; its rows are as far apart as they were captured."""
        rows = self._known(_TIDE, now_us)
        return (str(rows[-1].fields.get("date", "")) if rows else day or ""), rows

    def greeks(self, ticker: str, now_us: int) -> Sequence[Row]:
        """Return the captured Greek exposure of a ticker."""
        return self._known(_GREEKS.format(ticker), now_us)

    def iv_ranks(self, ticker: str, now_us: int) -> Sequence[Row]:
        """Return the captured IV ranks of a ticker."""
        return self._known(_IV.format(ticker), now_us)

    def oi_changes(self, ticker: str, day: str | None, now_us: int) -> Sequence[Row]:
        """Return the captured changes of open interest of a ticker, in their captured order."""
        return self._known(_OI.format(ticker), now_us)
