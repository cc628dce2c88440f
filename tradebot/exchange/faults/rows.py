"""Falsify the rows of an answer: those of orders, positions and activities, and those of flow.

Each fault takes a row and returns what stands in its place. An answer without rows is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from tradebot.exchange.times import nanoseconds

_STATUSES = ("new", "accepted", "pending_replace")
_CENT = Decimal("0.01")
_OTHER_SIDE = {"long": "short", "short": "long"}
_SIGNED = ("qty", "qty_available", "market_value", "cost_basis")
_TICKERS = ("ticker", "underlying_symbol", "symbol")
_CONTRACTS = ("option_chain", "option_symbol")
_AFTER_ROOT = len("250321C00240000")

Row = dict[str, Any]
Settings = Mapping[str, Any]


def falsified(fault: str, value: Any, settings: Settings, number: int) -> Any:
    """Return the JSON of an answer with falsified rows; `number` counts how often the fault has fired."""
    if fault == "missing_rows":
        return [row for row in value if not _matches(row, settings)] if isinstance(value, list) else value
    if fault in _OF_ACCOUNTS:
        return _each(value, settings, lambda row: _OF_ACCOUNTS[fault](row, settings, number))
    return _each_of_flow(value, settings, lambda row: _OF_FLOW[fault](row, settings.get("value", "")))


def _turned(row: Row, settings: Settings, number: int) -> Row:
    # Another rule may have removed a field or changed its value.
    signed = {name: str(-Decimal(row[name])) for name in _SIGNED if name in row}
    return row | signed | {"side": _OTHER_SIDE.get(str(row.get("side")), "short")}


def _restless(row: Row, settings: Settings, number: int) -> Row:
    """Return an order with one field that varies with the number of the reading, so that no two readings agree."""
    field: str = settings["value"]
    old: str | None = row.get(field)
    if not old:
        return row | {field: old}
    if field == "status":
        new = _STATUSES[number % len(_STATUSES)]
    elif field == "updated_at":
        new = nanoseconds(datetime.fromisoformat(old) + timedelta(milliseconds=number))
    else:
        new = str(Decimal(old) + number * (_CENT if field == "limit_price" else 1))
    return row | {field: new}


_OF_ACCOUNTS: Mapping[str, Callable[[Row, Settings, int], Row]] = {
    "opposite_side": _turned,
    "position_value": lambda row, settings, number: row | {"market_value": str(settings["value"])},
    "restless_orders": _restless,
}


def _foreign(row: Row, ticker: str) -> list[Row]:
    contracts = {name: ticker + str(row[name])[-_AFTER_ROOT:] for name in _CONTRACTS if name in row}
    return [row | {name: ticker for name in _TICKERS if name in row} | contracts]


def _other_type(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return [value]


_OF_FLOW: Mapping[str, Callable[[Row, str], list[Row]]] = {
    "foreign_rows": _foreign,
    "duplicate_rows": lambda row, field: [row, row],
    "null_field": lambda row, field: [row | {field: None} if field in row else row],
    "retyped_field": lambda row, field: [row | {field: _other_type(row[field])} if field in row else row],
    "new_field": lambda row, field: [row | {field: "unheard of"}],
}
FALSIFYING = frozenset({"missing_rows", *_OF_ACCOUNTS, *_OF_FLOW})
"""The faults that change rows."""


def _each(value: Any, settings: Settings, change: Callable[[Row], Row]) -> Any:
    if isinstance(value, list):
        return [_each(row, settings, change) for row in value]
    return change(value) if _matches(value, settings) else value


def _matches(row: Row, settings: Settings) -> bool:
    fields = [field for field in ("symbol", "client_order_id") if field in settings]
    return all(fnmatchcase(str(row.get(field, "")), settings[field]) for field in fields)


def _each_of_flow(value: Any, settings: Settings, change: Callable[[Row], list[Row]]) -> Any:
    """Return an answer whose data is changed in a share of its rows, evenly spread: the last of every few."""
    if not isinstance(value, dict) or "data" not in value:
        return value
    data, share = value["data"], Decimal(settings["share"])
    if not isinstance(data, list):
        return value | {"data": change(data)[0]} if isinstance(data, dict) and data else value
    made: list[Any] = []
    for place, row in enumerate(data):
        chosen = int((place + 1) * share) > int(place * share)
        made += change(row) if chosen and isinstance(row, dict) else [row]
    return value | {"data": made}
